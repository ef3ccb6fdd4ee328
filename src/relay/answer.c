#include "relay/answer.h"

#include "base/enc.h"
#include "base/log.h"

enum { HEADERS_MAX = 200, HEADER_BYTES_MAX = 64 * 1024 };

#define FIELD(json, type_, member)                                                                 \
	{                                                                                          \
		.name = (json), .type = (type_),                                                   \
		.offset = offsetof(struct target_response, member)                                 \
	}

static const struct json_field fields[] = {
	{.name = "requestId",
	 .type = JSON_F_GUID,
	 .offset = offsetof(struct target_response, request_id),
	 .flags = JSON_REQUIRED},
	FIELD("httpStatusCode", JSON_F_I64, status),
	FIELD("httpHeaders", JSON_F_TREE, headers),
	FIELD("bodySize", JSON_F_OPT_I64, body_size),
	FIELD("bodyContent", JSON_F_STR, content),
	FIELD("requestFailed", JSON_F_BOOL, failed),
};

const struct json_shape target_response_shape = {"response", fields, ARRAY_LEN(fields)};

/* -- reading ------------------------------------------------------------------ */

struct header_room {
	size_t lines, bytes;
};

static enum err add_line(struct arena *a, struct header_room *room, struct str name,
			 const struct json *value, struct http_headers *out)
{
	struct str text = str_trim(json_str(value));

	if (value->type != JSON_STRING || !http_is_field_value(text)) {
		return ERR_PROTO;
	}
	room->bytes += name.n + text.n;
	if (++room->lines > HEADERS_MAX || room->bytes > HEADER_BYTES_MAX) {
		return ERR_PROTO;
	}
	http_header_add(a, out, name, text);
	return ERR_OK;
}

static enum err add_header(struct arena *a, struct header_room *room, const struct json *h,
			   struct http_headers *out)
{
	if (!http_is_token(h->key)) {
		return ERR_PROTO;
	}
	if (json_is_null(h)) {
		return ERR_OK;
	}
	if (h->type != JSON_ARRAY) {
		return add_line(a, room, h->key, h, out);
	}
	for (const struct json *v = h->child; v; v = v->next) {
		TRY(add_line(a, room, h->key, v, out));
	}
	return ERR_OK;
}

static enum err read_headers(const struct json *tree, struct arena *a, struct answer *out)
{
	struct header_room room = {0};

	if (!json_is_null(tree) && tree->type != JSON_OBJECT) {
		return ERR_PROTO;
	}
	for (const struct json *h = tree ? tree->child : NULL; h; h = h->next) {
		TRY(add_header(a, &room, h, &out->headers));
	}
	http_strip_hop_by_hop(&out->headers);
	out->has_length =
		str_to_u64(http_header_get(&out->headers, STR("Content-Length")), &out->length);
	(void)http_header_remove(&out->headers, STR("Content-Length"));
	return ERR_OK;
}

enum err answer_from_response(const struct target_response *t, struct arena *a, struct buf *scratch,
			      struct answer *out)
{
	struct answer an = {.status = (int)t->status, .id = t->request_id};

	if (t->status < 200 || t->status > 599) {
		return ERR_PROTO;
	}
	TRY(read_headers(t->headers, a, &an));
	if (t->content.n > 0) {
		buf_clear(scratch);
		if (base64_decode(scratch, t->content) != ERR_OK) {
			return ERR_PROTO;
		}
		an.kind = ANSWER_INLINE;
		an.body = buf_str(scratch);
		an.body_size = an.body.n;
	} else if (!t->content.p && t->body_size.has && t->body_size.v > 0) {
		an.kind = ANSWER_STORED;
		an.body_size = (uint64_t)t->body_size.v;
	}
	*out = an;
	return ERR_OK;
}

void answer_add_trace(struct answer *an, struct arena *a, const struct relay *r,
		      const struct guid *request_id)
{
	http_header_set(a, &an->headers, STR("RelayServer-RequestId"), guid_d_str(a, request_id));
	http_header_set(a, &an->headers, STR("RelayServer-Server-MachineName"),
			str_c(r->host_name));
	http_header_set(a, &an->headers, STR("RelayServer-Server-Version"),
			STR("3.1.0+posthouse." POSTHOUSE_VERSION));
}

/* -- writing ------------------------------------------------------------------ */

static struct blob_key response_key(const struct answer *an)
{
	return (struct blob_key){BLOB_RESPONSE, an->id};
}

static void remove_stored(struct relay *r, const struct answer *an)
{
	if (blob_remove(r->deps.bodies, response_key(an)) != ERR_OK) {
		log_warn("relay", "stored body not removed");
	}
}

void answer_drop(struct relay_loop *rl, const struct answer *an)
{
	struct body_count *count = an->count;

	if (an->kind == ANSWER_STORED) {
		remove_stored(rl->relay, an);
		body_count_unref(&count, rl);
	}
}

static struct body_send *write_stored(struct exchange *x, struct relay_loop *rl,
				      const struct answer *an)
{
	const struct exchange_answer head = {
		.status = an->status, .headers = an->headers.v, .n_headers = an->headers.n};
	struct body_source from = {.count = an->count};
	enum err e = blob_open(rl->relay->deps.bodies, response_key(an), &from.reader);

	/* What is opened stays readable after the removal, so nothing can leak later. */
	remove_stored(rl->relay, an);
	if (e != ERR_OK) {
		body_count_unref(&from.count, rl);
		exchange_reply_status(x, 502);
		return NULL;
	}
	return body_send_start(x, rl, &head, &from);
}

struct body_send *answer_write(struct exchange *x, struct relay_loop *rl, const struct answer *an)
{
	bool is_head = exchange_request(x)->method == HTTP_HEAD;
	bool bare = an->status == 204 || an->status == 205 || an->status == 304;

	if (an->kind == ANSWER_STORED && !is_head && !bare) {
		return write_stored(x, rl, an);
	}
	answer_drop(rl, an);
	if (is_head && !bare && !an->has_length && an->body_size == 0 && an->headers.n > 0) {
		/* The target did not say how long a GET would be: neither do we. */
		exchange_start(x, an->status, an->headers.v, an->headers.n, -1);
		exchange_finish(x);
		return NULL;
	}
	struct exchange_answer a = {
		.status = an->status,
		.headers = an->headers.v,
		.n_headers = an->headers.n,
		.body = an->kind == ANSWER_INLINE && an->status != 205 ? an->body : STR_NULL,
		.has_length = (is_head || an->status == 304) && an->has_length,
		.length = an->length,
	};

	exchange_reply(x, &a);
	return NULL;
}
