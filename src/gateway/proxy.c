/*
 * A request through the gateway.
 *
 *   NEW --plugins want the body--> BODY --collected--> (access) --> UPSTREAM
 *    '--------- (access) ------------------------------------------^   |  | try again
 *                                                       UPSTREAM <-----'--'
 *   UPSTREAM --head--> ANSWER --end--> DONE
 *      |   '--head, a plugin wants the body--> WHOLE --end--> DONE
 *      '--101--> TUNNEL
 *   any --answered by us, client gone--> DONE
 *
 * The call stands in the exchange's arena, so whatever ends the exchange ends it: the log phase
 * runs just before that. A body that is small is collected first, so that another try can send
 * it again; a larger one is streamed, and what was passed on cannot be tried again. One of unknown
 * length is streamed, and kept while it is small.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "gateway/call_int.h"
#include "gateway/path.h"

enum { WARN_EVERY_MS = 10000 };

static const uint8_t call_next[CALL_STATES] = {
	[CALL_NEW] = 1u << CALL_BODY | 1u << CALL_UPSTREAM | 1u << CALL_DONE,
	[CALL_BODY] = 1u << CALL_UPSTREAM | 1u << CALL_DONE,
	[CALL_UPSTREAM] =
		1u << CALL_ANSWER | 1u << CALL_WHOLE | 1u << CALL_TUNNEL | 1u << CALL_DONE,
	[CALL_ANSWER] = 1u << CALL_DONE,
	[CALL_WHOLE] = 1u << CALL_DONE,
	[CALL_TUNNEL] = 1u << CALL_DONE,
};

void call_enter(struct gw_call *c, enum call_state to)
{
	ASSERT(call_next[c->state] & 1u << to);
	c->state = to;
}

/* ---- epochs on a loop ---- */

static void let_go(struct hold *h)
{
	if (h->calls == 0 && !h->current) {
		epoch_unref(&h->epoch);
		mem_free(h);
	}
}

/* On each loop, while the applying thread waits. */
void gw_loop_take_epoch(struct gw_loop *gl, struct epoch *e)
{
	struct hold *old = gl->hold;

	gl->hold = MEM_NEW(struct hold);
	gl->hold->epoch = epoch_ref(e);
	gl->hold->current = true;
	if (old) {
		old->current = false;
		let_go(old);
	}
}

void gw_loop_drop_epoch(struct gw_loop *gl)
{
	if (gl->hold) {
		gl->hold->current = false;
		let_go(gl->hold);
		gl->hold = NULL;
	}
}

bool gw_loop_may_warn(const struct gw_loop *gl, uint64_t *at_ms)
{
	uint64_t now = loop_now_ms(gl->loop);

	if (now < *at_ms) {
		return false;
	}
	*at_ms = now + WARN_EVERY_MS;
	return true;
}

/* ---- the end ---- */

struct hold *call_leave(struct gw_call *c)
{
	if (c->balance) {
		balancer_wait_cancel(&c->balance->waiter);
		timer_stop(c->gl->loop, &c->balance->dns_timer);
		call_tell_balancer(c, call_cut_outcome(c), c->facts.upstream_status);
	}
	if (c->call) {
		http_call_cancel(c->call);
		c->call = NULL;
	}
	buf_free(&c->answer_body);
	buf_free(&c->kept_body);
	if (c->bytes_held > 0) {
		body_share_give(&c->gl->bodies, c->bytes_held);
	}
	list_remove(&c->node);
	atomic_fetch_sub_explicit(&c->gl->active, 1, memory_order_relaxed);
	return c->hold;
}

void hold_put(struct hold *h)
{
	h->calls--;
	let_go(h);
}

/* As in HTTP/1.1, whatever it came as. */
static uint64_t head_bytes(size_t first_line, const struct http_headers *h)
{
	uint64_t n = first_line + 2;

	for (size_t i = 0; i < h->n; i++) {
		n += h->v[i].name.n + h->v[i].value.n + 4;
	}
	return n;
}

static uint64_t line_bytes(size_t name, size_t value)
{
	return name + value + sizeof(": \r\n") - 1;
}

/* What the server adds to an answer: when it was made, and how it ends. */
static uint64_t added_bytes(const struct gw_call *c)
{
	uint64_t n = 0;

	if (!http_header_get(&c->answer, STR("date")).p) {
		n += line_bytes(sizeof("Date") - 1, CLOCK_HTTP_DATE_LEN);
	}
	if (c->status < 200 || c->status == 204 || c->status == 304) {
		return n;
	}
	if (c->answer_length < 0) {
		return n + line_bytes(sizeof("Transfer-Encoding") - 1, sizeof("chunked") - 1);
	}
	size_t digits = 1;
	for (int64_t v = c->answer_length; v > 9; v /= 10) {
		digits++;
	}
	return n + line_bytes(sizeof("Content-Length") - 1, digits);
}

static void complete_facts(struct gw_call *c)
{
	const struct http_request *r = exchange_request(c->x);

	c->facts.status = c->status;
	c->facts.total_ms = (uint32_t)(loop_now_ms(c->gl->loop) - c->start_ms);
	c->facts.request_bytes += head_bytes(
		r->method_text.n + r->target.n + sizeof("  HTTP/1.1\r\n") - 1, &r->headers);
	c->facts.answer_bytes +=
		head_bytes(sizeof("HTTP/1.1 200 \r\n") - 1 + http_reason(c->status).n, &c->answer) +
		added_bytes(c);
}

/*
 * As in the original: protocols tell HTTP from streams, and no request from another. Which of
 * HTTP's it is depends on what the client says of its body.
 */
static bool runs(const struct plugin_instance *p)
{
	return p && !p->broken && p->protocols & GW_ALL_HTTP;
}

void call_log(struct gw_call *c)
{
	bool is_first = true;

	if (c->logged) {
		return;
	}
	c->logged = true;
	for (size_t i = 0; i < c->n_plugins; i++) {
		const struct plugin_instance *p = c->plugins[i];

		if (runs(p) && p->plugin->log) {
			if (is_first) {
				is_first = false;
				complete_facts(c);
			}
			p->plugin->log(c, p);
		}
	}
}

static void on_abort(struct exchange *x, int status)
{
	struct gw_call *c = exchange_user(x);

	if (c->state != CALL_DONE) {
		c->status = status > 0 ? status : 499;
		call_enter(c, CALL_DONE);
		call_log(c);
		hold_put(call_leave(c));
	}
}

/* ---- phases ---- */

static bool rewrite(struct gw_call *c)
{
	for (size_t i = 0; i < c->n_plugins; i++) {
		const struct plugin_instance *p = c->plugins[i];

		if (runs(p) && p->global && p->plugin->rewrite &&
		    p->plugin->rewrite(c, p) == PLUGIN_ANSWERED) {
			return false;
		}
	}
	return true;
}

/* What plugins said earlier is part of the head that those of lower priority edit. */
void call_run_response_head(struct gw_call *c)
{
	bool is_edited = c->own.n > 0 || c->extra.n > 0;

	for (size_t i = 0; i < c->own.n; i++) {
		http_header_set(c->arena, &c->answer, c->own.v[i].name, c->own.v[i].value);
	}
	for (size_t i = 0; i < c->extra.n; i++) {
		http_header_add(c->arena, &c->answer, c->extra.v[i].name, c->extra.v[i].value);
	}
	for (size_t i = 0; i < c->n_plugins; i++) {
		const struct plugin_instance *p = c->plugins[i];

		if (runs(p) && p->plugin->response_head) {
			p->plugin->response_head(c, p);
			is_edited = true;
		}
	}
	if (is_edited) {
		call_strip_framing(c);
	}
}

bool call_is_edited(const struct gw_call *c, enum plugin_side to, struct str name)
{
	for (size_t i = 0; i < c->n_plugins; i++) {
		const struct plugin_instance *p = c->plugins[i];

		if (runs(p) && p->plugin->edits && p->plugin->edits(p, to, name)) {
			return true;
		}
	}
	return false;
}

static bool wants_answer_body(const struct gw_call *c, const struct plugin_instance *p)
{
	return runs(p) && p->needs & PLUGIN_NEEDS_ANSWER_BODY &&
	       p->plugin->wants_answer(p, &c->answer);
}

/* The plan's needs are those of everybody's plugins: who is asked is only whoever runs. */
bool call_wants_answer_body(const struct gw_call *c)
{
	for (size_t i = 0; c->needs & PLUGIN_NEEDS_ANSWER_BODY && i < c->n_plugins; i++) {
		if (wants_answer_body(c, c->plugins[i])) {
			return true;
		}
	}
	return false;
}

void call_run_response_body(struct gw_call *c)
{
	for (size_t i = 0; i < c->n_plugins; i++) {
		const struct plugin_instance *p = c->plugins[i];

		if (wants_answer_body(c, p)) {
			p->plugin->response_body(c, p);
		}
	}
}

/* ---- the client's body ---- */

static void on_body_data(struct exchange *x, struct str data)
{
	struct gw_call *c = exchange_user(x);

	c->facts.request_bytes += data.n;
	call_pass_body(c, data);
}

static void on_body_trailers(struct exchange *x, const struct http_headers *trailers)
{
	struct gw_call *c = exchange_user(x);

	c->trailers = trailers;
}

static void on_body_end(struct exchange *x)
{
	struct gw_call *c = exchange_user(x);

	if (c->streams_body) {
		call_end_body(c);
	}
}

/* Only request-size-limiting sets a limit of its own, and has words of its own. */
static void on_too_large(struct exchange *x)
{
	struct gw_call *c = exchange_user(x);

	c->from_service = false;
	call_fail(c, 413,
		  c->body_max < UINT64_MAX ? STR("Request size limit exceeded")
					   : STR("Payload too large"));
}

static void on_drained(struct exchange *x)
{
	struct gw_call *c = exchange_user(x);

	if (c->call) {
		http_call_resume(c->call);
	}
}

/* Also while there is no body: tells when the client goes. */
static const struct exchange_handler streaming = {
	.on_data = on_body_data,
	.on_too_large = on_too_large,
	.on_trailers = on_body_trailers,
	.on_end = on_body_end,
	.on_drained = on_drained,
	.on_abort = on_abort,
};

static bool on_keep(struct exchange *x, size_t n)
{
	return call_hold_bytes(exchange_user(x), n);
}

static void proceed(struct gw_call *c);

static struct gw_call *take_body(struct exchange *x)
{
	struct gw_call *c = exchange_user(x);

	c->body = exchange_body(x);
	c->has_body = true;
	c->facts.request_bytes += c->body.n;
	c->facts.receive_ms = (uint32_t)(loop_now_ms(c->gl->loop) - c->start_ms);
	return c;
}

/* Plugins want it. */
static void on_collected(struct exchange *x)
{
	proceed(take_body(x));
}

static const struct exchange_handler collecting = {
	.on_keep = on_keep,
	.on_too_large = on_too_large,
	.on_trailers = on_body_trailers,
	.on_end = on_collected,
	.on_drained = on_drained,
	.on_abort = on_abort,
};

/* Last call: the body may be there already. */
static void collect_body(struct gw_call *c)
{
	uint64_t max = (uint64_t)c->gl->gateway->config->body_memory_max;

	call_enter(c, CALL_BODY);
	exchange_collect(c->x, (size_t)MIN(max, c->body_max), &collecting);
}

/* Plugins have had their turn: it is collected for another try. */
static void on_collected_late(struct exchange *x)
{
	call_go_upstream(take_body(x));
}

static const struct exchange_handler collecting_late = {
	.on_too_large = on_too_large,
	.on_trailers = on_body_trailers,
	.on_end = on_collected_late,
	.on_drained = on_drained,
	.on_abort = on_abort,
};

/*
 * After access: the body is in memory, or small enough to be, or it is streamed. That of a plugin
 * may go with a request that came without any, but in place of none that the plugin has not seen.
 */
static void send_on(struct gw_call *c)
{
	const struct http_request *r = exchange_request(c->x);

	if (!http_request_has_body(r)) {
		exchange_stream(c->x, 0, &streaming);
		call_go_upstream(c);
	} else if (c->state == CALL_BODY) {
		call_go_upstream(c);
	} else if (c->entry->traits.request_buffering && r->framing == HTTP_BODY_LENGTH &&
		   r->content_length <= (uint64_t)c->gl->gateway->config->body_replay_max) {
		call_enter(c, CALL_BODY);
		exchange_collect(c->x, (size_t)r->content_length, &collecting_late);
	} else {
		c->has_body = false;
		c->streams_body = true;
		exchange_pause_body(c->x);
		exchange_stream(c->x, c->body_max, &streaming);
		call_go_upstream(c);
	}
}

/* ---- the beginning ---- */

static bool wants_body(struct gw_call *c, const struct plugin_instance *p)
{
	return p->needs & PLUGIN_NEEDS_BODY && http_request_has_body(exchange_request(c->x)) &&
	       (!p->plugin->wants_body || p->plugin->wants_body(p, call_headers(c)));
}

/*
 * False: it was answered, or goes on when the body is there. That is asked for when it is the turn
 * of a plugin that needs it, so that those before it have let the client in, and have limited it.
 * Authentication may change the array behind the turn, never its length.
 */
static bool run_access(struct gw_call *c)
{
	for (; c->turn < c->n_plugins; c->turn++) {
		const struct plugin_instance *p = c->plugins[c->turn];

		if (p && p->broken && p->protocols & GW_ALL_HTTP) {
			call_error(c, 500, STR("An unexpected error occurred"));
			return false;
		}
		if (!runs(p) || !p->plugin->access) {
			continue;
		}
		if (c->state != CALL_BODY && wants_body(c, p)) {
			collect_body(c);
			return false;
		}
		if (p->plugin->access(c, p) == PLUGIN_ANSWERED) {
			return false;
		}
	}
	return true;
}

static void proceed(struct gw_call *c)
{
	if (!run_access(c)) {
		return;
	}
	if (!c->entry->service) {
		call_error(c, 503, STR("no Service found with those values"));
		return;
	}
	send_on(c);
}

/* What a trusted proxy before us took as HTTPS counts as HTTPS. */
static unsigned protocol_of(const struct gw_call *c)
{
	struct str type = http_header_get(&exchange_request(c->x)->headers, STR("content-type"));
	bool grpc = str_starts_nocase(type, STR("application/grpc"));

	if (exchange_is_tls(c->x) ||
	    str_eq_nocase(call_forwarded(c, STR("X-Forwarded-Proto")), STR("https"))) {
		return grpc ? GW_GRPCS : GW_HTTPS;
	}
	return grpc ? GW_GRPC : GW_HTTP;
}

/* False: a client of HTTP/1.0 that says no host is sent nowhere. */
static bool redirect_to_https(struct gw_call *c)
{
	const struct http_request *r = exchange_request(c->x);
	struct str told = call_forwarded(c, STR("X-Forwarded-Host"));
	struct str host = told.n > 0 ? told : r->authority;
	ptrdiff_t colon = str_rindex(host, ':');

	if (host.n == 0) {
		return false;
	}
	if (colon >= 0 && str_index(host, ']') < colon) {
		host = str_slice(host, 0, (size_t)colon);
	}
	call_add_answer_header(c, STR("Location"),
			       str_fmt(c->arena, "https://%.*s%.*s%s%.*s", STR_ARG(host),
				       STR_ARG(r->path), r->query.p ? "?" : "", STR_ARG(r->query)));
	call_answer(c, &(struct call_answer){.status = c->entry->traits.redirect_status});
	return true;
}

/* A route for https alone that was reached without it, and the like. */
static bool protocol_fits(struct gw_call *c)
{
	unsigned allowed = c->entry->traits.protocols;
	bool secure = c->protocol & (GW_HTTPS | GW_GRPCS);

	if (allowed & (GW_GRPC | GW_GRPCS) && !(allowed & (GW_HTTP | GW_HTTPS))) {
		return call_grpc_fits(c);
	}
	if (secure ? allowed & GW_HTTPS : allowed & GW_HTTP) {
		return true;
	}
	if (secure) {
		return true; /* TLS where plain was asked for is no harm */
	}
	if (c->entry->traits.redirect_status != 426 && redirect_to_https(c)) {
		return false;
	}
	call_ask_upgrade(c, STR("TLS/1.2, HTTP/1.1"), STR("Please use HTTPS protocol"));
	return false;
}

static void find_route(struct gw_call *c)
{
	const struct http_request *r = exchange_request(c->x);
	struct router_input in = {
		.method = r->method_text,
		.host = r->authority,
		.path = c->path,
		.port = addr_port(exchange_local(c->x)),
		.tls = exchange_is_tls(c->x),
		.headers = &r->headers,
	};
	const struct routing *routing = c->hold->epoch->routing;
	struct tls_info info;

	if (in.tls && exchange_tls_info(c->x, &info)) {
		in.sni = info.sni;
		c->facts.tls = (struct call_tls){info.version, info.cipher, info.verify};
	}
	if (router_match(routing->router, c->arena, &in, &c->match)) {
		c->entry = routing_entry(routing, c->match.rule);
	}
}

static void use_plan(struct gw_call *c, const struct plan *p)
{
	c->plan = p;
	c->plugins = p->v;
	c->n_plugins = p->n;
	c->needs = p->needs;
}

static void start_route(struct gw_call *c)
{
	const struct http_request *r = exchange_request(c->x);
	const struct service *s = c->entry->service;
	bool strips = c->entry->traits.strip_path;

	use_plan(c, c->entry->plan);
	if (!rewrite(c) || !protocol_fits(c)) {
		return;
	}
	if (strips && !path_may_strip(c->arena, c->path, c->match.matched)) {
		call_error(c, 400, STR("Bad request"));
		return;
	}
	c->upstream_path = path_escape(c->arena, path_upstream(c->arena, s ? s->path : STR("/"),
							       c->path, c->match.matched, strips));
	c->upstream_query = r->query;
	proceed(c);
}

static struct gw_call *call_new(struct exchange *x, struct gw_loop *gl)
{
	struct arena *a = exchange_arena(x);
	struct gw_call *c = ARENA_NEW(a, struct gw_call);

	c->x = x;
	c->gl = gl;
	c->arena = a;
	c->hold = gl->hold;
	c->hold->calls++;
	c->method = exchange_request(x)->method_text;
	c->protocol = protocol_of(c);
	c->start_ms = exchange_start_ms(x);
	c->facts.upstream_ms = -1;
	c->body_max = UINT64_MAX;
	list_push(&gl->calls, &c->node);
	atomic_fetch_add_explicit(&gl->active, 1, memory_order_relaxed);
	exchange_set_user(x, c);
	return c;
}

static void make_request_id(struct gw_call *c)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t b[16];

	rand_bytes(b, sizeof(b));
	for (size_t i = 0; i < sizeof(b); i++) {
		c->request_id[2 * i] = hex[b[i] >> 4];
		c->request_id[2 * i + 1] = hex[b[i] & 15];
	}
}

void gateway_dispatch(struct exchange *x, void *arg)
{
	struct gateway *g = arg;
	struct gw_loop *gl = &g->per_loop[loop_index(exchange_loop(x))];
	struct gw_call *c;

	if (!gl->hold) { /* the process ends */
		exchange_reply(x, &(struct exchange_answer){.status = 503, .close = true});
		return;
	}
	c = call_new(x, gl);
	make_request_id(c);
	call_find_client(c);
	if (call_is_loop(c)) {
		use_plan(c, gl->hold->epoch->routing->global);
		call_fail(c, 508, STR("Loop detected"));
		return;
	}
	if (!path_normalize(c->arena, exchange_request(x)->path, &c->path)) {
		use_plan(c, gl->hold->epoch->routing->global);
		call_fail(c, 400, STR("Bad request"));
		return;
	}
	find_route(c);
	if (c->match.gave_up) {
		/* The route that was looked for may guard what the next one does not. */
		c->entry = NULL;
		use_plan(c, gl->hold->epoch->routing->global);
		call_error(c, 400, STR("Bad request"));
		return;
	}
	if (c->entry) {
		start_route(c);
		return;
	}
	use_plan(c, gl->hold->epoch->routing->global);
	if (rewrite(c)) {
		call_error(c, 404, STR("no Route matched with those values"));
	}
}
