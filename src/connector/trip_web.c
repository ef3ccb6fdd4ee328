/* A web target: the request is sent to an HTTP server below the target's base address. */
#include "base/clock.h"
#include "connector/connector_int.h"

#define REDIRECTS_MAX 50

static void send_request(struct trip *e);

/* ---- redirects ---- */

static bool is_redirect(int status)
{
	return status == 300 || status == 301 || status == 302 || status == 303 || status == 307 ||
	       status == 308;
}

/* As browsers and .NET do: after 301 and 302 a POST becomes a GET, after 303 all but HEAD. */
static bool becomes_get(const struct trip *e, int status)
{
	if (status == 303) {
		return !str_eq(e->method, STR("HEAD")) && !str_eq(e->method, STR("GET"));
	}
	return (status == 300 || status == 301 || status == 302) && str_eq(e->method, STR("POST"));
}

static struct str current_url(struct trip *e)
{
	struct str origin = uri_origin(&e->arena, &e->uri);

	if (e->path_query.p) {
		return str_fmt(&e->arena, "%.*s%.*s", STR_ARG(origin), STR_ARG(e->path_query));
	}
	return str_fmt(&e->arena, "%.*s%.*s%s%.*s", STR_ARG(origin), STR_ARG(e->uri.path),
		       e->uri.query.p ? "?" : "", STR_ARG(e->uri.query));
}

static bool read_location(struct trip *e, const struct http_response *r, struct uri *out)
{
	struct str location = http_header_get(&r->headers, STR("Location"));
	struct str url;

	return location.n > 0 && uri_resolve(&e->arena, current_url(e), location, &url) == ERR_OK &&
	       uri_parse(url, out, NULL) == ERR_OK && (out->tls || !e->uri.tls);
}

static void drop_body(struct trip *e)
{
	static const struct str names[] = {STR_INIT("Content-Type"), STR_INIT("Content-Encoding"),
					   STR_INIT("Content-Language"),
					   STR_INIT("Content-Location"), STR_INIT("Digest")};

	e->method = STR("GET");
	buf_clear(&e->body);
	trip_fetch_cancel(e);
	e->is_outsourced = false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)http_header_remove(&e->headers, names[i]);
	}
}

/* False: the redirection is passed on as it is. */
static bool follow(struct trip *e, const struct http_response *r)
{
	bool gets = becomes_get(e, r->status);
	struct uri to;

	if (!e->target->follow_redirects || !is_redirect(r->status) ||
	    e->redirects == REDIRECTS_MAX || !read_location(e, r, &to)) {
		return false;
	}
	if (e->is_outsourced && !gets) {
		return false; /* the body has been streamed away */
	}
	if (to.port != e->uri.port || to.tls != e->uri.tls ||
	    !str_eq_nocase(to.host, e->uri.host)) {
		(void)http_header_remove(&e->headers, STR("Authorization"));
	}
	if (gets) {
		drop_body(e);
	}
	e->redirects++;
	e->uri = to;
	e->path_query = STR_NULL;
	http_call_cancel(e->call);
	e->call = NULL;
	send_request(e);
	return true;
}

/* ---- the answer ---- */

static int64_t body_length(const struct http_response *r)
{
	switch (r->framing) {
	case HTTP_BODY_NONE:
		return 0;
	case HTTP_BODY_LENGTH:
		return (int64_t)MIN(r->content_length, (uint64_t)INT64_MAX);
	case HTTP_BODY_CHUNKED:
	case HTTP_BODY_CLOSE:
		break;
	}
	return -1;
}

static void on_head(struct http_call *call, const struct http_response *r)
{
	struct trip *e = http_call_user(call);

	if (!follow(e, r)) {
		trip_reply_begin(e, r->status, &r->headers, body_length(r));
	}
}

static void on_data(struct http_call *call, struct str data)
{
	trip_reply_data(http_call_user(call), data);
}

/* A target may answer before it has taken the whole body. */
static void on_end(struct http_call *call)
{
	struct trip *e = http_call_user(call);

	e->call = NULL;
	trip_fetch_cancel(e);
	trip_reply_end(e);
}

static void on_fail(struct http_call *call, enum err why)
{
	struct trip *e = http_call_user(call);

	e->call = NULL;
	trip_fail(e, why == ERR_TIMEOUT ? 504 : 502);
}

static void on_writable(struct http_call *call)
{
	trip_fetch_resume(http_call_user(call));
}

static const struct http_call_handler handler = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_fail = on_fail,
	.on_writable = on_writable,
};

/* ---- the request ---- */

/* A context that trusts more than the system does is for the target alone. */
static struct tls_client *tls_for(const struct trip *e)
{
	bool is_own = e->uri.port == e->target->uri.port &&
		      str_eq_nocase(e->uri.host, e->target->uri.host);

	return is_own ? e->target->tls : e->target->tls_other;
}

static void send_request(struct trip *e)
{
	uint64_t now = loop_now_ms(e->c->loop);
	struct http_call_spec spec = {
		.uri = e->uri,
		.tls = tls_for(e),
		.method = e->method,
		.path_query = e->path_query,
		.headers = e->headers.v,
		.n_headers = e->headers.n,
		.timeout_ms = e->deadline_ms > now ? (uint32_t)(e->deadline_ms - now) : 1,
		.idle_timeout_ms = e->target->timeout_ms,
		.fd = -1,
	};

	if (e->is_outsourced) {
		spec.body_kind = HTTP_CALL_LENGTH;
		spec.length = (uint64_t)e->q.body_size;
	} else if (e->body.n > 0) {
		spec.body_kind = HTTP_CALL_MEM;
		spec.body = buf_str(&e->body);
	}
	e->call = http_call_start(e->c->http, &spec, &handler, e);
}

static void add_header(struct trip *e, struct str name, struct str value)
{
	http_header_set(&e->arena, &e->headers, name, value);
}

/* Where the target may say that it is done with the request (RelayServer 9.1). */
static void add_acknowledge_url(struct trip *e)
{
	static const struct guid none;
	const struct guid *origin =
		guid_eq(&e->q.ack_origin_id, &none) ? &e->q.origin_id : &e->q.ack_origin_id;
	struct str base = e->c->at.acknowledge;
	struct str origin_text = guid_d_str(&e->arena, origin);
	struct str id = guid_d_str(&e->arena, &e->q.id);

	add_header(e, STR("RelayServer-AcknowledgeUrl"),
		   str_fmt(&e->arena, "%.*s%s%.*s/%.*s", STR_ARG(base),
			   str_ends(base, STR("/")) ? "" : "/", STR_ARG(origin_text), STR_ARG(id)));
}

static enum err prepare(struct trip *e)
{
	if (str_eq(e->q.method, STR("CONNECT"))) {
		return ERR_INVALID;
	}
	TRY(wire_read_headers(&e->arena, e->q.headers, &e->headers));
	TRY(uri_append(&e->arena, &e->target->uri, e->q.url, &e->path_query));
	if (e->q.ack_mode == WIRE_ACK_MANUAL) {
		add_acknowledge_url(e);
	}
	if (e->q.trace) {
		add_header(e, STR("RelayServer-RequestId"), guid_d_str(&e->arena, &e->q.id));
		add_header(e, STR("RelayServer-RequestOriginId"),
			   guid_d_str(&e->arena, &e->q.origin_id));
	}
	return ERR_OK;
}

static void web_start(struct trip *e)
{
	/* A url that would leave the base address, or headers that HTTP cannot carry. */
	if (prepare(e) != ERR_OK) {
		trip_fail(e, 400);
		return;
	}
	e->reached_target = true;
	e->uri = e->target->uri;
	e->method = e->q.method;
	e->deadline_ms = loop_now_ms(e->c->loop) + e->target->timeout_ms;
	send_request(e);
}

static void web_on_body(struct trip *e, struct str data)
{
	if (e->call) {
		http_call_write(e->call, data);
		if (http_call_pending(e->call) > STREAM_HIGH_WATER) {
			trip_fetch_pause(e);
		}
	}
}

static void web_on_body_end(struct trip *e)
{
	if (e->call) {
		http_call_finish(e->call);
	}
}

static void web_pause(struct trip *e)
{
	if (e->call) {
		http_call_pause(e->call);
	}
}

static void web_resume(struct trip *e)
{
	if (e->call) {
		http_call_resume(e->call);
	}
}

static void web_cancel(struct trip *e)
{
	if (e->call) {
		http_call_cancel(e->call);
		e->call = NULL;
	}
}

const struct trip_ops trip_web_ops = {
	.start = web_start,
	.on_body = web_on_body,
	.on_body_end = web_on_body_end,
	.pause = web_pause,
	.resume = web_resume,
	.cancel = web_cancel,
};
