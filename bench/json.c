/*
 * json - what it costs to read and write one relay record, beside jansson
 *
 *	ninja -C build bench/bench_json && build/bench/bench_json
 *
 * Each figure is the best of several rounds, so that another job on the machine
 * does not spoil it. Both readers build their whole tree and free it again.
 */
#include "base/json.h"
#include "base/clock.h"

#include <stdio.h>

#ifdef HAVE_JANSSON
/* In json_jansson.c, since its names are also ours. */
void read_jansson(struct str text);
void echo_jansson(struct str text);
#endif

#define ROUNDS 15
#define BODY_LARGE (16 * 1024)

static const char head[] =
	"{\"requestId\":\"6f1c2b1e-52f8-4d0c-9d2b-0c5a6a1f7e11\","
	"\"requestOriginId\":\"0b52a3de-7a39-4a0f-8f44-7e4f0c6f2a90\",\"acknowledgeMode\":0,"
	"\"acknowledgeOriginId\":null,\"target\":\"erp\",\"tenantName\":\"Branch1\","
	"\"httpMethod\":\"POST\",\"url\":\"api/orders/42/lines?expand=product&top=50\","
	"\"httpHeaders\":{\"Host\":[\"relay.example.com\"],"
	"\"Accept\":[\"application/json\",\"text/plain\",\"*/*\"],"
	"\"Accept-Encoding\":[\"gzip\",\"deflate\",\"br\"],\"Accept-Language\":[\"de-DE,de;q=0.9\"]"
	","
	"\"User-Agent\":[\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0\"],"
	"\"Content-Type\":[\"application/json; charset=utf-8\"],\"Content-Length\":[\"384\"],"
	"\"X-Forwarded-For\":[\"203.0.113.7\"],\"X-Forwarded-Proto\":[\"https\"],"
	"\"Cookie\":[\"session=8f14e45fceea167a5a36dedd4bea2543\"]},"
	"\"originalBodySize\":384,\"bodySize\":384,\"bodyContent\":\"";
static const char tail[] = "\",\"enableTracing\":false,\"discardConnectorResponse\":false}";

struct record {
	struct str request_id, origin_id, target, tenant, method, url, body;
	int64_t mode, original_size, size;
	bool trace, discard;
	const struct json *headers;
};

#define F(n, t, m)                                                                                 \
	{                                                                                          \
		.name = n, .type = t, .offset = offsetof(struct record, m)                         \
	}
static const struct json_field fields[] = {
	F("requestId", JSON_F_STR, request_id),
	F("requestOriginId", JSON_F_STR, origin_id),
	F("acknowledgeMode", JSON_F_I64, mode),
	F("target", JSON_F_STR, target),
	F("tenantName", JSON_F_STR, tenant),
	F("httpMethod", JSON_F_STR, method),
	F("url", JSON_F_STR, url),
	F("httpHeaders", JSON_F_TREE, headers),
	F("originalBodySize", JSON_F_I64, original_size),
	F("bodySize", JSON_F_I64, size),
	F("bodyContent", JSON_F_STR, body),
	F("enableTracing", JSON_F_BOOL, trace),
	F("discardConnectorResponse", JSON_F_BOOL, discard),
};
#undef F
static const struct json_shape shape = {"request", fields, ARRAY_LEN(fields)};

static void read_own(struct str text)
{
	struct arena a;
	struct json *v;

	arena_init(&a, 0);
	ASSERT(json_parse(&a, text, &v, NULL) == ERR_OK);
	arena_fini(&a);
}

static void decode_own(struct str text)
{
	struct arena a;
	struct json *v;
	struct record r;

	arena_init(&a, 0);
	ASSERT(json_parse(&a, text, &v, NULL) == ERR_OK);
	ASSERT(json_decode(&shape, v, &r, NULL) == ERR_OK);
	arena_fini(&a);
}

static void echo_own(struct str text)
{
	static struct buf out;
	struct json_writer w = json_writer_to(&out);
	struct arena a;
	struct json *v;
	struct record r;

	arena_init(&a, 0);
	ASSERT(json_parse(&a, text, &v, NULL) == ERR_OK);
	ASSERT(json_decode(&shape, v, &r, NULL) == ERR_OK);
	buf_clear(&out);
	json_encode(&shape, &r, &w);
	arena_fini(&a);
}

static void measure(const char *what, void (*fn)(struct str text), struct str text)
{
	size_t turns = 40000000 / (text.n + 1000);
	uint64_t best_ns = UINT64_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t start_ns = clock_mono_ns();

		for (size_t t = 0; t < turns; t++) {
			fn(text);
		}
		best_ns = MIN(best_ns, (clock_mono_ns() - start_ns) / turns);
	}
	printf("%-34s %7zu bytes %8llu ns %8.2f GB/s\n", what, text.n, (unsigned long long)best_ns,
	       (double)text.n / (double)best_ns);
}

static void measure_record(size_t body_len)
{
	struct buf text = {0};

	buf_put(&text, STR(head));
	for (size_t i = 0; i < body_len; i++) {
		buf_putc(&text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[i * 7 % 32]);
	}
	buf_put(&text, STR(tail));
	measure("parse", read_own, buf_str(&text));
	measure("parse, decode", decode_own, buf_str(&text));
	measure("parse, decode, encode", echo_own, buf_str(&text));
#ifdef HAVE_JANSSON
	measure("jansson: parse", read_jansson, buf_str(&text));
	measure("jansson: parse, dump", echo_jansson, buf_str(&text));
#endif
	buf_free(&text);
}

int main(void)
{
	measure_record(512);
	measure_record(BODY_LARGE);
	return 0;
}
