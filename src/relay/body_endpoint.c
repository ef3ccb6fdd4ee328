/*
 * GET /body/request/{id} and POST /body/response/{id}: large bodies, moved by connectors. And, ours
 * alone, GET /body/response/{id}: 204 while a response is wanted, then 410.
 *
 * A request belongs to a tenant, and so do its bodies: the home loop is asked first
 * whether it exists and is of the token's tenant; else 404. The body of an upload is not read
 * before that.
 */
#include "base/enc.h"
#include "relay/endpoint.h"

static struct relay_request *find_own(struct errand *e)
{
	struct relay_request *r = e->rl->stopped ? NULL : request_find(e->rl, &e->id);

	return r && str_eq(r->tenant_key, e->visitor.tenant_key) ? r : NULL;
}

/* False: answered. */
static bool begin(struct relay_loop *rl, struct exchange *x, const struct guid *id,
		  struct relay_loop **out_home, struct hub_visitor *out)
{
	if (!endpoint_visitor(rl, x, TOKEN_IN_HEADER, out)) {
		return false;
	}
	*out_home = relay_request_home(rl->relay, id);
	if (!*out_home) {
		exchange_reply_status(x, 404);
		return false;
	}
	return true;
}

/* -- download ------------------------------------------------------------------- */

struct download {
	struct body_send *send;
};

static void on_download_drained(struct exchange *x)
{
	struct download *d = exchange_user(x);

	if (d->send) {
		(void)body_send_more(d->send);
	}
}

static void on_download_abort(struct exchange *x, int status)
{
	struct download *d = exchange_user(x);

	(void)status;
	if (d->send) {
		body_send_stop(d->send);
	}
}

static const struct exchange_handler download_handler = {
	.on_drained = on_download_drained,
	.on_abort = on_download_abort,
};

static void on_taken(struct errand *e)
{
	struct relay_request *r = find_own(e);

	if (r) {
		request_body_taken(r);
	}
	errand_free(e);
}

static void on_not_taken(struct errand *e)
{
	struct relay_request *r = find_own(e);

	if (r) {
		r->is_promised = false;
	}
	errand_free(e);
}

/* Whoever was promised the body does not get it. */
static void give_up(struct errand *e)
{
	if (e->flag) {
		errand_go(e, relay_request_home(e->relay, &e->id), on_not_taken);
	} else {
		errand_free(e);
	}
}

/* It was there a moment ago. */
static void on_not_found(struct errand *e)
{
	struct relay_request *r = find_own(e);

	if (r && e->flag) {
		r->is_promised = false;
	}
	if (r) {
		request_body_refused(r);
	}
	errand_reply_text(e, 404, STR(""));
}

static void on_download_found(struct errand *e)
{
	static const struct http_header type = {STR_INIT("Content-Type"),
						STR_INIT("application/octet-stream")};
	static const struct exchange_answer head = {
		.status = 200, .headers = &type, .n_headers = 1};
	struct exchange *x = errand_exchange(e);
	struct body_source from = {.count = e->count};

	if (!x) {
		give_up(e);
		return;
	}
	if (blob_open(e->relay->deps.bodies, (struct blob_key){BLOB_REQUEST, e->id},
		      &from.reader) != ERR_OK) {
		errand_go(e, relay_request_home(e->relay, &e->id), on_not_found);
		return;
	}
	struct download *d = exchange_user(x);
	e->count = NULL;
	struct body_send *send = body_send_start(x, e->rl, &head, &from);

	if (send) {
		d->send = send;
	}
	if (e->flag) {
		errand_go(e, relay_request_home(e->relay, &e->id), on_taken);
	} else {
		errand_free(e);
	}
}

static void on_download_home(struct errand *e)
{
	struct relay_request *r = find_own(e);

	if (r && r->is_stored && !r->is_promised) {
		r->is_promised = e->flag;
		e->count = body_count_ref(r->stored);
		errand_go_back(e, on_download_found);
		return;
	}
	if (r) {
		request_body_refused(r);
	}
	errand_reply_text(e, 404, STR(""));
}

static bool wants_delete(const struct exchange *x, struct arena *a)
{
	struct str v;

	return form_get_nocase(a, exchange_request(x)->query, STR("delete"), &v) == ERR_OK &&
	       str_eq_nocase(v, STR("true"));
}

void endpoint_body_request(struct relay_loop *rl, struct exchange *x, const struct guid *id)
{
	struct relay_loop *home;
	struct hub_visitor v;

	if (exchange_request(x)->method != HTTP_GET) {
		exchange_reply_allow(x, STR("GET"));
		return;
	}
	if (!begin(rl, x, id, &home, &v)) {
		return;
	}
	struct errand *e = errand_new(rl, x);

	e->id = *id;
	e->flag = wants_delete(x, exchange_arena(x));
	errand_set_visitor(e, &v);
	exchange_set_user(x, ARENA_NEW(exchange_arena(x), struct download));
	exchange_collect(x, 0, &download_handler);
	errand_go(e, home, on_download_home);
}

/* -- upload ----------------------------------------------------------------------- */

struct upload {
	struct relay_loop *rl;
	struct guid id;
	struct blob_writer *writer;
	struct body_count *count;
	struct hub_visitor visitor;
};

/* Under this name there may be the body of the answer already, which nobody has opened yet. */
static void on_uploaded(struct errand *e)
{
	struct relay_request *r = find_own(e);

	if (r && blob_commit(&e->writer) != ERR_OK) {
		errand_reply_text(e, 503, STR(""));
		return;
	}
	if (r) {
		request_response_stored(r, &e->count);
	}
	buf_printf(&e->data, "%llu", (unsigned long long)e->number);
	errand_reply(e, 200, STR("text/plain"));
}

static void drop_upload(struct upload *u)
{
	blob_abort(&u->writer);
	body_count_unref(&u->count, u->rl);
}

static void on_upload_data(struct exchange *x, struct str data)
{
	struct upload *u = exchange_user(x);

	if (relay_bodies_full(u->rl) || blob_append(u->writer, data) != ERR_OK) {
		drop_upload(u);
		exchange_reply_status(x, 503);
		return;
	}
	body_count_add(&u->count, u->rl, data.n);
}

static void finish_upload(struct exchange *x, struct upload *u)
{
	struct relay_loop *home = relay_request_home(u->rl->relay, &u->id);
	struct errand *e = errand_new(u->rl, x);

	e->id = u->id;
	e->number = blob_written(u->writer);
	e->writer = u->writer;
	u->writer = NULL;
	e->count = u->count;
	u->count = NULL;
	errand_set_visitor(e, &u->visitor);
	errand_go(e, home, on_uploaded);
}

static void on_upload_end(struct exchange *x)
{
	finish_upload(x, exchange_user(x));
}

static void on_upload_abort(struct exchange *x, int status)
{
	struct upload *u = exchange_user(x);

	(void)status;
	drop_upload(u);
}

static const struct exchange_handler upload_handler = {
	.on_data = on_upload_data,
	.on_end = on_upload_end,
	.on_abort = on_upload_abort,
};

static void on_upload_allowed(struct errand *e)
{
	struct exchange *x = errand_exchange(e);
	struct relay *relay = e->relay;

	errand_free(e);
	if (!x) {
		return;
	}
	struct upload *u = exchange_user(x);
	struct blob_key key = {BLOB_RESPONSE, u->id};

	if (blob_create(relay->deps.bodies, key, 0, &u->writer) != ERR_OK) {
		exchange_reply_status(x, 503);
		return;
	}
	exchange_stream(x, (uint64_t)u->rl->epoch->config->max_response_body_size, &upload_handler);
}

/* Nobody waits for it any more. One that is complete is told so by on_uploaded. */
static void on_upload_over(struct exchange *x)
{
	struct upload *u = exchange_user(x);

	if (u->writer) {
		drop_upload(u);
		exchange_reply_status(x, 404);
	}
}

static void on_upload_home(struct errand *e)
{
	struct relay_request *r = find_own(e);

	if (r &&
	    (r->state == REQUEST_SENT || r->state == REQUEST_QUEUED || r->state == REQUEST_ACKED)) {
		upload_watch_add(&r->uploads, e->client, on_upload_over);
		errand_go_back(e, on_upload_allowed);
	} else {
		errand_reply_text(e, 404, STR(""));
	}
}

/* Another process, a former one too, knows of others; then we cannot tell. */
static bool is_of_here(struct relay_loop *rl, struct exchange *x)
{
	struct str origin;

	return form_get_nocase(exchange_arena(x), exchange_request(x)->query, STR("origin"),
			       &origin) == ERR_OK &&
	       str_eq_nocase(origin, str_of(rl->relay->origin_d, GUID_D_LEN));
}

/* Whether anybody waits for it. */
static void on_wanted_home(struct errand *e)
{
	errand_reply_text(e, find_own(e) ? 204 : 410, STR(""));
}

void endpoint_body_response(struct relay_loop *rl, struct exchange *x, const struct guid *id)
{
	enum http_method method = exchange_request(x)->method;
	struct relay_loop *home;
	struct hub_visitor v;

	if (method != HTTP_GET && method != HTTP_POST) {
		exchange_reply_allow(x, STR("GET, POST"));
		return;
	}
	if (!begin(rl, x, id, &home, &v)) {
		return;
	}
	if (method == HTTP_GET && !is_of_here(rl, x)) {
		exchange_reply_status(x, 404);
		return;
	}
	struct errand *e = errand_new(rl, x);

	e->id = *id;
	errand_set_visitor(e, &v);
	if (method == HTTP_GET) {
		errand_go(e, home, on_wanted_home);
		return;
	}
	struct upload *u = ARENA_NEW(exchange_arena(x), struct upload);

	*u = (struct upload){.rl = rl, .id = *id, .visitor = v};
	exchange_set_user(x, u);
	errand_go(e, home, on_upload_home);
}
