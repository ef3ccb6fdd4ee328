/* Answers of the gateway itself: errors in the form that the client can read, and plugins'. */
#include "base/json.h"
#include "base/log.h"
#include "gateway/call_int.h"
#include "gateway/markup.h"

#define JSON_TYPE "application/json; charset=utf-8"

/* ---- which form ---- */

struct form {
	const char *range; /* of Accept */
	enum gateway_error_type type;
};

static const struct form forms[] = {
	{"application/json", GATEWAY_ERROR_JSON}, {"*/*", GATEWAY_ERROR_JSON},
	{"application/*", GATEWAY_ERROR_JSON},	  {"text/html", GATEWAY_ERROR_HTML},
	{"text/plain", GATEWAY_ERROR_PLAIN},	  {"text/*", GATEWAY_ERROR_PLAIN},
	{"application/xml", GATEWAY_ERROR_XML},	  {"text/xml", GATEWAY_ERROR_XML},
};

static const struct form *form_of(struct str range)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (str_eq_nocase(range, str_c(forms[i].range))) {
			return &forms[i];
		}
	}
	return NULL;
}

/* Thousandths of "0.8"; 0 for nonsense. */
static unsigned quality(struct str q)
{
	unsigned v = 0, unit = 1000;

	for (size_t i = 0; i < q.n && i < 5; i++) {
		if (q.p[i] == '.' && i == 1) {
			unit = 100;
		} else if (q.p[i] < '0' || q.p[i] > '9') {
			return 0;
		} else if (i == 0) {
			v = (unsigned)(q.p[i] - '0') * 1000;
		} else {
			v += (unsigned)(q.p[i] - '0') * unit;
			unit /= 10;
		}
	}
	return MIN(v, 1000u);
}

static unsigned quality_of(struct str params)
{
	struct str part;

	while (str_split(&params, ';', &part)) {
		part = str_trim(part);
		if (str_starts_nocase(part, STR("q="))) {
			return quality(str_skip(part, 2));
		}
	}
	return 1000;
}

/* The best of a list of media ranges; false when we can make none of them. */
static bool best_form(struct str accept, enum gateway_error_type *out)
{
	struct str range;
	unsigned best = 0;

	while (str_split(&accept, ',', &range)) {
		ptrdiff_t semi = str_index(range, ';');
		struct str params = semi < 0 ? STR_NULL : str_skip(range, (size_t)semi + 1);
		const struct form *f =
			form_of(str_trim(semi < 0 ? range : str_slice(range, 0, (size_t)semi)));
		unsigned q = quality_of(params);

		if (f && q > best) {
			best = q;
			*out = f->type;
		}
	}
	return best > 0;
}

static struct str body_of(struct gw_call *c, enum gateway_error_type type, struct str message,
			  struct str *out_type)
{
	struct str id = call_request_id(c);
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);
	struct str text;

	switch (type) {
	case GATEWAY_ERROR_PLAIN:
		*out_type = STR("text/plain; charset=utf-8");
		return str_fmt(c->arena, "%.*s\nrequest_id: %.*s\n", STR_ARG(message), STR_ARG(id));
	case GATEWAY_ERROR_XML:
		*out_type = STR("application/xml; charset=utf-8");
		return str_fmt(c->arena,
			       "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n"
			       "  <message>%.*s</message>\n  <requestid>%.*s</requestid>\n"
			       "</error>\n",
			       STR_ARG(markup_escape(c->arena, message)), STR_ARG(id));
	case GATEWAY_ERROR_HTML:
		*out_type = STR("text/html; charset=utf-8");
		return str_fmt(c->arena,
			       "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n"
			       "    <title>Error</title>\n  </head>\n  <body>\n    <h1>Error</h1>\n"
			       "    <p>%.*s.</p>\n    <p>request_id: %.*s</p>\n  </body>\n"
			       "</html>\n",
			       STR_ARG(markup_escape(c->arena, message)), STR_ARG(id));
	case GATEWAY_ERROR_JSON:
		break;
	}
	*out_type = STR(JSON_TYPE);
	json_put_str(&w, message);
	text = str_fmt(c->arena, "{\n  \"message\":%.*s,\n  \"request_id\":\"%.*s\"\n}",
		       STR_ARG(buf_str(&b)), STR_ARG(id));
	buf_free(&b);
	return text;
}

/* ---- gRPC ---- */

static int grpc_status(int status)
{
	static const struct {
		int http, grpc;
	} map[] = {{400, 3}, {401, 16}, {403, 7},  {404, 5},  {409, 6},
		   {429, 8}, {499, 1},	{501, 12}, {503, 14}, {504, 4}};

	for (size_t i = 0; i < ARRAY_LEN(map); i++) {
		if (map[i].http == status) {
			return map[i].grpc;
		}
	}
	return status < 500 ? 3 : 13;
}

static void answer_grpc(struct gw_call *c, int status, struct str message)
{
	call_add_answer_header(c, STR("grpc-status"), str_fmt(c->arena, "%d", grpc_status(status)));
	call_add_answer_header(c, STR("grpc-message"), message);
	call_answer(c, &(struct call_answer){.status = status,
					     .content_type = STR("application/grpc")});
}

bool call_grpc_fits(struct gw_call *c)
{
	unsigned allowed = c->entry->traits.protocols;

	if (exchange_request(c->x)->major < 2) {
		call_ask_upgrade(c, STR("HTTP/2"), STR("Please use HTTP2 protocol"));
		return false;
	}
	if (!(c->protocol & (GW_GRPC | GW_GRPCS))) {
		call_error(c, 415, STR("Non-gRPC request matched gRPC route"));
		return false;
	}
	if (c->protocol == GW_GRPC && !(allowed & GW_GRPC)) {
		call_add_answer_header(c, STR("grpc-status"), STR("1"));
		call_add_answer_header(c, STR("grpc-message"),
				       STR("gRPC request matched gRPCs route"));
		call_answer(c, &(struct call_answer){.status = 200,
						     .content_type = STR("application/grpc")});
		return false;
	}
	return true;
}

/* ---- answering ---- */

/* Content-Length as well: that of the service was taken out when its head came. */
void call_strip_framing(struct gw_call *c)
{
	struct http_headers *h = &c->answer;
	size_t kept = 0;

	for (size_t i = 0; i < h->n; i++) {
		struct str name = h->v[i].name;

		if (!http_is_hop_by_hop(name) && !str_eq_nocase(name, STR("content-length"))) {
			h->v[kept++] = h->v[i];
		}
	}
	h->n = kept;
}

void call_ask_upgrade(struct gw_call *c, struct str protocol, struct str message)
{
	c->upgrade_to = protocol;
	call_error(c, 426, message);
}

void call_answer(struct gw_call *c, const struct call_answer *a)
{
	struct exchange *x = c->x;
	struct exchange_answer answer = {.body = a->body};
	struct hold *hold;

	ASSERT(c->state != CALL_DONE);
	c->answered = true;
	/* A stored entity may be older than what is now checked when one is made. */
	c->status = a->status >= 200 && a->status <= 599 ? a->status : 500;
	if (a->content_type.n > 0) {
		http_header_add(c->arena, &c->answer, STR("Content-Type"), a->content_type);
	}
	call_run_response_head(c);
	if (c->upgrade_to.n > 0) {
		http_header_add(c->arena, &c->answer, STR("Connection"), STR("Upgrade"));
		http_header_add(c->arena, &c->answer, STR("Upgrade"), c->upgrade_to);
	}
	call_finish_answer_head(c);
	c->facts.answer_bytes += a->body.n;
	c->answer_length = (int64_t)a->body.n;
	answer.status = c->status;
	answer.headers = c->answer.v;
	answer.n_headers = c->answer.n;
	call_enter(c, CALL_DONE);
	call_log(c);
	hold = call_leave(c);
	exchange_reply(x, &answer);
	hold_put(hold);
}

void call_answer_json(struct gw_call *c, int status, struct str json)
{
	call_answer(c, &(struct call_answer){
			       .status = status, .content_type = STR(JSON_TYPE), .body = json});
}

static void answer_error(struct gw_call *c, int status, struct str message,
			 enum gateway_error_type type)
{
	struct call_answer a = {.status = status};

	a.body = body_of(c, type, message, &a.content_type);
	call_answer(c, &a);
}

void call_error(struct gw_call *c, int status, struct str message)
{
	struct str accept = http_header_get(&exchange_request(c->x)->headers, STR("accept"));
	enum gateway_error_type type = GATEWAY_ERROR_JSON;

	if (c->protocol & (GW_GRPC | GW_GRPCS)) {
		answer_grpc(c, status, message);
		return;
	}
	(void)best_form(accept, &type);
	answer_error(c, status, message, type);
}

/* What a service sent of an answer that nobody gets, and what plugins made of it. */
static void forget_answer(struct gw_call *c)
{
	c->answer.n = 0;
	c->from_service = false;
}

void call_fail(struct gw_call *c, int status, struct str message)
{
	const struct http_headers *h = &exchange_request(c->x)->headers;
	enum gateway_error_type type =
		(enum gateway_error_type)c->gl->gateway->config->error_default_type;

	forget_answer(c);
	if (c->protocol & (GW_GRPC | GW_GRPCS)) {
		answer_grpc(c, status, message);
		return;
	}
	if (!best_form(http_header_get(h, STR("accept")), &type)) {
		(void)best_form(http_header_get(h, STR("content-type")), &type);
	}
	answer_error(c, status, message, type);
}

void call_fail_bad_answer(struct gw_call *c)
{
	call_fail(c, 502, STR("An invalid response was received from the upstream server"));
}

bool call_hold_bytes(struct gw_call *c, size_t n)
{
	struct gw_loop *gl = c->gl;

	if (body_share_take(&gl->bodies, n)) {
		c->bytes_held += n;
		return true;
	}
	if (gw_loop_may_warn(gl, &gl->warn_of_bodies_at_ms)) {
		log_warn("gateway", "bodies that plugins look at take all of body_memory_total",
			 LOG_STR("request", call_request_id(c)));
	}
	call_add_answer_header(c, STR("Retry-After"), STR("5"));
	call_fail(c, 503, STR("Too many bodies at once"));
	return false;
}

void call_refuse_answer(struct gw_call *c, const char *why)
{
	const struct gw_route *r = call_route(c);

	c->answer_refused = true;
	if (gw_loop_may_warn(c->gl, &c->gl->warn_of_answers_at_ms)) {
		log_warn("gateway", "an answer of a service is held back",
			 LOG_STR("route", r ? str_of(r->id_text, GUID_D_LEN) : STR_NULL),
			 LOG_STR("request", call_request_id(c)), LOG_STR("why", str_c(why)));
	}
}
