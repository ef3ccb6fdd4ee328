#include "gateway/plugins/target_health.h"

static const struct {
	enum balancer_health health;
	const char *state;
} states[] = {
	{BALANCER_HEALTHCHECKS_OFF, "healthchecks_off"},
	{BALANCER_HEALTHY, "healthy"},
	{BALANCER_UNHEALTHY, "unhealthy"},
	{BALANCER_DNS_ERROR, "dns_error"},
};

/* Names of upstreams, targets and addresses have nothing to escape. */
static void put(struct buf *out, struct str upstream, struct str target, struct str address,
		enum balancer_health health)
{
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		buf_printf(out,
			   "kong_upstream_target_health{upstream=\"%.*s\",target=\"%.*s\","
			   "address=\"%.*s\",state=\"%s\",subsystem=\"http\"} %d\n",
			   STR_ARG(upstream), STR_ARG(target), STR_ARG(address), states[i].state,
			   health == states[i].health);
	}
}

struct page {
	struct buf *out;
	bool has_head;
};

static void put_head(struct page *page)
{
	if (!page->has_head) {
		buf_puts(page->out,
			 "# HELP kong_upstream_target_health Health status of targets of upstream. "
			 "States = healthchecks_off|healthy|unhealthy|dns_error, value is 1 when "
			 "state is populated.\n"
			 "# TYPE kong_upstream_target_health gauge\n");
	}
	page->has_head = true;
}

static void put_upstream(void *arg, struct arena *a, const struct balancer_status *s)
{
	struct page *page = arg;

	for (size_t i = 0; i < s->n_targets; i++) {
		const struct balancer_target_status *t = &s->targets[i];

		put_head(page);
		for (size_t k = 0; k < t->n_addresses; k++) {
			const struct balancer_address_status *x = &t->addresses[k];
			bool is_v6 = str_index(x->ip, ':') >= 0;

			put(page->out, s->name, t->target,
			    str_fmt(a, is_v6 ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(x->ip), x->port),
			    x->health);
		}
		if (t->n_addresses == 0) {
			put(page->out, s->name, t->target, STR(""), BALANCER_DNS_ERROR);
		}
	}
}

void target_health_write(struct balancer_set *set, struct buf *out)
{
	struct page page = {.out = out};

	balancer_set_each(set, put_upstream, &page);
}
