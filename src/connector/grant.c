/* The access token: one for all connections and transfers of a connector. */
#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "base/mem.h"
#include "connector/connector_int.h"

#define TOKEN_BYTES_MAX ((size_t)64 << 10)
#define TOKEN_TIMEOUT_MS 15000

void grant_init(struct grant *g, struct connector *c)
{
	*g = (struct grant){.c = c};
	arena_init(&g->arena, 0);
	list_init(&g->waiting);
}

static void forget(struct grant *g)
{
	if (g->authorization.n > 0) {
		mem_wipe((char *)g->authorization.p, g->authorization.n);
	}
	g->authorization = STR_NULL;
	g->good_until_ms = 0;
	arena_reset(&g->arena);
}

void grant_fini(struct grant *g)
{
	if (g->fetch) {
		http_fetch_cancel(g->fetch);
		g->fetch = NULL;
	}
	forget(g);
	arena_fini(&g->arena);
}

static void tell_all(struct grant *g, enum err e)
{
	struct list waiting;
	struct list_node *n;

	/* Who asks again while being told waits for the next answer. */
	list_init(&waiting);
	list_splice(&waiting, &g->waiting);
	while ((n = list_pop(&waiting))) {
		struct grant_wait *w = container_of(n, struct grant_wait, node);

		w->fn(w, e, g->authorization);
	}
}

static enum err read_answer(struct grant *g, const struct http_fetch_result *r, struct fault *f)
{
	struct token_answer t;

	if (r->err != ERR_OK) {
		return fault_set(f, r->err, "token: %s", err_name(r->err));
	}
	if (r->status != 200) {
		return fault_set(f, ERR_DENIED, "token: the server answered %d", r->status);
	}
	TRY(token_answer_parse(&g->arena, r->body, &t, f));
	g->authorization = t.authorization;
	if (t.lifetime_ms == INT64_MAX) {
		g->good_until_ms = UINT64_MAX;
	} else if (t.lifetime_ms > 0) {
		g->good_until_ms = loop_now_ms(g->c->loop) + (uint64_t)t.lifetime_ms;
	}
	return ERR_OK;
}

static void on_answer(void *arg, const struct http_fetch_result *r)
{
	struct grant *g = arg;
	struct fault f = {0};

	g->fetch = NULL;
	forget(g);
	enum err e = read_answer(g, r, &f);

	if (e != ERR_OK) {
		forget(g);
		connector_trouble(g->c, "no access token", &f);
	}
	tell_all(g, e);
}

static void ask(struct grant *g)
{
	const struct connect_config *config = &g->c->config;
	struct arena a;

	arena_init(&a, 0);
	struct str basic = token_basic(&a, config->tenant, config->secret);
	const struct http_header headers[] = {
		{STR("Authorization"), basic},
		{STR("Content-Type"), STR("application/x-www-form-urlencoded")},
		{STR("Accept"), STR("application/json")},
		{STR("User-Agent"), STR(CONNECTOR_AGENT)},
	};
	struct http_call_spec spec = {
		.uri = g->c->at.token,
		.method = STR("POST"),
		.headers = headers,
		.n_headers = ARRAY_LEN(headers),
		.body_kind = HTTP_CALL_MEM,
		.body = STR("grant_type=client_credentials&scope=connector"),
		.timeout_ms = TOKEN_TIMEOUT_MS,
		.idle_timeout_ms = TOKEN_TIMEOUT_MS,
		.close = !config->use_http_keep_alive,
		.fd = -1,
	};

	g->fetch = http_fetch_start(g->c->http, &spec, TOKEN_BYTES_MAX, on_answer, g);
	mem_wipe((char *)basic.p, basic.n);
	arena_fini(&a);
}

void grant_get(struct grant *g, struct grant_wait *w, grant_fn *fn)
{
	w->fn = fn;
	if (!g->c->at.has_token || g->good_until_ms > loop_now_ms(g->c->loop)) {
		fn(w, ERR_OK, g->authorization);
		return;
	}
	list_push(&g->waiting, &w->node);
	if (!g->fetch) {
		ask(g);
	}
}

void grant_cancel(struct grant_wait *w)
{
	list_remove(&w->node);
}

void grant_refuse(struct grant *g)
{
	g->good_until_ms = 0;
}
