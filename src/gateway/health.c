/*
 * Counters of an address. They are atomics that any loop counts; the mutex is taken only
 * when a threshold is reached, to change the state and what follows from it.
 */
#include "gateway/health.h"

#include "base/clock.h"
#include "base/log.h"
#include "gateway/balancer_int.h"

bool health_config_is_on(const struct health_config *h)
{
	const struct health_rules *p = &h->passive;

	return h->active.healthy_interval_ms > 0 || h->active.unhealthy_interval_ms > 0 ||
	       p->tcp_failures > 0 || p->timeouts > 0 || p->http_failures > 0;
}

/* Written only when it changes: in the usual case all loops just read. */
static void clear(atomic_uint *counter)
{
	if (atomic_load_explicit(counter, memory_order_relaxed) != 0) {
		atomic_store_explicit(counter, 0, memory_order_relaxed);
	}
}

static void clear_failures(struct peer *p)
{
	clear(&p->tcp_failures);
	clear(&p->timeouts);
	clear(&p->http_failures);
}

static void log_change(struct str upstream, const struct peer *p, bool down, const char *why)
{
	if (down) {
		log_warn("gateway", "address of an upstream is down", LOG_STR("upstream", upstream),
			 LOG_STR("host", p->host), LOG_STR("ip", p->ip), LOG_INT("port", p->port),
			 LOG_CSTR("why", why));
	} else {
		log_info("gateway", "address of an upstream is up", LOG_STR("upstream", upstream),
			 LOG_STR("host", p->host), LOG_STR("ip", p->ip), LOG_INT("port", p->port),
			 LOG_CSTR("why", why));
	}
}

void health_set(struct balancer *b, struct peer *p, bool down, const char *why)
{
	struct settings *s;
	bool changed;

	(void)pthread_mutex_lock(&b->mtx);
	s = b->settings;
	(void)atomic_fetch_add(&s->refs, 1);
	changed = atomic_load(&p->down) != down;
	if (changed && !down && s->c.slow_start_ms > 0) {
		atomic_store(&p->risen_ms, clock_mono_ms());
	}
	atomic_store(&p->down, down);
	clear(&p->successes);
	clear_failures(p);
	balancer_weigh(b);
	(void)pthread_mutex_unlock(&b->mtx);
	if (changed) {
		log_change(s->c.name, p, down, why);
	}
	balancer_settings_unref(s);
}

static bool is_down(struct peer *p)
{
	return atomic_load_explicit(&p->down, memory_order_relaxed);
}

void health_success(struct balancer *b, struct peer *p, const struct health_rules *r)
{
	clear_failures(p);
	if (r->successes == 0 || !is_down(p)) {
		return;
	}
	if (atomic_fetch_add(&p->successes, 1) + 1 >= r->successes) {
		health_set(b, p, false, "successes");
	}
}

static void failure(struct balancer *b, struct peer *p, atomic_uint *counter, unsigned limit,
		    const char *why)
{
	clear(&p->successes);
	if (limit == 0 || is_down(p)) {
		return;
	}
	if (atomic_fetch_add(counter, 1) + 1 >= limit) {
		health_set(b, p, true, why);
	}
}

enum balancer_outcome health_outcome(enum err why)
{
	if (why == ERR_TIMEOUT) {
		return BALANCER_TIMEOUT;
	}
	if (why == ERR_PROTO || why == ERR_LIMIT) {
		return BALANCER_STATUS;
	}
	if (why == ERR_EXHAUSTED || why == ERR_INVALID || why == ERR_CANCELED) {
		return BALANCER_ABORTED;
	}
	return BALANCER_TCP_FAILURE;
}

void health_report(struct balancer *b, struct peer *p, const struct health_rules *r,
		   enum balancer_outcome outcome, int status)
{
	switch (outcome) {
	case BALANCER_STATUS:
		if (status_set_has(&r->healthy_statuses, status)) {
			health_success(b, p, r);
		} else if (status_set_has(&r->unhealthy_statuses, status)) {
			failure(b, p, &p->http_failures, r->http_failures, "statuses");
		}
		break;
	case BALANCER_TCP_FAILURE:
		failure(b, p, &p->tcp_failures, r->tcp_failures, "connection failures");
		break;
	case BALANCER_TIMEOUT:
		failure(b, p, &p->timeouts, r->timeouts, "timeouts");
		break;
	case BALANCER_ABORTED:
		break;
	}
}
