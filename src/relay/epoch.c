/* A configuration and what was compiled from it, shared by all loops. */
#include "base/mem.h"
#include "relay/relay_int.h"

static void release(const struct relay_config_epoch *source)
{
	if (source->release) {
		source->release(source->arg);
	}
}

static enum err parse_trusted(struct relay_epoch *e, struct fault *f)
{
	const struct conf_strs *v = &e->config->trusted_proxies;

	e->trusted.v = ARENA_NEW_ARRAY(&e->arena, struct addr_net, v->n + 1);
	for (size_t i = 0; i < v->n; i++) {
		if (addr_net_parse(v->v[i], &e->trusted.v[i]) != ERR_OK) {
			return fault_set(f, ERR_INVALID,
					 "relay.trusted_proxies: '%.*s' is not a network",
					 STR_ARG(v->v[i]));
		}
	}
	e->trusted.n = v->n;
	return ERR_OK;
}

static enum err compile(struct relay_epoch *e, struct fault *f)
{
	const struct relay_config *c = e->config;

	if (c->reconnect_minimum_delay_ms > c->reconnect_maximum_delay_ms) {
		return fault_set(f, ERR_INVALID,
				 "relay.reconnect_minimum_delay: must not be more than "
				 "reconnect_maximum_delay");
	}
	TRY(parse_trusted(e, f));
	TRY(relay_log_flags(&c->request_logger_level, &e->log_flags, f));
	return interceptors_parse(&e->arena, c->interceptors, &e->rules, f);
}

enum err relay_epoch_new(const struct relay_config_epoch *source, struct relay_epoch **out,
			 struct fault *f)
{
	struct relay_epoch *e = MEM_NEW(struct relay_epoch);

	atomic_init(&e->refs, 1);
	e->source = *source;
	e->config = source->config;
	arena_init(&e->arena, 0);
	enum err result = compile(e, f);

	if (result != ERR_OK) {
		relay_epoch_unref(&e);
		return result;
	}
	*out = e;
	return ERR_OK;
}

enum err relay_check(const struct relay_config *config, struct fault *f)
{
	struct relay_epoch *e;

	TRY(relay_epoch_new(&(struct relay_config_epoch){.config = config}, &e, f));
	relay_epoch_unref(&e);
	return ERR_OK;
}

struct relay_epoch *relay_epoch_ref(struct relay_epoch *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	return e;
}

void relay_epoch_unref(struct relay_epoch **e)
{
	struct relay_epoch *it = *e;

	*e = NULL;
	if (it && atomic_fetch_sub_explicit(&it->refs, 1, memory_order_acq_rel) == 1) {
		release(&it->source);
		arena_fini(&it->arena);
		mem_free(it);
	}
}

bool relay_epoch_trusts(const struct relay_epoch *e, const struct addr *peer)
{
	return addr_nets_have(e->trusted, peer);
}
