/*
 * Canonical paths. "PATH\nBASE" splits at the first line feed. What is accepted must be
 * canonical, survive the way to the upstream, and give no server dots to climb by; nor
 * may cutting off any beginning of it.
 */
#include "base/enc.h"
#include "gateway/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* As a server that decodes first, takes '\' for '/' and drops parameters finds it. */
static void check_segments(struct str path)
{
	struct str part;
	bool cut;

	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] == '\\') {
			((char *)(uintptr_t)path.p)[i] = '/';
		}
	}
	while (str_split(&path, '/', &part)) {
		ptrdiff_t params = str_index(part, ';');

		cut = params >= 0;
		part = cut ? str_slice(part, 0, (size_t)params) : part;
		ASSERT(!str_eq(part, STR(".")) && !str_eq(part, STR("..")));
	}
}

static void check_no_dots(struct str path)
{
	struct buf once = {0}, twice = {0};

	ASSERT(percent_decode(&once, path) == ERR_OK);
	if (percent_decode(&twice, buf_str(&once)) == ERR_OK) {
		check_segments(buf_str(&twice));
	}
	check_segments(buf_str(&once));
	buf_free(&twice);
	buf_free(&once);
}

/* Once without parameters there are no slashes to merge that we have not. */
static void check_no_empty(struct str path)
{
	ptrdiff_t at = str_find(path, STR("/;"));

	ASSERT(at < 0 || str_index(str_skip(path, (size_t)at + 1), '/') < 0);
}

static void check_canonical(struct arena *a, struct str path)
{
	struct str escaped = path_escape(a, path), again;

	ASSERT(path.n > 0 && path.p[0] == '/' && str_find(path, STR("//")) < 0);
	for (size_t i = 0; i < path.n; i++) {
		ASSERT((uint8_t)path.p[i] >= 0x20 && path.p[i] != 0x7f && path.p[i] != '?' &&
		       path.p[i] != '#');
	}
	for (size_t i = 0; i < escaped.n; i++) {
		ASSERT(escaped.p[i] > 0x20 && escaped.p[i] < 0x7f);
	}
	ASSERT(path_escape(a, escaped).p == escaped.p);
	ASSERT(path_normalize(a, escaped, &again) && str_eq(again, path));
	ASSERT(path_is_straight(a, escaped));
	check_no_dots(escaped);
	check_no_empty(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str raw = str_of(data, n), base = STR("/base/"), path;
	ptrdiff_t cut = str_index(raw, '\n');
	struct arena a;

	arena_init(&a, 0);
	if (cut >= 0) {
		base = str_skip(raw, (size_t)cut + 1);
		raw = str_slice(raw, 0, (size_t)cut);
	}
	if (n <= 2048 && path_is_straight(&a, raw)) {
		/* Segments of parameters alone, which routes refuse, climb nowhere. */
		ASSERT(path_normalize(&a, raw, &path) || str_index(raw, ';') >= 0 ||
		       str_index(raw, '%') >= 0);
		check_no_dots(raw);
	}
	if (n <= 2048 && path_normalize(&a, raw, &path)) {
		check_canonical(&a, path);
		if (path_normalize(&a, base, &base)) {
			size_t kept = base.n - (base.p[base.n - 1] == '/');

			for (size_t i = 0; i <= path.n && i < 64; i++) {
				struct str up = path_upstream(&a, base, path, i, true);

				ASSERT(str_starts(up, str_slice(base, 0, kept)));
				ASSERT(up.p[0] == '/');
				/* A cut through an escape leaves digits, and no dots either. */
				check_segments(str_dup(&a, str_skip(up, kept)));
			}
			(void)path_upstream(&a, base, path, 0, false);
		}
	}
	arena_fini(&a);
	return 0;
}
