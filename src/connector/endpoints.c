#include "connector/endpoints.h"

#include "base/clock.h"
#include "base/enc.h"
#include "base/mem.h"
#include "http/message.h"

/* ---- discovery ---- */

static enum err read_uri(struct arena *a, const struct json *doc, struct str name, struct uri *out,
			 struct fault *f)
{
	struct fault why = {0};
	struct str text = str_dup(a, json_str(json_get(doc, name)));

	if (uri_parse(text, out, &why) != ERR_OK) {
		return fault_set(f, ERR_PROTO, "discovery: %.*s: %s", STR_ARG(name), why.text);
	}
	return ERR_OK;
}

/* Ends without a slash, so that "/id" can follow. */
static void trim_path(struct uri *u)
{
	while (u->path.n > 0 && u->path.p[u->path.n - 1] == '/') {
		u->path.n--;
	}
	u->query = STR_NULL;
}

static int64_t read_span(const struct json *doc, struct str name, int64_t dflt, int64_t min)
{
	int64_t ms;

	if (timespan_parse(json_str(json_get(doc, name)), &ms) != ERR_OK || ms < min ||
	    ms > (int64_t)24 * 3600 * 1000) {
		return dflt;
	}
	return ms;
}

static void read_times(const struct json *doc, struct endpoints *e)
{
	e->timeout_ms = read_span(doc, STR("endpointTimeout"), 120000, 1);
	e->handshake_timeout_ms = read_span(doc, STR("handshakeTimeout"), 15000, 1);
	e->keep_alive_ms = read_span(doc, STR("keepAliveInterval"), 15000, 100);
	e->reconnect_min_ms = 30000;
	e->reconnect_max_ms = 300000;
	endpoints_set_delays(
		e, (struct opt_i64){true, read_span(doc, STR("reconnectMinimumDelay"), 30000, 0)},
		(struct opt_i64){true, read_span(doc, STR("reconnectMaximumDelay"), 300000, 0)});
}

enum err endpoints_parse(struct arena *a, struct str text, struct endpoints *out, struct fault *f)
{
	struct endpoints e = {0};
	struct uri acknowledge;
	struct json *doc;

	if (json_parse(a, text, &doc, NULL) != ERR_OK || doc->type != JSON_OBJECT) {
		return fault_set(f, ERR_PROTO, "discovery: the answer is no JSON object");
	}
	e.server_version = str_dup(a, json_str(json_get(doc, STR("serverVersion"))));
	e.has_token = json_str(json_get(doc, STR("authorizationTokenEndpoint"))).n > 0;
	if (e.has_token) {
		TRY(read_uri(a, doc, STR("authorizationTokenEndpoint"), &e.token, f));
	}
	TRY(read_uri(a, doc, STR("connectorEndpoint"), &e.connector, f));
	TRY(read_uri(a, doc, STR("requestEndpoint"), &e.request, f));
	TRY(read_uri(a, doc, STR("responseEndpoint"), &e.response, f));
	trim_path(&e.connector);
	trim_path(&e.request);
	trim_path(&e.response);
	/* Only told to targets: whatever its scheme. */
	e.acknowledge = str_dup(a, json_str(json_get(doc, STR("acknowledgeEndpoint"))));
	if (!http_is_field_value(e.acknowledge) ||
	    uri_parse(e.acknowledge, &acknowledge, NULL) != ERR_OK) {
		return fault_set(f, ERR_PROTO, "discovery: acknowledgeEndpoint is no URL");
	}
	read_times(doc, &e);
	*out = e;
	return ERR_OK;
}

void endpoints_set_delays(struct endpoints *e, struct opt_i64 min_ms, struct opt_i64 max_ms)
{
	int64_t min = min_ms.has ? min_ms.v : e->reconnect_min_ms;
	int64_t max = max_ms.has ? max_ms.v : e->reconnect_max_ms;

	if (min >= 0 && min <= max && max <= (int64_t)24 * 3600 * 1000) {
		e->reconnect_min_ms = min;
		e->reconnect_max_ms = max;
	}
}

/* ---- negotiation ---- */

static void read_transports(const struct json *list, struct negotiation *out)
{
	static const struct str names[LINK_KINDS] = {
		STR_INIT("WebSockets"), STR_INIT("ServerSentEvents"), STR_INIT("LongPolling")};

	if (!list || list->type != JSON_ARRAY) {
		return;
	}
	for (const struct json *t = list->child; t; t = t->next) {
		struct str name = json_str(json_get(t, STR("transport")));

		for (size_t i = 0; i < LINK_KINDS; i++) {
			out->offers[i] = out->offers[i] || str_eq_nocase(name, names[i]);
		}
	}
}

static struct str escaped(struct arena *a, struct str s)
{
	struct buf b = {0};

	percent_encode(&b, s);
	s = str_dup(a, buf_str(&b));
	buf_free(&b);
	return s;
}

enum err negotiation_parse(struct arena *a, struct str text, struct negotiation *out,
			   struct fault *f)
{
	struct negotiation n = {0};
	struct json *doc;

	if (json_parse(a, text, &doc, NULL) != ERR_OK || doc->type != JSON_OBJECT) {
		return fault_set(f, ERR_PROTO, "negotiate: the answer is no JSON object");
	}
	struct str error = json_str(json_get(doc, STR("error")));
	struct str id = json_str(json_get(doc, STR("connectionToken")));

	if (error.n > 0) {
		return fault_set(f, ERR_DENIED, "negotiate: %.*s", STR_ARG(error));
	}
	if (id.n == 0) {
		id = json_str(json_get(doc, STR("connectionId")));
	}
	if (id.n == 0 || id.n > 1024) {
		return fault_set(f, ERR_PROTO, "negotiate: the answer names no connection");
	}
	n.id = escaped(a, id);
	read_transports(json_get(doc, STR("availableTransports")), &n);
	*out = n;
	return ERR_OK;
}

/* ---- tokens ---- */

#define TOKEN_MARGIN_MS 60000

enum err token_answer_parse(struct arena *a, struct str text, struct token_answer *out,
			    struct fault *f)
{
	struct json *doc;
	int64_t seconds;

	if (json_parse(a, text, &doc, NULL) != ERR_OK || doc->type != JSON_OBJECT) {
		return fault_set(f, ERR_PROTO, "token: the answer is no JSON object");
	}
	struct str token = json_str(json_get(doc, STR("access_token")));
	struct str type = json_str(json_get(doc, STR("token_type")));

	if (token.n == 0 || !http_is_field_value(token) ||
	    (type.n > 0 && !str_eq_nocase(type, STR("Bearer")))) {
		return fault_set(f, ERR_PROTO, "token: the answer has no bearer token");
	}
	out->authorization = str_fmt(a, "Bearer %.*s", STR_ARG(token));
	out->lifetime_ms = INT64_MAX;
	if (json_int(json_get(doc, STR("expires_in")), &seconds)) {
		seconds = MIN(MAX(seconds, 0), (int64_t)365 * 24 * 3600);
		out->lifetime_ms = seconds * 1000 - TOKEN_MARGIN_MS;
	}
	return ERR_OK;
}

struct str token_basic(struct arena *a, struct str name, struct str secret)
{
	struct buf pair = {0}, text = {0};
	struct str out;

	form_encode(&pair, name);
	buf_putc(&pair, ':');
	form_encode(&pair, secret);
	buf_puts(&text, "Basic ");
	base64_encode(&text, buf_str(&pair));
	out = str_dup(a, buf_str(&text));
	mem_wipe(pair.p, pair.cap);
	mem_wipe(text.p, text.cap);
	buf_free(&pair);
	buf_free(&text);
	return out;
}
