#include "app/fetch.h"

#include "http/client.h"
#include "net/dns.h"

#define FETCH_TIMEOUT_MS 10000

struct fetch_wait {
	struct loop *loop;
	struct http_fetch *fetch;
	struct timer deadline;
	struct arena *arena;
	struct str url;
	struct str text;
	struct fault *fault;
	enum err err;
};

static void on_fetched(void *arg, const struct http_fetch_result *r)
{
	struct fetch_wait *w = arg;

	if (r->err != ERR_OK) {
		w->err = fault_set(w->fault, ERR_UNAVAILABLE, "%.*s: %s", STR_ARG(w->url),
				   err_name(r->err));
	} else if (r->status != 200) {
		w->err = fault_set(w->fault, ERR_UNAVAILABLE, "%.*s answered %d", STR_ARG(w->url),
				   r->status);
	} else {
		w->text = str_dup(w->arena, r->body);
		w->err = ERR_OK;
	}
	loop_stop(w->loop);
}

/* Of the whole: a server may say a byte now and then. */
static void on_deadline(struct timer *t)
{
	struct fetch_wait *w = container_of(t, struct fetch_wait, deadline);

	http_fetch_cancel(w->fetch);
	on_fetched(w, &(struct http_fetch_result){.err = ERR_TIMEOUT});
}

enum err fetch_text(struct arena *a, struct str url, struct str *out_text, struct fault *f)
{
	struct fetch_wait w = {.loop = loop_new(0), .arena = a, .url = url, .fault = f};
	struct http_call_spec spec = {.method = STR("GET"), .close = true, .fd = -1};

	w.err = uri_parse(url, &spec.uri, f);
	if (w.err == ERR_OK) {
		w.fetch = http_fetch_start(http_client_of(w.loop), &spec, CONFIG_TEXT_MAX,
					   on_fetched, &w);
		timer_start(w.loop, &w.deadline, FETCH_TIMEOUT_MS, on_deadline);
		loop_run(w.loop);
		timer_stop(w.loop, &w.deadline);
		http_loop_fini(w.loop);
		dns_loop_fini(w.loop);
	}
	loop_free(&w.loop);
	if (w.err == ERR_OK) {
		*out_text = w.text;
	}
	return w.err;
}
