/*
 * What a hostile server may send to a connector: hub records cut anywhere, and the
 * documents of discovery, negotiation and token endpoint.
 */
#include "connector/endpoints.h"
#include "connector/wire.h"
#include "http/uri.h"
#include "ws/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What becomes of a request must be fit for HTTP, below the target's base, and readable again. */
static void check_request(struct arena *a, const struct wire_request *q)
{
	struct uri base;
	struct str path_query;
	struct http_headers headers = {0};
	struct buf out = {0};
	struct json *again;

	ASSERT(q->body_size >= 0);
	ASSERT(uri_parse(STR("http://target/base/"), &base, NULL) == ERR_OK);
	if (uri_append(a, &base, q->url, &path_query) == ERR_OK) {
		ASSERT(str_starts(path_query, STR("/base/")));
	}
	if (wire_read_headers(a, q->headers, &headers) != ERR_OK) {
		return;
	}
	for (size_t i = 0; i < headers.n; i++) {
		ASSERT(http_is_token(headers.v[i].name) && http_is_field_value(headers.v[i].value));
	}
	struct wire_response r = {
		.id = q->id, .status = 200, .headers = &headers, .body_size = 2, .body = STR("ab")};

	wire_write_deliver(&out, &r);
	wire_write_end(&out, 7);
	ASSERT(json_parse(a, str_slice(buf_str(&out), 0, out.n - 1), &again, NULL) == ERR_OK);
	buf_free(&out);
}

static void feed(struct arena *a, struct records *r, struct str piece)
{
	struct str record, error;
	struct wire_record w;

	records_feed(r, piece);
	while (records_next(r, &record) == ERR_OK) {
		(void)!wire_parse_handshake(a, record, &error);
		if (wire_parse(a, record, &w) == ERR_OK && w.kind == WIRE_REQUEST) {
			check_request(a, &w.request);
		}
	}
}

static void check_records(struct arena *a, struct str text)
{
	struct records r;
	size_t cut = text.n > 0 ? (uint8_t)text.p[text.n - 1] % text.n : 0;

	records_init(&r, 4096);
	feed(a, &r, str_slice(text, 0, cut));
	feed(a, &r, str_skip(text, cut));
	records_fini(&r);
}

static void check_documents(struct arena *a, struct str text)
{
	struct endpoints e;
	struct negotiation n;
	struct token_answer t;
	struct fault f = {0};

	if (endpoints_parse(a, text, &e, &f) == ERR_OK) {
		ASSERT(e.reconnect_min_ms <= e.reconnect_max_ms && e.keep_alive_ms >= 100);
	} else {
		ASSERT(f.code != ERR_OK && f.text[0]);
	}
	if (negotiation_parse(a, text, &n, NULL) == ERR_OK) {
		ASSERT(n.id.n > 0);
	}
	if (token_answer_parse(a, text, &t, NULL) == ERR_OK) {
		ASSERT(http_is_field_value(t.authorization));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena a;

	arena_init(&a, 0);
	check_records(&a, str_of(data, n));
	check_documents(&a, str_of(data, n));
	arena_fini(&a);
	return 0;
}
