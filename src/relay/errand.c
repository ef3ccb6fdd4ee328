#include "relay/errand.h"

#include "base/mem.h"

struct errand *errand_new(struct relay_loop *rl, struct exchange *x)
{
	struct errand *e = MEM_NEW(struct errand);

	arena_init(&e->arena, 0);
	e->relay = rl->relay;
	e->rl = rl;
	e->client = exchange_id(x);
	return e;
}

void errand_free(struct errand *e)
{
	if (e->link && e->drop_link) {
		e->drop_link(e->link);
	}
	blob_abort(&e->writer);
	body_count_unref(&e->count, e->rl);
	buf_free(&e->data);
	arena_fini(&e->arena);
	mem_free(e);
}

void errand_set_visitor(struct errand *e, const struct hub_visitor *v)
{
	struct arena *a = &e->arena;

	e->visitor = (struct hub_visitor){
		str_dup(a, v->tenant_key), str_dup(a, v->client_id), str_dup(a, v->client_name),
		str_dup(a, v->client_description), str_dup(a, v->remote_ip)};
}

static void on_arrived(struct msg *m, struct loop *l)
{
	struct errand *e = container_of(m, struct errand, msg);

	(void)l;
	e->fn(e);
}

static void on_dropped(struct msg *m)
{
	errand_free(container_of(m, struct errand, msg));
}

void errand_go(struct errand *e, struct relay_loop *to, errand_fn *fn)
{
	e->rl = to;
	e->fn = fn;
	e->msg = (struct msg){.run = on_arrived, .drop = on_dropped};
	relay_hop(to, &e->msg);
}

void errand_go_back(struct errand *e, errand_fn *fn)
{
	errand_go(e, relay_loop_of(e->relay, e->client.loop), fn);
}

struct exchange *errand_exchange(struct errand *e)
{
	return exchange_find(e->client);
}

static const struct http_header poll_headers[] = {
	{STR_INIT("Content-Type"), STR_INIT("application/octet-stream")},
	{STR_INIT("Cache-Control"), STR_INIT("no-cache, no-store")},
	{STR_INIT("Pragma"), STR_INIT("no-cache")},
	{STR_INIT("Expires"), STR_INIT("Thu, 01 Jan 1970 00:00:00 GMT")},
};

static void on_reply(struct errand *e)
{
	struct exchange *x = errand_exchange(e);
	struct http_header type = {STR("Content-Type"), e->content_type};
	struct exchange_answer a = {.status = e->status, .body = buf_str(&e->data)};

	if (e->is_poll) {
		a.headers = poll_headers;
		a.n_headers = ARRAY_LEN(poll_headers);
	} else if (e->content_type.p) {
		a.headers = &type;
		a.n_headers = 1;
	}
	if (x) {
		exchange_reply(x, &a);
	}
	errand_free(e);
}

void errand_reply(struct errand *e, int status, struct str content_type)
{
	e->status = status;
	e->content_type = content_type; /* static */
	errand_go_back(e, on_reply);
}

void errand_reply_text(struct errand *e, int status, struct str text)
{
	buf_clear(&e->data);
	buf_put(&e->data, text);
	errand_reply(e, status, text.n > 0 ? STR("text/plain") : STR_NULL);
}
