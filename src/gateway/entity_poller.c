#include "gateway/entity_poller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/periodic.h"

enum { INTERVAL_MS = 1000, POLL_TIMEOUT_MS = 20000, UPKEEP_INTERVAL_MS = 60000 };

struct entity_poller {
	struct entity_poller_deps deps;
	struct periodic *periodic;
	/* the run that is under way */
	bool is_failing;
	uint64_t upkeep_due_ms;
};

static enum err do_chores(struct entity_poller *p, struct db *db)
{
	uint64_t now = clock_mono_ms();

	TRY(entities_poll(p->deps.entities, db));
	if (now < p->upkeep_due_ms) {
		return ERR_OK;
	}
	p->upkeep_due_ms = now + UPKEEP_INTERVAL_MS;
	return entities_upkeep(p->deps.entities, db);
}

/* An outage is told at its begin and at its end. */
static void note(struct entity_poller *p, enum err e, const struct fault *f)
{
	if (e != ERR_OK && !p->is_failing) {
		log_warn("gateway", "changes of the configuration cannot be read", LOG_FAULT(f));
	} else if (e == ERR_OK && p->is_failing) {
		log_info("gateway", "changes of the configuration can be read again");
	}
	p->is_failing = e != ERR_OK;
}

static void poll_database(struct entity_poller *p, struct db *db)
{
	struct fault f = {0};
	struct arena a;

	arena_init(&a, 0);
	db_begin_task(db, &(struct db_task){.arena = &a,
					    .deadline_mono_ms = clock_mono_ms() + POLL_TIMEOUT_MS,
					    .fault = &f});
	note(p, do_chores(p, db), &f);
	db_end_task(db);
	arena_fini(&a);
}

static void on_due(void *arg, void *worker)
{
	struct entity_poller *p = arg;

	if (worker && !entities_is_memory(p->deps.entities)) {
		poll_database(p, worker);
	}
	if (p->deps.tick) {
		p->deps.tick(p->deps.arg);
	}
}

struct entity_poller *entity_poller_start(const struct entity_poller_deps *deps)
{
	struct entity_poller *p = MEM_NEW(struct entity_poller);

	p->deps = *deps;
	p->periodic =
		periodic_start(deps->loop, deps->pool,
			       deps->interval_ms ? deps->interval_ms : INTERVAL_MS, on_due, p);
	return p;
}

void entity_poller_stop(struct entity_poller **pp)
{
	struct entity_poller *p = *pp;

	*pp = NULL;
	if (p) {
		periodic_stop(&p->periodic);
		mem_free(p);
	}
}
