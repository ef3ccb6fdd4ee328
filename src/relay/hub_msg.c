/* The records of the hub protocol: reading what connectors say, writing what they are told. */
#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "relay/hub.h"

/* -- handshake ------------------------------------------------------------------- */

enum err hub_check_handshake(struct arena *a, struct str record, const char **out_error)
{
	struct json *j;
	int64_t version = 0;

	if (json_parse(a, record, &j, NULL) != ERR_OK || j->type != JSON_OBJECT ||
	    !json_int(json_get(j, STR("version")), &version)) {
		return ERR_PROTO;
	}
	struct str protocol = json_str(json_get(j, STR("protocol")));

	*out_error = NULL;
	if (!str_eq_nocase(protocol, STR("json"))) {
		struct str shown = str_slice(protocol, 0, 100);

		*out_error = str_cstr(
			a, str_fmt(a, "The protocol '%.*s' is not supported.", STR_ARG(shown)));
	} else if (version != 1) {
		*out_error = str_cstr(a, str_fmt(a,
						 "The server does not support version %lld of the "
						 "'json' protocol.",
						 (long long)version));
	}
	return ERR_OK;
}

/* -- methods ----------------------------------------------------------------------- */

static void complete(struct hub_conn *c, const struct json *id, struct str error)
{
	if (json_is_null(id) || c->state == HUB_CLOSED) {
		return;
	}
	hub_write_completion(c->transport->begin(c), json_str(id), error);
	hub_say(c);
}

/* NULL when late, or of another tenant: its upload, if any, was refused or removed. */
static struct relay_request *find_delivered(const struct hub_conn *c, const struct guid *id)
{
	struct relay_request *r = request_find(c->rl, id);

	return r && r->tenant == c->tenant && r->state >= REQUEST_QUEUED ? r : NULL;
}

static void deliver(struct hub_conn *c, const struct target_response *t)
{
	struct relay_loop *rl = c->rl;
	struct relay_request *r = find_delivered(c, &t->request_id);
	struct answer an;

	if (!r) {
		return;
	}
	if (answer_from_response(t, &rl->arena, &rl->scratch, &an) != ERR_OK) {
		log_warn("relay", "connector delivered an unacceptable response",
			 LOG_STR("tenant", c->visitor.tenant_key), LOG_STR("target", r->target));
		an = (struct answer){.status = 502};
	}
	request_answer(r, &an, t->failed);
	if (rl->scratch.cap > LOOP_SCRATCH) {
		buf_free(&rl->scratch);
	}
}

/* A response of wrong types: there will be no better one, so its client need not wait. */
static void deliver_none(struct hub_conn *c, const struct json *arg)
{
	struct relay_request *r;
	struct guid id;

	if (guid_parse(json_str(json_get_nocase(arg, STR("requestId"))), &id) != ERR_OK) {
		return;
	}
	r = find_delivered(c, &id);
	if (r) {
		request_answer(r, &(struct answer){.status = 502}, true);
	}
}

static enum err on_deliver(struct hub_conn *c, const struct json *arg)
{
	struct target_response t;
	enum err e = json_decode(&target_response_shape, arg, &t, NULL);

	if (e == ERR_OK) {
		deliver(c, &t);
	} else {
		deliver_none(c, arg);
	}
	return e;
}

struct acknowledge {
	struct guid request_id;
	bool remove_body;
};

static const struct json_field acknowledge_fields[] = {
	{.name = "requestId",
	 .type = JSON_F_GUID,
	 .offset = offsetof(struct acknowledge, request_id),
	 .flags = JSON_REQUIRED},
	{.name = "removeRequestBodyContent",
	 .type = JSON_F_BOOL,
	 .offset = offsetof(struct acknowledge, remove_body)},
};
static const struct json_shape acknowledge_shape = {"acknowledge", acknowledge_fields,
						    ARRAY_LEN(acknowledge_fields)};

static enum err on_acknowledge(struct hub_conn *c, const struct json *arg)
{
	struct acknowledge ack;
	struct relay_request *r;

	TRY(json_decode(&acknowledge_shape, arg, &ack, NULL));
	r = request_find(c->rl, &ack.request_id);
	if (r && r->tenant == c->tenant) {
		request_acknowledge(r, ack.remove_body);
	}
	return ERR_OK;
}

/* Ours, not the original's: what is running will be answered, but no more is wanted. */
static enum err on_leave(struct hub_conn *c, const struct json *arg)
{
	(void)arg;
	c->is_leaving = true;
	tenant_settle_conn(c->tenant, c);
	return ERR_OK;
}

static const struct {
	struct str name;
	size_t n_args;
	enum err (*fn)(struct hub_conn *c, const struct json *arg);
} methods[] = {
	{STR_INIT("Deliver"), 1, on_deliver},
	{STR_INIT("Acknowledge"), 1, on_acknowledge},
	{STR_INIT("Leave"), 0, on_leave},
};

static struct str error_text(struct arena *a, struct str target, bool known)
{
	return str_fmt(a, "Failed to invoke '%.*s' due to an error on the server.%s",
		       STR_ARG(str_slice(target, 0, 200)),
		       known ? "" : " HubException: Method does not exist.");
}

static enum err on_invocation(struct hub_conn *c, const struct json *j)
{
	const struct json *name = json_get(j, STR("target"));
	const struct json *args = json_get(j, STR("arguments"));
	const struct json *id = json_get(j, STR("invocationId"));
	bool known = false;

	if (!name || name->type != JSON_STRING || !args || args->type != JSON_ARRAY ||
	    (!json_is_null(id) && id->type != JSON_STRING)) {
		return ERR_PROTO;
	}
	struct str target = json_str(name);
	enum err e = ERR_NOT_FOUND;

	for (size_t i = 0; i < ARRAY_LEN(methods) && !known; i++) {
		known = str_eq_nocase(target, methods[i].name);
		if (known) {
			e = ERR_INVALID;
		}
		if (known && args->n == methods[i].n_args) {
			e = methods[i].fn(c, args->child);
		}
	}
	complete(c, id, e == ERR_OK ? STR_NULL : error_text(&c->rl->arena, target, known));
	return ERR_OK;
}

enum err hub_handle_record(struct hub_conn *c, struct str record)
{
	struct json *j;
	int64_t type;

	if (json_parse(&c->rl->arena, record, &j, NULL) != ERR_OK ||
	    !json_int(json_get(j, STR("type")), &type)) {
		return ERR_PROTO;
	}
	switch (type) {
	case HUB_INVOCATION:
		return on_invocation(c, j);
	case HUB_PING:
		if (!c->peer_pings && c->transport->pings) {
			c->peer_pings = true;
			timer_start(c->rl->loop, &c->timer, 1, c->timer.fn);
		}
		break;
	case HUB_CLOSE:
		hub_close(c, HUB_SILENT);
		break;
	default:
		break;
	}
	return ERR_OK;
}

/* -- writing -------------------------------------------------------------------------- */

static void put_guid(struct json_writer *w, const struct guid *g)
{
	char text[GUID_D_LEN];

	guid_d(g, text);
	json_put_str(w, str_of(text, sizeof(text)));
}

static bool seen_before(const struct http_headers *h, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (str_eq_nocase(h->v[k].name, h->v[i].name)) {
			return true;
		}
	}
	return false;
}

/* {"Name":["v1","v2"]}, names in the order of their first line. */
static void put_headers(struct json_writer *w, const struct http_headers *h)
{
	json_begin_object(w);
	for (size_t i = 0; i < h->n; i++) {
		if (seen_before(h, i)) {
			continue;
		}
		json_key(w, http_canonical_name(h->v[i].name));
		json_begin_array(w);
		for (size_t k = i; k < h->n; k++) {
			if (k == i || str_eq_nocase(h->v[k].name, h->v[i].name)) {
				json_put_str(w, h->v[k].value);
			}
		}
		json_end_array(w);
	}
	json_end_object(w);
}

static void put_body(struct json_writer *w, const struct relay_request *r)
{
	json_key(w, STR("originalBodySize"));
	json_put_int(w, (int64_t)r->body_size);
	json_key(w, STR("bodySize"));
	json_put_int(w, (int64_t)r->body_size);
	json_key(w, STR("bodyContent"));
	if (r->body.n == 0) {
		json_put_null(w);
		return;
	}
	/* Base64 needs no escaping: written in place. */
	json_put_raw(w, STR("\""));
	base64_encode(w->out, buf_str(&r->body));
	buf_putc(w->out, '"');
}

static void put_flag(struct json_writer *w, struct str key, bool v)
{
	json_key(w, key);
	json_put_bool(w, v);
}

static void put_text(struct json_writer *w, struct str key, struct str v)
{
	json_key(w, key);
	json_put_str(w, v);
}

/*
 * A first segment with a colon reads as a scheme ("ftp:x") where a connector resolves the URL
 * against its base, as the .NET one does: RFC 3986 4.2 wants "./" before it.
 */
static void put_url(struct json_writer *w, struct str url)
{
	ptrdiff_t colon = str_index(url, ':');
	struct str before = str_slice(url, 0, colon < 0 ? 0 : (size_t)colon);
	struct buf b = {0};

	if (colon >= 0 && str_index(before, '/') < 0 && str_index(before, '?') < 0) {
		buf_puts(&b, "./");
	}
	buf_put(&b, url);
	put_text(w, STR("url"), buf_str(&b));
	buf_free(&b);
}

void hub_write_request(struct hub_conn *c, const struct relay_request *r, struct buf *out)
{
	struct json_writer w = json_writer_to(out);
	struct str origin = str_of(c->rl->relay->origin_d, GUID_D_LEN);

	buf_puts(out, "{\"type\":1,\"target\":\"RequestTarget\",\"arguments\":[");
	json_begin_object(&w);
	json_key(&w, STR("requestId"));
	put_guid(&w, &r->id);
	put_text(&w, STR("requestOriginId"), origin);
	json_key(&w, STR("acknowledgeMode"));
	json_put_int(&w, r->ack);
	json_key(&w, STR("acknowledgeOriginId"));
	json_put_str_or_null(&w, r->ack == ACK_DISABLED ? STR_NULL : origin);
	put_text(&w, STR("target"), r->target);
	put_text(&w, STR("tenantName"), c->tenant->info.name);
	put_text(&w, STR("httpMethod"), r->method);
	put_url(&w, r->url);
	json_key(&w, STR("httpHeaders"));
	put_headers(&w, &r->headers);
	put_body(&w, r);
	put_flag(&w, STR("enableTracing"), r->is_trace);
	put_flag(&w, STR("discardConnectorResponse"), r->is_discard);
	json_end_object(&w);
	buf_puts(out, "]}\x1e");
}

static void put_span(struct json_writer *w, struct str key, const struct opt_i64 *span)
{
	char text[TIMESPAN_LEN_MAX];

	json_key(w, key);
	if (span->has) {
		json_put_str(w, str_of(text, timespan_format(span->v, text)));
	} else {
		json_put_null(w);
	}
}

void hub_write_configure(const struct hub_conn *c, struct buf *out)
{
	const struct tenant_info *info = &c->tenant->info;
	struct json_writer w = json_writer_to(out);

	buf_puts(out, "{\"type\":1,\"target\":\"Configure\",\"arguments\":[");
	json_begin_object(&w);
	put_text(&w, STR("tenantName"), c->tenant->key);
	put_span(&w, STR("keepAliveInterval"), &info->keep_alive_interval_ms);
	json_key(&w, STR("enableTracing"));
	if (info->enable_tracing.has) {
		json_put_bool(&w, info->enable_tracing.v);
	} else {
		json_put_null(&w);
	}
	put_span(&w, STR("reconnectMinimumDelay"), &info->reconnect_minimum_delay_ms);
	put_span(&w, STR("reconnectMaximumDelay"), &info->reconnect_maximum_delay_ms);
	json_end_object(&w);
	buf_puts(out, "]}\x1e");
}

void hub_write_completion(struct buf *out, struct str invocation_id, struct str error)
{
	struct json_writer w = json_writer_to(out);

	json_begin_object(&w);
	json_key(&w, STR("type"));
	json_put_int(&w, HUB_COMPLETION);
	put_text(&w, STR("invocationId"), invocation_id);
	if (error.p) {
		put_text(&w, STR("error"), error);
	} else {
		json_key(&w, STR("result"));
		json_put_null(&w);
	}
	json_end_object(&w);
	buf_putc(out, RECORDS_END);
}
