/*
 * URLs: parsing, appending and resolving. "URL\nREST" splits at the first line
 * feed. What is called safe is decoded here and walked, and must stay below.
 */
#include "base/enc.h"
#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_url(struct arena *a, struct str text)
{
	struct uri u, v;
	struct str origin, whole;

	if (uri_parse(text, &u, NULL) != ERR_OK) {
		return;
	}
	ASSERT(u.host.n > 0 && u.port > 0 && u.path.p[0] == '/');
	ASSERT(uri_is_authority(uri_authority(a, &u)));
	origin = uri_origin(a, &u);
	whole = str_fmt(a, "%.*s%.*s%s%.*s", STR_ARG(origin), STR_ARG(u.path), u.query.p ? "?" : "",
			STR_ARG(u.query));
	if (whole.n <= 8192) {
		ASSERT(uri_parse(whole, &v, NULL) == ERR_OK);
		ASSERT(str_eq(u.host, v.host) && u.port == v.port && u.tls == v.tls);
		ASSERT(str_eq(u.path, v.path) && str_eq(u.query, v.query));
	}
}

/* Depth below the base, as a server that decodes first and takes '\' for '/' counts it. */
static void check_walk(struct str path)
{
	struct str part;
	int depth = 0;

	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] == '\\') {
			((char *)(uintptr_t)path.p)[i] = '/';
		}
	}
	while (str_split(&path, '/', &part)) {
		ptrdiff_t params = str_index(part, ';');

		part = params >= 0 ? str_slice(part, 0, (size_t)params) : part;
		depth += str_eq(part, STR("..")) ? -1 : part.n > 0 && !str_eq(part, STR("."));
		ASSERT(depth >= 0);
	}
}

static void check_rest(struct arena *a, struct str rest)
{
	struct str path = str_dup(a, str_slice(rest, 0, (size_t)MAX(str_index(rest, '?'), 0)));
	struct buf once = {0}, twice = {0};

	if (str_index(rest, '?') < 0) {
		path = str_dup(a, rest);
	}
	ASSERT(percent_decode(&once, path) == ERR_OK);
	if (percent_decode(&twice, buf_str(&once)) == ERR_OK) {
		check_walk(buf_str(&twice));
	}
	check_walk(buf_str(&once));
	buf_free(&once);
	buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str rest = str_of(data, n), url = STR_NULL, out;
	struct uri base, checked;
	struct arena a;

	(void)str_split(&rest, '\n', &url);
	arena_init(&a, 0);
	check_url(&a, url);
	(void)uri_is_authority(url);
	if (uri_rest_is_safe(rest)) {
		check_rest(&a, rest);
	}
	if (uri_parse(url, &base, NULL) == ERR_OK && uri_append(&a, &base, rest, &out) == ERR_OK) {
		ASSERT(str_starts(out, str_slice(base.path, 0, base.path.n)));
	}
	if (uri_resolve(&a, url, rest, &out) == ERR_OK) {
		ASSERT(uri_parse(out, &checked, NULL) == ERR_OK);
	}
	arena_fini(&a);
	return 0;
}
