/* A call whose answer is gathered in memory, up to a limit; see client.h. */
#include "base/mem.h"
#include "http/client.h"

struct http_fetch {
	struct http_call *call;
	struct loop *loop;
	http_fetch_fn *fn;
	void *arg;
	size_t max;
	const struct http_response *response; /* of the call */
	struct buf body;
	struct grave grave;
};

static void on_buried(struct grave *g)
{
	struct http_fetch *f = container_of(g, struct http_fetch, grave);

	buf_free(&f->body);
	mem_free(f);
}

static void finish(struct http_fetch *f, enum err e)
{
	struct http_fetch_result r = {.err = e};
	http_fetch_fn *fn = f->fn;

	if (f->response) {
		r.status = f->response->status;
		r.headers = &f->response->headers;
		r.body = buf_str(&f->body);
	}
	f->fn = NULL;
	loop_bury(f->loop, &f->grave, on_buried);
	fn(f->arg, &r);
}

static void too_large(struct http_fetch *f)
{
	http_call_cancel(f->call); /* its memory lasts until the end of the turn */
	finish(f, ERR_LIMIT);
}

static void on_head(struct http_call *c, const struct http_response *r)
{
	struct http_fetch *f = http_call_user(c);

	f->response = r;
	if (r->framing == HTTP_BODY_LENGTH && r->content_length > f->max) {
		too_large(f);
	}
}

static void on_data(struct http_call *c, struct str data)
{
	struct http_fetch *f = http_call_user(c);

	if (data.n > f->max - f->body.n) {
		too_large(f);
	} else {
		buf_put(&f->body, data);
	}
}

static void on_end(struct http_call *c)
{
	finish(http_call_user(c), ERR_OK);
}

static void on_fail(struct http_call *c, enum err why)
{
	finish(http_call_user(c), why);
}

static const struct http_call_handler events = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_fail = on_fail,
};

struct http_fetch *http_fetch_start(struct http_client *c, const struct http_call_spec *spec,
				    size_t max, http_fetch_fn *fn, void *arg)
{
	struct http_fetch *f = MEM_NEW(struct http_fetch);

	f->loop = http_client_loop(c);
	f->fn = fn;
	f->arg = arg;
	f->max = max;
	f->call = http_call_start(c, spec, &events, f);
	return f;
}

void http_fetch_cancel(struct http_fetch *f)
{
	if (f && f->fn) {
		http_call_cancel(f->call);
		f->fn = NULL;
		loop_bury(f->loop, &f->grave, on_buried);
	}
}
