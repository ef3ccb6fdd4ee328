/*
 * A REST request: matched and checked on the loop, run on a worker, answered on the loop.
 *
 *   dispatch -> collect body -> (job: handler) -> done -> reply
 *
 * struct rest_call carries it. It belongs to the exchange while the body comes
 * (freed in on_abort), then to the job (freed in on_done), which finds the exchange by id.
 */
#include "http/rest.h"

#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

#define UNREAD_BODY_MAX ((size_t)64 << 10)
#define TIMEOUT_MS 30000
#define TRIES 3
#define ALLOWED_MAX 10

struct rest_call {
	struct job job;
	struct task task;
	const struct rest *rest;
	const struct rest_route *route;
	struct exchange_id exchange;
};

int rest_status(enum err e)
{
	switch (e) {
	case ERR_OK:
		return 200;
	case ERR_INVALID:
	case ERR_PROTO:
		return 400;
	case ERR_UNAUTHENTICATED:
		return 401;
	case ERR_DENIED:
		return 403;
	case ERR_NOT_FOUND:
		return 404;
	case ERR_CONFLICT:
		return 409;
	case ERR_LIMIT:
		return 413;
	case ERR_UNAVAILABLE:
	case ERR_EXHAUSTED:
	case ERR_AGAIN:
		return 503;
	case ERR_TIMEOUT:
		return 504;
	case ERR_CANCELED:
	case ERR_CLOSED:
	case ERR_IO:
	case ERR_INTERNAL:
		return 500;
	}
	return 500;
}

/* ---- matching ---- */

static bool decode_segment(struct arena *a, struct str raw, struct str *out)
{
	struct buf b = {0};
	bool ok = percent_decode(&b, raw) == ERR_OK;

	if (ok) {
		*out = str_dup(a, buf_str(&b));
	}
	buf_free(&b);
	return ok;
}

static bool match_segment(struct arena *a, struct str pattern, struct str raw,
			  struct task_param *params, size_t *n_params)
{
	struct str value;

	if (!decode_segment(a, raw, &value)) {
		return false;
	}
	if (pattern.n < 2 || pattern.p[0] != '{') {
		return str_eq_nocase(pattern, value);
	}
	if (value.n == 0) {
		return false;
	}
	ASSERT(*n_params < TASK_PARAMS_MAX);
	params[(*n_params)++] = (struct task_param){str_slice(pattern, 1, pattern.n - 2), value};
	return true;
}

/* "/a/b" and "/a/b/" are the same. */
static struct str without_slashes(struct str path)
{
	path = str_starts(path, STR("/")) ? str_skip(path, 1) : path;
	return str_ends(path, STR("/")) ? str_slice(path, 0, path.n - 1) : path;
}

static bool match_path(struct arena *a, const char *pattern, struct str path,
		       struct task_param *params, size_t *n_params)
{
	struct str want = without_slashes(str_c(pattern)), got = without_slashes(path);

	*n_params = 0;
	while (want.n > 0 || got.n > 0) {
		struct str w, g;

		if (!str_split(&want, '/', &w) || !str_split(&got, '/', &g) ||
		    !match_segment(a, w, g, params, n_params)) {
			return false;
		}
	}
	return true;
}

static bool method_fits(const struct rest_route *r, const struct http_request *req)
{
	return str_eq(str_c(r->method), req->method_text) ||
	       (req->method == HTTP_HEAD && str_eq(str_c(r->method), STR("GET")));
}

/* The methods that a path knows, each once, sorted. */
struct allowed {
	struct str v[ALLOWED_MAX];
	size_t n;
};

static void allow(struct allowed *a, struct str method)
{
	size_t i = 0;

	while (i < a->n && str_cmp(a->v[i], method) < 0) {
		i++;
	}
	if (a->n == ALLOWED_MAX || (i < a->n && str_eq(a->v[i], method))) {
		return;
	}
	memmove(&a->v[i + 1], &a->v[i], (a->n - i) * sizeof(a->v[0]));
	a->v[i] = method;
	a->n++;
}

/* NULL and the methods that would fit (none: no such path). */
static const struct rest_route *match(const struct rest *rest, struct exchange *x,
				      struct rest_call *call, struct allowed *out)
{
	const struct http_request *req = exchange_request(x);

	for (size_t i = 0; i < rest->table->n; i++) {
		const struct rest_route *r = &rest->table->routes[i];

		if (!match_path(exchange_arena(x), r->path, req->path, call->task.params,
				&call->task.n_params)) {
			continue;
		}
		if (method_fits(r, req)) {
			return r;
		}
		allow(out, str_c(r->method));
		if (rest->answers_options) {
			allow(out, STR("OPTIONS"));
			allow(out,
			      str_eq(str_c(r->method), STR("GET")) ? STR("HEAD") : STR("OPTIONS"));
		}
	}
	return NULL;
}

static struct str allow_text(struct arena *a, const struct allowed *allowed)
{
	struct buf b = {0};
	struct str s;

	for (size_t i = 0; i < allowed->n; i++) {
		buf_put(&b, i > 0 ? STR(", ") : STR(""));
		buf_put(&b, allowed->v[i]);
	}
	s = str_dup(a, buf_str(&b));
	buf_free(&b);
	return s;
}

/* ---- access ---- */

static enum err check_access(const struct rest *rest, const struct rest_route *route,
			     const struct http_request *req)
{
	struct str name = rest->key_header.p ? rest->key_header : STR("Api-Key");
	struct str given = http_header_get(&req->headers, name);
	const struct rest_keys *keys = atomic_load(&rest->keys);
	unsigned may = 0;
	bool known = false;

	if (route->access == REST_OPEN) {
		return ERR_OK;
	}
	for (size_t i = 0; keys && i < keys->n; i++) { /* all: time must not tell which */
		bool same = given.n > 0 && str_eq_const_time(given, keys->v[i].key);

		known = known || same;
		may |= same ? keys->v[i].may : 0;
	}
	if (!known) {
		return ERR_UNAUTHENTICATED;
	}
	return may & (route->access == REST_READ ? REST_MAY_READ : REST_MAY_WRITE) ? ERR_OK
										   : ERR_DENIED;
}

/* ---- failures ---- */

void rest_problem(struct task *t, int status)
{
	struct json_writer w = task_reply_writer(t, status);

	t->reply.content_type = STR("application/problem+json");
	json_begin_object(&w);
	json_key(&w, STR("title"));
	json_put_str(&w, http_reason(status));
	json_key(&w, STR("status"));
	json_put_int(&w, status);
	if (t->fault.code != ERR_OK && status < 500) {
		json_key(&w, STR("detail"));
		json_put_str(&w, str_c(t->fault.text));
	}
	json_end_object(&w);
}

static void fail(const struct rest *rest, struct task *t, enum err e)
{
	int status = t->refused_status ? t->refused_status : rest_status(e);

	if (status >= 500) {
		log_error(rest->table->role, "request failed",
			  LOG_STR("method", t->request.method_text),
			  LOG_STR("path", t->request.path), LOG_INT("status", status),
			  LOG_STR("reason", str_c(err_name(e))), LOG_FAULT(&t->fault));
	}
	t->reply.status = status;
	t->reply.headers.n = 0;
	buf_clear(&t->reply.body);
	if (rest->on_error) {
		rest->on_error(t, status);
	} else {
		rest_problem(t, status);
	}
}

/* ---- answering ---- */

static void reply(const struct rest *rest, struct exchange *x, struct task *t)
{
	struct http_headers *h = &t->reply.headers;
	struct exchange_answer a = {.status = t->reply.status, .body = buf_str(&t->reply.body)};

	if (t->reply.body.n > 0 && t->reply.content_type.n > 0) {
		http_header_set(&t->arena, h, STR("Content-Type"), t->reply.content_type);
	}
	if (rest->on_reply) {
		rest->on_reply(t);
	}
	a.headers = h->v;
	a.n_headers = h->n;
	exchange_reply(x, &a);
}

static void call_free(struct rest_call *call)
{
	buf_free(&call->task.reply.body);
	arena_fini(&call->task.arena);
	mem_free(call);
}

static void refuse(struct exchange *x, struct rest_call *call, enum err e)
{
	struct task *t = &call->task;

	t->request = *exchange_request(x);
	fail(call->rest, t, e);
	reply(call->rest, x, t);
	call_free(call);
}

/* ---- the job ---- */

static enum err run_once(struct rest_call *call, void *worker)
{
	const struct rest_worker_ops *ops = call->rest->worker_ops;
	struct task *t = &call->task;
	enum err e;

	if (ops) {
		ops->begin(t, worker);
	}
	e = call->route->handler(t);
	if (ops) {
		ops->end(t, worker);
	}
	return e;
}

static void on_run(struct job *j, void *worker)
{
	struct rest_call *call = container_of(j, struct rest_call, job);
	const struct rest_worker_ops *ops = call->rest->worker_ops;
	struct task *t = &call->task;
	enum err e = run_once(call, worker);

	for (int i = 1; i < TRIES && e != ERR_OK && ops && ops->may_retry(t, e); i++) {
		t->fault = (struct fault){0};
		t->refused_status = 0;
		e = run_once(call, worker);
	}
	if (e != ERR_OK) {
		fail(call->rest, t, e);
	}
}

static void on_done(struct job *j)
{
	struct rest_call *call = container_of(j, struct rest_call, job);
	struct exchange *x = loop_current() ? exchange_find(call->exchange) : NULL;

	if (x) {
		exchange_set_user(x, NULL);
		if (j->expired || call->task.reply.status == 0) {
			fail(call->rest, &call->task, ERR_UNAVAILABLE);
		}
		reply(call->rest, x, &call->task);
	}
	call_free(call);
}

/* Token requests and the like, in the other pool, wait for no writers. */
static bool is_write(const struct rest_call *call)
{
	enum http_method m = call->task.request.method;

	return call->route->pool == REST_DB && m != HTTP_GET && m != HTTP_HEAD;
}

static void on_body_end(struct exchange *x)
{
	struct rest_call *call = exchange_user(x);
	struct task *t = &call->task;
	const struct rest *rest = call->rest;
	uint32_t timeout = rest->timeout_ms ? rest->timeout_ms : TIMEOUT_MS;
	const struct addr *client =
		rest->client ? rest->client(x, rest->client_role) : exchange_peer(x);
	char ip[ADDR_TEXT_MAX];
	struct buf body = {0};

	t->peer_ip = str_dup(exchange_arena(x), str_of(ip, addr_format_ip(client, ip)));
	t->base_url = exchange_base_url(x);
	exchange_take(x, &t->arena, &t->request, &body);
	t->body = str_dup(&t->arena, buf_str(&body));
	buf_free(&body);
	t->deadline_ms = clock_mono_ms() + timeout;
	t->canceled = &call->job.canceled;
	call->job.run = on_run;
	call->job.done = on_done;
	call->job.home = exchange_loop(x);
	call->job.writes = is_write(call);
	call->job.deadline_ms = t->deadline_ms;
	if (pool_submit(rest->pools[call->route->pool], &call->job) != ERR_OK) {
		exchange_set_user(x, NULL);
		fail(rest, t, ERR_UNAVAILABLE);
		reply(rest, x, t);
		call_free(call);
	}
}

static void on_abort(struct exchange *x, int status)
{
	struct rest_call *call = exchange_user(x);

	(void)status;
	if (!call) {
		return;
	}
	if (call->job.run) {
		atomic_store(&call->job.canceled, true); /* the job frees it */
	} else {
		call_free(call);
	}
}

static const struct exchange_handler rest_handler = {.on_end = on_body_end, .on_abort = on_abort};

/* ---- dispatch ---- */

static void no_route(struct exchange *x, struct rest_call *call, struct str allow)
{
	const struct rest *rest = call->rest;
	struct task *t = &call->task;

	if (allow.n == 0 && rest->fallback) {
		call_free(call);
		rest->fallback(x, rest->fallback_role);
		return;
	}
	t->request = *exchange_request(x);
	if (allow.n > 0 && rest->answers_options && t->request.method == HTTP_OPTIONS) {
		t->reply.status = 204;
	} else {
		t->refused_status = allow.n > 0 ? 405 : 404;
		fail(rest, t, ERR_NOT_FOUND);
	}
	if (allow.n > 0) {
		http_header_add(&t->arena, &t->reply.headers, STR("Allow"), allow);
	}
	reply(rest, x, t);
	call_free(call);
}

void rest_dispatch(struct exchange *x, void *arg)
{
	const struct rest *rest = arg;
	struct rest_call *call = MEM_NEW(struct rest_call);
	struct allowed allowed = {0};
	enum err e;

	arena_init(&call->task.arena, 0);
	call->rest = rest;
	call->exchange = exchange_id(x);
	call->task.role = rest->role;
	call->task.start_ms = exchange_start_ms(x);
	call->route = match(rest, x, call, &allowed);
	if (!call->route) {
		no_route(x, call, allow_text(exchange_arena(x), &allowed));
		return;
	}
	call->task.route_arg = call->route->arg;
	e = check_access(rest, call->route, exchange_request(x));
	if (e != ERR_OK) {
		refuse(x, call, e);
		return;
	}
	exchange_set_user(x, call);
	exchange_collect(x, call->route->body_max ? call->route->body_max : UNREAD_BODY_MAX,
			 &rest_handler);
}
