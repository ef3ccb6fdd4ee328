/*
 * h1 - nanoseconds per request head, response head and mebibytes per second of mask
 */
#include "http/h1.h"
#include "base/clock.h"
#include "ws/frame.h"

#include <stdio.h>

#define ROUNDS 1000000

static const struct {
	const char *name;
	struct str head;
} requests[] = {
	{"wrk, 1 header",
	 STR_INIT("GET /api/v1/items/42 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n")},
	{"curl, 3 headers", STR_INIT("GET /api/v1/items/42 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
				     "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n")},
	{"client, 6 headers",
	 STR_INIT("POST /relay/tenant/target/orders HTTP/1.1\r\nHost: relay.example.com\r\n"
		  "User-Agent: curl/7.88.1\r\nAccept: */*\r\n"
		  "Content-Type: application/json\r\nContent-Length: 128\r\n"
		  "Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n\r\n")},
	{"browser, 10 headers",
	 STR_INIT("GET /index.html?lang=en HTTP/1.1\r\nHost: www.example.com\r\n"
		  "Connection: keep-alive\r\nCache-Control: max-age=0\r\n"
		  "Upgrade-Insecure-Requests: 1\r\n"
		  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
		  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9\r\n"
		  "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n"
		  "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
		  "Referer: https://www.example.com/\r\n\r\n")},
};

static const struct str response =
	STR_INIT("HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Fri, 20 Nov 2026 22:30:00 GMT\r\n"
		 "Content-Type: application/json\r\nContent-Length: 1234\r\n"
		 "Connection: keep-alive\r\nETag: \"5f3a-4d2\"\r\n\r\n");

static void report(const char *what, uint64_t start_ns, uint64_t rounds)
{
	printf("%-24s %7.1f ns\n", what, (double)(clock_mono_ns() - start_ns) / (double)rounds);
}

static void bench_request(const char *name, struct str head)
{
	uint64_t start = clock_mono_ns();
	struct arena a;

	arena_init(&a, 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct h1_scan scan = {0};
		struct http_request r;
		int status;

		ASSERT(h1_parse_request(&a, head, &h1_limits_default, &scan, &r, &status) ==
		       ERR_OK);
		arena_rewind(&a, 4096);
	}
	arena_fini(&a);
	report(name, start, ROUNDS);
}

static void bench_response(void)
{
	uint64_t start = clock_mono_ns();
	struct arena a;

	arena_init(&a, 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct h1_scan scan = {0};
		struct http_response r;

		ASSERT(h1_parse_response(&a, response, &h1_limits_default, HTTP_GET, &scan, &r) ==
		       ERR_OK);
		arena_rewind(&a, 4096);
	}
	arena_fini(&a);
	report("response, 6 headers", start, ROUNDS);
}

static void bench_write(void)
{
	uint64_t start = clock_mono_ns();
	struct buf b = {0};

	for (int i = 0; i < ROUNDS; i++) {
		h1_write_status_line(&b, 200);
		h1_write_header(&b, STR("Content-Type"), STR("application/json"));
		h1_write_header(&b, STR("Date"), STR("Fri, 20 Nov 2026 22:30:00 GMT"));
		h1_write_header_u64(&b, STR("Content-Length"), 1234);
		h1_write_end(&b);
		buf_clear(&b);
	}
	buf_free(&b);
	report("write, 3 headers", start, ROUNDS);
}

static void bench_mask(void)
{
	static uint8_t data[65536];
	const uint8_t mask[4] = {1, 2, 3, 4};
	uint64_t start = clock_mono_ns(), ns;
	int rounds = 100000;

	for (int i = 0; i < rounds; i++) {
		ws_mask(data, sizeof(data) - 1, mask, (size_t)i);
	}
	ns = clock_mono_ns() - start;
	printf("%-24s %7.1f GB/s\n", "mask, 64 KiB", (double)sizeof(data) * rounds / (double)ns);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		bench_request(requests[i].name, requests[i].head);
	}
	bench_response();
	bench_write();
	bench_mask();
	return 0;
}
