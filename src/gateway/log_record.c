#include "gateway/log_record.h"

#include "base/enc.h"
#include "base/json.h"
#include "gateway/call_int.h"
#include "http/chars.h"

/* ---- headers ---- */

static bool is_secret(struct str name)
{
	return TOKEN_IS(name, "authorization") || TOKEN_IS(name, "proxy-authorization");
}

static void put_header_value(struct buf *out, const struct http_header *h)
{
	if (is_secret(h->name)) {
		buf_puts(out, "\"REDACTED\"");
	} else {
		json_quote(out, h->value);
	}
}

/* A token: nothing to escape. `to` has room for four bytes more than that. */
static char *put_name(char *to, struct str name)
{
	*to++ = ',';
	*to++ = '"';
	to = str_copy_lower(to, name);
	*to++ = '"';
	*to++ = ':';
	return to;
}

static void put_header_name(struct buf *out, struct str name)
{
	(void)put_name(buf_reserve(out, name.n + 4), name);
	buf_commit(out, name.n + 4);
}

/* Both in one go, as long as the value says nothing unusual. */
static void put_header(struct buf *out, const struct http_header *h)
{
	char *start = buf_reserve(out, h->name.n + h->value.n + 6);
	char *value = put_name(start, h->name), *end;

	end = is_secret(h->name) ? NULL : json_put_plain(value, h->value);
	if (end) {
		buf_commit(out, (size_t)(end - start));
		return;
	}
	buf_commit(out, (size_t)(value - start));
	put_header_value(out, h);
}

/* Index of the next line of the same name after `i`; h->n when there is none. */
static size_t next_same(const struct http_headers *h, size_t i)
{
	struct str name = h->v[i].name;

	do {
		i++;
	} while (i < h->n && !str_eq_nocase(h->v[i].name, name));
	return i;
}

static bool was_before(const struct http_headers *h, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (str_eq_nocase(h->v[j].name, h->v[i].name)) {
			return true;
		}
	}
	return false;
}

/* A small set of names that may be wrong about one that it does not hold. */
struct name_set {
	uint64_t bits[8];
};

/* The same for names that are the same; below 512. */
static unsigned name_hash(struct str name)
{
	unsigned first = (unsigned char)name.p[0] | 0x20;
	unsigned last = (unsigned char)name.p[name.n - 1] | 0x20;
	unsigned middle = (unsigned char)name.p[name.n / 2] | 0x20;

	return ((unsigned)name.n * 37 + first * 11 + middle * 5 + last) % 512;
}

static bool has_name(const struct name_set *set, struct str name)
{
	unsigned hash = name_hash(name);

	return set->bits[hash / 64] >> hash % 64 & 1;
}

/* Whether it had the name before. */
static bool add_name(struct name_set *set, struct str name)
{
	unsigned hash = name_hash(name);
	uint64_t bit = UINT64_C(1) << hash % 64, *word = &set->bits[hash / 64];
	bool had = *word & bit;

	*word |= bit;
	return had;
}

/* The line at `i` with all that have its name. */
static void put_lines(struct buf *out, const struct http_headers *h, size_t i)
{
	size_t next = next_same(h, i);

	if (next == h->n) {
		put_header_value(out, &h->v[i]);
		return;
	}
	buf_putc(out, '[');
	put_header_value(out, &h->v[i]);
	for (; next < h->n; next = next_same(h, next)) {
		buf_putc(out, ',');
		put_header_value(out, &h->v[next]);
	}
	buf_putc(out, ']');
}

/* False when a name is there twice: then as far as that. */
static bool put_different(struct buf *out, const struct http_headers *h)
{
	struct name_set seen = {0};

	for (size_t i = 0; i < h->n; i++) {
		if (add_name(&seen, h->v[i].name) && was_before(h, i)) {
			return false;
		}
		put_header(out, &h->v[i]);
	}
	return true;
}

static void put_grouped(struct buf *out, const struct http_headers *h)
{
	struct name_set seen = {0}, repeated = {0};

	for (size_t i = 0; i < h->n; i++) {
		if (add_name(&seen, h->v[i].name)) {
			(void)add_name(&repeated, h->v[i].name);
		}
	}
	for (size_t i = 0; i < h->n; i++) {
		bool alone = !has_name(&repeated, h->v[i].name);

		if (!alone && was_before(h, i)) {
			continue;
		}
		if (alone) {
			put_header(out, &h->v[i]);
		} else {
			put_header_name(out, h->v[i].name);
			put_lines(out, h, i);
		}
	}
}

static void put_headers(struct buf *out, const struct http_headers *h)
{
	size_t start = out->n;

	if (!put_different(out, h)) {
		out->n = start;
		put_grouped(out, h);
	}
	if (out->n == start) {
		buf_putc(out, '{');
	} else {
		buf_head(out)[start] = '{'; /* for the first comma */
	}
	buf_putc(out, '}');
}

/* ---- the query ---- */

static void put_decoded(struct buf *out, struct str raw)
{
	struct buf b = {0};

	if (str_index(raw, '%') < 0 && str_index(raw, '+') < 0) {
		json_quote(out, raw);
		return;
	}
	json_quote(out, form_decode(&b, raw) == ERR_OK ? buf_str(&b) : raw);
	buf_free(&b);
}

struct pair {
	struct str name;  /* as JSON; p NULL = has been put */
	struct str value; /* p NULL = no '=' */
};

static bool next_pair(struct str *rest, struct pair *out)
{
	struct str raw;

	while (str_split(rest, '&', &raw)) {
		ptrdiff_t eq = str_index(raw, '=');

		if (raw.n == 0) {
			continue;
		}
		out->name = eq < 0 ? raw : str_slice(raw, 0, (size_t)eq);
		out->value = eq < 0 ? STR_NULL : str_skip(raw, (size_t)eq + 1);
		if (eq >= 0 && !out->value.p) {
			out->value = STR("");
		}
		return true;
	}
	return false;
}

/*
 * Names as they stand in JSON, into `texts`: there one that is escaped, or repaired because it is
 * no UTF-8, may be the same as another.
 */
static void quote_names(struct buf *texts, struct pair *pairs, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		size_t start = texts->n;

		put_decoded(texts, pairs[i].name);
		pairs[i].name.n = texts->n - start;
	}
	for (size_t i = 0; i < n; i++) {
		pairs[i].name.p = texts->p + at;
		at += pairs[i].name.n;
	}
}

/* Index of the next of the same name after `i`; `n` when there is none. */
static size_t next_pair_of_name(const struct pair *pairs, size_t n, size_t i)
{
	struct str name = pairs[i].name;

	do {
		i++;
	} while (i < n && !(pairs[i].name.p && str_eq(pairs[i].name, name)));
	return i;
}

static void put_pair_value(struct buf *out, struct str value)
{
	if (value.p) {
		put_decoded(out, value);
	} else {
		buf_puts(out, "true");
	}
}

/* Of the pair at `i` and all that have its name. */
static void put_pair_values(struct buf *out, struct pair *pairs, size_t n, size_t i)
{
	size_t next = next_pair_of_name(pairs, n, i);

	if (next == n) {
		put_pair_value(out, pairs[i].value);
		return;
	}
	buf_putc(out, '[');
	put_pair_value(out, pairs[i].value);
	while (next < n) {
		buf_putc(out, ',');
		put_pair_value(out, pairs[next].value);
		pairs[next].name.p = NULL;
		next = next_pair_of_name(pairs, n, i);
	}
	buf_putc(out, ']');
}

/* The first 100 parameters, as the original. */
static void put_query(struct buf *out, struct str query)
{
	struct pair pairs[100];
	struct buf names = {0};
	size_t n = 0;
	bool comma = false;

	while (n < ARRAY_LEN(pairs) && next_pair(&query, &pairs[n])) {
		n++;
	}
	quote_names(&names, pairs, n);
	buf_putc(out, '{');
	for (size_t i = 0; i < n; i++) {
		if (!pairs[i].name.p) {
			continue;
		}
		if (comma) {
			buf_putc(out, ',');
		}
		comma = true;
		buf_put(out, pairs[i].name);
		buf_putc(out, ':');
		put_pair_values(out, pairs, n, i);
	}
	buf_putc(out, '}');
	buf_free(&names);
}

/* ---- the parts ---- */

/* The escaped text without quotes. */
static void put_text(struct buf *out, struct str s)
{
	size_t start = out->n;
	char *p;

	json_quote(out, s);
	p = buf_head(out) + start;
	memmove(p, p + 1, out->n - start - 2);
	out->n -= 2;
}

static void put_path_query(struct buf *out, const struct http_request *r)
{
	put_text(out, r->path);
	if (r->query.p) {
		buf_putc(out, '?');
		put_text(out, r->query);
	}
}

/* Of an absolute target (RFC 9112 3.2.2) what one without the host would be. */
static void put_uri(struct buf *out, const struct http_request *r)
{
	if (r->path.p == r->target.p || r->path.n == 0) {
		json_quote(out, r->target);
		return;
	}
	buf_putc(out, '"');
	put_path_query(out, r);
	buf_putc(out, '"');
}

static void put_url(struct buf *out, const struct gw_call *c, const struct http_request *r)
{
	if (call_is_tls(c)) {
		buf_puts(out, "\"https://");
	} else {
		buf_puts(out, "\"http://");
	}
	put_text(out, r->authority);
	put_path_query(out, r);
	buf_putc(out, '"');
}

/* As nginx says it, whose words these are. */
static void put_tls(struct buf *out, const struct call_tls *t)
{
	bool is_word = str_eq(t->verify, STR("NONE")) || str_eq(t->verify, STR("SUCCESS"));

	buf_puts(out, ",\"tls\":{\"version\":");
	json_quote(out, t->version);
	buf_puts(out, ",\"cipher\":");
	json_quote(out, t->cipher);
	buf_puts(out, ",\"client_verify\":\"");
	buf_put(out, is_word ? STR("") : STR("FAILED:"));
	put_text(out, t->verify);
	buf_puts(out, "\"}");
}

static void put_request(struct buf *out, struct gw_call *c, const struct call_facts *facts)
{
	const struct http_request *r = call_request(c);

	buf_puts(out, "{\"request\":{\"id\":");
	json_quote(out, call_request_id(c));
	buf_puts(out, ",\"method\":");
	json_quote(out, r->method_text);
	buf_puts(out, ",\"uri\":");
	put_uri(out, r);
	buf_puts(out, ",\"url\":");
	put_url(out, c, r);
	buf_puts(out, ",\"size\":");
	json_number(out, (int64_t)facts->request_bytes);
	buf_puts(out, ",\"querystring\":");
	put_query(out, r->query);
	buf_puts(out, ",\"headers\":");
	put_headers(out, call_shown_headers(c));
	if (facts->tls.version.p) {
		put_tls(out, &facts->tls);
	}
	buf_puts(out, "},\"upstream_uri\":");
	json_quote(out, facts->upstream_uri);
	buf_puts(out, ",\"upstream_status\":\"");
	if (facts->upstream_status > 0) {
		json_number(out, facts->upstream_status);
	}
	buf_putc(out, '"');
}

static void put_answer(struct buf *out, struct gw_call *c, const struct call_facts *facts)
{
	buf_puts(out, ",\"response\":{\"status\":");
	json_number(out, facts->status);
	buf_puts(out, ",\"headers\":");
	put_headers(out, call_answer_headers(c));
	buf_puts(out, ",\"size\":");
	json_number(out, (int64_t)facts->answer_bytes);
	buf_puts(out, "},\"latencies\":{\"request\":");
	json_number(out, facts->total_ms);
	buf_puts(out, ",\"kong\":");
	json_number(out, facts->gateway_ms);
	buf_puts(out, ",\"proxy\":");
	json_number(out, facts->upstream_ms);
	buf_puts(out, ",\"receive\":");
	json_number(out, facts->receive_ms);
	buf_putc(out, '}');
}

static void put_tries(struct buf *out, const struct call_facts *facts)
{
	buf_puts(out, ",\"tries\":[");
	for (size_t i = 0; i < facts->n_tries; i++) {
		const struct call_try *t = &facts->tries[i];

		if (i > 0) {
			buf_putc(out, ',');
		}
		buf_puts(out, "{\"ip\":");
		json_quote(out, str_c(t->ip));
		buf_puts(out, ",\"port\":");
		json_number(out, t->port);
		buf_puts(out, ",\"balancer_start\":");
		json_number(out, t->start_wall_ms);
		buf_puts(out, ",\"balancer_latency\":");
		json_number(out, t->latency_ms);
		buf_putc(out, '}');
	}
	buf_putc(out, ']');
}

static void put_set_members(struct buf *out, const struct json *v)
{
	struct json_writer w = json_writer_to(out);

	json_begin_object(&w);
	for (const struct json *m = v->child; m; m = m->next) {
		if (m->type != JSON_NULL) {
			json_key(&w, m->key);
			json_put_tree(&w, m);
		}
	}
	json_end_object(&w);
}

static void put_entity(struct buf *out, struct str name, struct str text, const struct json *v)
{
	buf_puts(out, ",\"");
	buf_put(out, name);
	buf_puts(out, "\":");
	if (text.p) {
		buf_put(out, text);
	} else {
		put_set_members(out, v);
	}
}

static void put_id(struct buf *out, const char *id_text)
{
	buf_putc(out, '"');
	buf_append(out, id_text, GUID_D_LEN);
	buf_putc(out, '"');
}

static void put_entities(struct buf *out, const struct gw_call *c)
{
	const struct gw_credential *credential = call_credential(c);
	const struct gw_consumer *consumer = call_consumer(c);
	const struct gw_route *route = call_route(c);
	const struct gw_service *service = call_service(c);

	if (credential) { /* and so its consumer */
		buf_puts(out, ",\"authenticated_entity\":{\"id\":");
		put_id(out, credential->id_text);
		buf_puts(out, ",\"consumer_id\":");
		put_id(out, consumer->id_text);
		buf_putc(out, '}');
	}
	if (consumer) {
		put_entity(out, STR("consumer"), consumer->log_json, consumer->json);
	}
	if (route) {
		put_entity(out, STR("route"), route->log_json, route->json);
	}
	if (service) {
		put_entity(out, STR("service"), service->log_json, service->json);
	}
}

void log_record_write(struct gw_call *c, struct buf *out)
{
	const struct call_facts *facts = call_facts(c);

	put_request(out, c, facts);
	put_answer(out, c, facts);
	put_tries(out, facts);
	put_entities(out, c);
	buf_puts(out, ",\"workspace\":\"0dc6f45b-8f8d-40d2-a504-473544ee190b\""
		      ",\"workspace_name\":\"default\",\"client_ip\":");
	json_quote(out, call_client_ip(c));
	buf_puts(out, ",\"started_at\":");
	json_number(out, call_start_wall_ms(c));
	if (call_is_from_service(c)) {
		buf_puts(out, ",\"source\":\"upstream\"}");
	} else {
		buf_puts(out, ",\"source\":\"kong\"}");
	}
}

struct str call_log_record(struct gw_call *c)
{
	struct buf b = {0};

	if (!c->log_record.p) {
		log_record_write(c, &b);
		c->log_record = str_dup(c->arena, buf_str(&b));
		buf_free(&b);
	}
	return c->log_record;
}

struct str log_record_of_entity(struct arena *a, const struct json *v)
{
	struct buf b = {0};
	struct str out;

	put_set_members(&b, v);
	out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return out;
}
