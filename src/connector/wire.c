#include "connector/wire.h"

#include "base/clock.h"
#include "base/enc.h"
#include "ws/records.h"

enum { TYPE_INVOCATION = 1, TYPE_COMPLETION = 3, TYPE_PING = 6, TYPE_CLOSE = 7 };

/* ---- reading ---- */

#define FIELD(json, type_, member)                                                                 \
	{                                                                                          \
		.name = (json), .type = (type_), .offset = offsetof(struct wire_request, member)   \
	}

static const struct json_field request_fields[] = {
	{.name = "requestId",
	 .type = JSON_F_GUID,
	 .offset = offsetof(struct wire_request, id),
	 .flags = JSON_REQUIRED},
	FIELD("requestOriginId", JSON_F_OPT_GUID, origin_id),
	FIELD("acknowledgeMode", JSON_F_I64, ack_mode),
	FIELD("acknowledgeOriginId", JSON_F_OPT_GUID, ack_origin_id),
	FIELD("target", JSON_F_STR, target),
	FIELD("httpMethod", JSON_F_STR, method),
	FIELD("url", JSON_F_STR, url),
	FIELD("httpHeaders", JSON_F_TREE, headers),
	FIELD("originalBodySize", JSON_F_I64, original_body_size),
	FIELD("bodySize", JSON_F_I64, body_size),
	FIELD("bodyContent", JSON_F_STR, body),
	FIELD("enableTracing", JSON_F_BOOL, trace),
	FIELD("discardConnectorResponse", JSON_F_BOOL, discard),
};
static const struct json_shape request_shape = {"request", request_fields,
						ARRAY_LEN(request_fields)};
#undef FIELD

#define FIELD(json, type_, member)                                                                 \
	{                                                                                          \
		.name = (json), .type = (type_), .offset = offsetof(struct wire_configure, member) \
	}

static const struct json_field configure_fields[] = {
	FIELD("keepAliveInterval", JSON_F_SPAN, keep_alive_ms),
	FIELD("enableTracing", JSON_F_OPT_BOOL, trace),
	FIELD("reconnectMinimumDelay", JSON_F_SPAN, reconnect_min_ms),
	FIELD("reconnectMaximumDelay", JSON_F_SPAN, reconnect_max_ms),
};
static const struct json_shape configure_shape = {"configure", configure_fields,
						  ARRAY_LEN(configure_fields)};
#undef FIELD

static enum wire_kind parse_request(const struct json *arg, struct wire_request *out)
{
	if (json_decode(&request_shape, arg, out, NULL) != ERR_OK || out->body_size < 0) {
		return WIRE_INVALID;
	}
	if (out->headers && json_is_null(out->headers)) {
		out->headers = NULL;
	}
	return WIRE_REQUEST;
}

static enum wire_kind parse_invocation(const struct json *j, struct wire_record *out)
{
	struct str target = json_str(json_get(j, STR("target")));
	const struct json *args = json_get(j, STR("arguments"));
	bool has_one = args && args->type == JSON_ARRAY && args->n == 1;

	if (str_eq_nocase(target, STR("RequestTarget"))) {
		return has_one ? parse_request(args->child, &out->request) : WIRE_INVALID;
	}
	if (str_eq_nocase(target, STR("Configure"))) {
		return has_one && json_decode(&configure_shape, args->child, &out->configure,
					      NULL) == ERR_OK
			       ? WIRE_CONFIGURE
			       : WIRE_INVALID;
	}
	return WIRE_OTHER;
}

static struct str text_or_null(const struct json *v)
{
	return v && v->type == JSON_STRING ? (v->text.p ? v->text : STR("")) : STR_NULL;
}

enum err wire_parse(struct arena *a, struct str text, struct wire_record *out)
{
	struct json *j;
	int64_t type;

	if (json_parse(a, text, &j, NULL) != ERR_OK || !json_int(json_get(j, STR("type")), &type)) {
		return ERR_PROTO;
	}
	*out = (struct wire_record){.kind = WIRE_OTHER};
	switch (type) {
	case TYPE_INVOCATION:
		out->kind = parse_invocation(j, out);
		break;
	case TYPE_COMPLETION:
		out->kind = WIRE_COMPLETION;
		out->error = text_or_null(json_get(j, STR("error")));
		if (!str_to_u64(json_str(json_get(j, STR("invocationId"))), &out->invocation_id)) {
			out->invocation_id = 0;
		}
		break;
	case TYPE_PING:
		out->kind = WIRE_PING;
		break;
	case TYPE_CLOSE:
		out->kind = WIRE_CLOSE;
		out->error = text_or_null(json_get(j, STR("error")));
		out->allow_reconnect = json_bool(json_get(j, STR("allowReconnect")));
		break;
	default:
		break;
	}
	return ERR_OK;
}

enum err wire_parse_handshake(struct arena *a, struct str text, struct str *out_error)
{
	struct json *j;

	if (json_parse(a, text, &j, NULL) != ERR_OK || j->type != JSON_OBJECT) {
		return ERR_PROTO;
	}
	/* A close record may come in place of the answer. */
	if (json_get(j, STR("type")) && !json_get(j, STR("error"))) {
		return ERR_PROTO;
	}
	*out_error = text_or_null(json_get(j, STR("error")));
	return ERR_OK;
}

/* ---- headers of a request ---- */

static bool is_ours(struct str name)
{
	return str_eq_nocase(name, STR("Host")) || str_eq_nocase(name, STR("Content-Length")) ||
	       str_eq_nocase(name, STR("Expect"));
}

static enum err add_line(struct arena *a, struct str name, const struct json *value,
			 struct http_headers *out)
{
	struct str text = str_trim(json_str(value));

	if (value->type != JSON_STRING || !http_is_field_value(text)) {
		return ERR_INVALID;
	}
	if (out->n == WIRE_HEADERS_MAX) {
		return ERR_LIMIT;
	}
	http_header_add(a, out, name, text);
	return ERR_OK;
}

static enum err add_header(struct arena *a, const struct json *h, struct http_headers *out)
{
	if (!http_is_token(h->key)) {
		return ERR_INVALID;
	}
	if (json_is_null(h) || is_ours(h->key)) {
		return ERR_OK;
	}
	if (h->type != JSON_ARRAY) {
		return add_line(a, h->key, h, out);
	}
	for (const struct json *v = h->child; v; v = v->next) {
		TRY(add_line(a, h->key, v, out));
	}
	return ERR_OK;
}

enum err wire_read_headers(struct arena *a, const struct json *tree, struct http_headers *out)
{
	struct http_headers all = {0};

	if (tree && tree->type != JSON_OBJECT) {
		return ERR_INVALID;
	}
	for (const struct json *h = tree ? tree->child : NULL; h; h = h->next) {
		TRY(add_header(a, h, &all));
	}
	http_strip_hop_by_hop(&all);
	*out = all;
	return ERR_OK;
}

/* ---- writing ---- */

void wire_write_handshake(struct buf *out)
{
	buf_puts(out, "{\"protocol\":\"json\",\"version\":1}\x1e");
}

void wire_write_ping(struct buf *out)
{
	buf_puts(out, "{\"type\":6}\x1e");
}

void wire_write_close(struct buf *out)
{
	buf_puts(out, "{\"type\":7}\x1e");
}

/* Without printf: this is in the path of every response. */
static void put_number(struct buf *out, uint64_t v)
{
	struct json_writer w = json_writer_to(out);

	json_put_int(&w, (int64_t)v);
}

void wire_write_end(struct buf *out, uint64_t invocation_id)
{
	if (invocation_id) {
		buf_puts(out, ",\"invocationId\":\"");
		put_number(out, invocation_id);
		buf_putc(out, '"');
	}
	buf_puts(out, "}\x1e");
}

static void put_guid(struct buf *out, const struct guid *g)
{
	guid_d(g, buf_reserve(out, GUID_D_LEN));
	buf_commit(out, GUID_D_LEN);
}

static bool is_first_of_name(const struct http_headers *h, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (str_eq_nocase(h->v[k].name, h->v[i].name)) {
			return false;
		}
	}
	return true;
}

/* {"Name":["v1","v2"]}: the lines of a name are one member, in their order. */
static void put_headers(struct buf *out, const struct http_headers *h)
{
	struct json_writer w = json_writer_to(out);

	json_begin_object(&w);
	for (size_t i = 0; h && i < h->n; i++) {
		if (!is_first_of_name(h, i)) {
			continue;
		}
		json_key(&w, h->v[i].name);
		json_begin_array(&w);
		for (size_t k = i; k < h->n; k++) {
			if (k == i || str_eq_nocase(h->v[k].name, h->v[i].name)) {
				json_put_str(&w, h->v[k].value);
			}
		}
		json_end_array(&w);
	}
	json_end_object(&w);
}

/* ,"requestStart":…,"requestDuration":… */
static void put_times(struct buf *out, const struct wire_response *r)
{
	char start[CLOCK_ISO_LEN + 1], span[TIMESPAN_LEN_MAX];

	if (!r->timed) {
		buf_puts(out, ",\"requestStart\":null,\"requestDuration\":null");
		return;
	}
	clock_iso(r->start_wall_ms, start);
	buf_printf(out, ",\"requestStart\":\"%s\",\"requestDuration\":\"%.*s\"", start,
		   (int)timespan_format(r->duration_ms, span), span);
}

static void put_body(struct buf *out, const struct wire_response *r)
{
	buf_puts(out, ",\"originalBodySize\":");
	put_number(out, r->body_size);
	buf_puts(out, ",\"bodySize\":");
	put_number(out, r->body_size);
	if (r->body.n > 0) {
		buf_puts(out, ",\"bodyContent\":\"");
		base64_encode(out, r->body);
		buf_putc(out, '"');
	} else {
		buf_puts(out, ",\"bodyContent\":null");
	}
}

void wire_write_deliver(struct buf *out, const struct wire_response *r)
{
	buf_puts(out, "{\"type\":1,\"target\":\"Deliver\",\"arguments\":[{\"requestId\":\"");
	put_guid(out, &r->id);
	buf_puts(out, "\",\"requestOriginId\":\"");
	put_guid(out, &r->origin_id);
	buf_putc(out, '"');
	put_times(out, r);
	buf_puts(out, ",\"connectionId\":null,\"httpStatusCode\":");
	put_number(out, (uint64_t)r->status);
	buf_puts(out, ",\"httpHeaders\":");
	put_headers(out, r->headers);
	put_body(out, r);
	if (r->failed) {
		buf_puts(out, ",\"requestFailed\":true}]");
	} else {
		buf_puts(out, ",\"requestFailed\":false}]");
	}
}

void wire_write_acknowledge(struct buf *out, const struct guid *origin_id, const struct guid *id,
			    bool remove_body)
{
	buf_puts(out, "{\"type\":1,\"target\":\"Acknowledge\",\"arguments\":[{\"originId\":\"");
	put_guid(out, origin_id);
	buf_puts(out, "\",\"requestId\":\"");
	put_guid(out, id);
	buf_printf(out, "\",\"removeRequestBodyContent\":%s}]", remove_body ? "true" : "false");
}

void wire_write_leave(struct buf *out)
{
	buf_puts(out, "{\"type\":1,\"target\":\"Leave\",\"arguments\":[]");
}
