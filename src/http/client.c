/* The HTTP client itself; client_int.h says how its files share the work. */
#include "http/client.h"

#include "base/mem.h"
#include "http/client_int.h"

const struct http_client_options http_client_options_default = {
	.head = &h1_limits_answer,
	.connect_timeout_ms = 10000,
	.idle_timeout_ms = 60000,
	.pool_per_origin = 64,
	.idle_max = 2048,
	.connections_max = 0,
	.proxy_from_env = true,
};

struct http_client *http_client_new(struct loop *l, const struct http_client_options *o)
{
	struct http_client *c = MEM_NEW(struct http_client);

	c->loop = l;
	c->options = *o;
	c->refs = 1;
	c->tls = o->tls ? tls_client_ref(o->tls) : NULL;
	list_init(&c->calls);
	list_init(&c->free_calls);
	list_init(&c->idle);
	if (o->proxy_from_env) {
		c->proxies = http_proxy_env_read();
	}
	return c;
}

void http_client_ref(struct http_client *c)
{
	c->refs++;
}

void http_client_unref(struct http_client *c)
{
	if (--c->refs == 0) {
		mem_free(c);
	}
}

static void on_buried(struct grave *g)
{
	http_client_unref(container_of(g, struct http_client, grave));
}

void http_client_free(struct http_client **cp)
{
	struct http_client *c = *cp;
	struct map_entry e;
	struct list_node *n;
	size_t pos = 0;

	if (!c) {
		return;
	}
	*cp = NULL;
	c->closed = true;
	while ((n = list_first(&c->calls))) {
		http_call_cancel(container_of(n, struct http_call, node));
	}
	while (map_next(&c->origins, &pos, &e)) {
		client_origin_free(e.value);
	}
	map_free(&c->origins);
	while ((n = list_pop(&c->free_calls))) {
		http_call_free(container_of(n, struct http_call, node));
	}
	http_proxy_env_free(&c->proxies);
	tls_client_unref(&c->tls);
	tls_client_unref(&c->tls_h2);
	loop_bury(c->loop, &c->grave, on_buried);
}

struct loop *http_client_loop(const struct http_client *c)
{
	return c->loop;
}

struct tls_client *http_client_default_tls(struct http_client *c, enum http_call_version v)
{
	struct tls_client **tls = v == HTTP_CALL_H2 ? &c->tls_h2 : &c->tls;

	if (!*tls) {
		const struct tls_client_options o = {.alpn = v == HTTP_CALL_H2 ? TLS_ALPN_H2
									       : TLS_ALPN_HTTP1};

		/* Nothing in it can be wrong; an unreadable store of CAs trusts nobody. */
		ASSERT(tls_client_new(&o, tls, NULL) == ERR_OK);
	}
	return *tls;
}

struct http_client *http_client_of(struct loop *l)
{
	struct http_client *c = loop_local(l, LOOP_LOCAL_HTTP_CLIENT);

	if (!c) {
		c = http_client_new(l, &http_client_options_default);
		loop_set_local(l, LOOP_LOCAL_HTTP_CLIENT, c);
	}
	return c;
}

void http_loop_fini(struct loop *l)
{
	struct http_client *c = loop_local(l, LOOP_LOCAL_HTTP_CLIENT);

	http_client_free(&c);
	loop_set_local(l, LOOP_LOCAL_HTTP_CLIENT, NULL);
}

void http_client_stats(const struct http_client *c, struct http_client_stats *out)
{
	*out = c->stats;
}
