#include "gateway/entity_poller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/entity_store.h"
#include "loop/periodic.h"
#include "store/watch.h"

enum { INTERVAL_MS = 1000, POLL_TIMEOUT_MS = 20000, UPKEEP_INTERVAL_MS = 60000 };

struct entity_poller {
	struct entity_poller_deps deps;
	struct periodic *periodic;
	struct db_watch *watch;
	/* the loop's, once both are there */
	struct periodic *hurried;
	struct db_watch *asked;
	uint64_t poll_due_ms, upkeep_due_ms;
	/* the run's while one is under way, else the loop's */
	bool wants_upkeep;
	bool is_failing;
	bool owed; /* a poll, until one succeeds: the watch tells its news once */
};

/* ---- on a worker ---- */

static enum err do_chores(struct entity_poller *p, struct db *db)
{
	bool upkeep = p->wants_upkeep;

	p->wants_upkeep = false;
	TRY(entities_poll(p->deps.entities, db));
	return upkeep ? entities_upkeep(p->deps.entities, db) : ERR_OK;
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
	enum err e;

	arena_init(&a, 0);
	db_begin_task(db, &(struct db_task){.arena = &a,
					    .deadline_mono_ms = clock_mono_ms() + POLL_TIMEOUT_MS,
					    .fault = &f});
	e = do_chores(p, db);
	p->owed = e != ERR_OK;
	note(p, e, &f);
	db_end_task(db);
	arena_fini(&a);
}

static void run(void *arg, void *worker)
{
	if (worker) {
		poll_database(arg, worker);
	}
}

/* ---- on the loop ---- */

static uint64_t interval_of(const struct entity_poller *p)
{
	return p->deps.interval_ms ? p->deps.interval_ms : INTERVAL_MS;
}

/* At rest nothing is due but once a minute: no worker wakes, the database is not asked. */
static bool is_due(void *arg)
{
	struct entity_poller *p = arg;
	uint64_t now = clock_mono_ms();

	if (p->deps.tick) {
		p->deps.tick(p->deps.arg);
	}
	if (entities_is_memory(p->deps.entities)) {
		return false;
	}
	if (now >= p->upkeep_due_ms) {
		p->wants_upkeep = true;
		p->upkeep_due_ms = now + UPKEEP_INTERVAL_MS;
	} else if (now < p->poll_due_ms || (!p->owed && p->asked && db_watch_is_quiet(p->asked))) {
		return false;
	}
	p->poll_due_ms = now + interval_of(p);
	p->owed = true; /* the pool may be full, or its worker without a session */
	return true;
}

static void on_news(void *arg)
{
	struct entity_poller *p = arg;

	if (p->hurried) {
		periodic_hurry(p->hurried);
	}
}

static void join(struct loop *l, void *arg)
{
	struct entity_poller *p = arg;

	(void)l;
	p->hurried = p->periodic;
	p->asked = p->watch;
	on_news(p); /* it may have come already */
}

static void part(struct loop *l, void *arg)
{
	struct entity_poller *p = arg;

	(void)l;
	p->hurried = NULL;
	p->asked = NULL;
}

/* ---- life ---- */

struct entity_poller *entity_poller_start(const struct entity_poller_deps *deps)
{
	struct entity_poller *p = MEM_NEW(struct entity_poller);

	p->deps = *deps;
	p->periodic = periodic_start_chore(deps->loop, deps->pool,
					   &(struct periodic_chore){
						   .interval_ms = MIN(interval_of(p), INTERVAL_MS),
						   .gate = is_due,
						   .fn = run,
						   .arg = p,
					   });
	if (deps->database && !entities_is_memory(deps->entities)) {
		p->watch = db_watch_start(&(struct db_watch_deps){
			.database = deps->database,
			.loop = deps->loop,
			.workers = deps->pool,
			.channel = ENTITY_CHANNEL,
			.on_news = on_news,
			.arg = p,
		});
		loop_call(deps->loop, join, p);
	}
	return p;
}

void entity_poller_stop(struct entity_poller **pp)
{
	struct entity_poller *p = *pp;

	*pp = NULL;
	if (p) {
		loop_call(p->deps.loop, part, p);
		db_watch_stop(&p->watch);
		periodic_stop(&p->periodic);
		mem_free(p);
	}
}
