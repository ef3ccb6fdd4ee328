/*
 * Where a request may say who it comes from; the first byte says where: 'b' Authorization of
 * basic-auth, 'c' a line of cookies, else a query string in which a key is looked for and hidden.
 */
#include "base/buf.h"
#include "base/enc.h"
#include "gateway/call_values.h"
#include "gateway/plugins/auth.h"
#include "gateway/plugins/params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_basic(struct arena *a, struct str value)
{
	struct auth_login l, again;
	struct buf text = {0}, header = {0};

	if (!auth_read_basic(a, value, &l)) {
		return;
	}
	ASSERT(l.username.n > 0 && str_index(l.username, ':') < 0);
	buf_printf(&text, "%.*s:", STR_ARG(l.username));
	if (text.n == l.username.n + 1) { /* else there is a NUL in it */
		buf_put(&text, l.password);
		buf_puts(&header, "basic  ");
		base64_encode(&header, buf_str(&text));
		ASSERT(auth_read_basic(a, buf_str(&header), &again));
		ASSERT(str_eq(again.username, l.username) && str_eq(again.password, l.password));
	}
	buf_free(&text);
	buf_free(&header);
}

static void check_cookie(struct arena *a, struct str line)
{
	struct str value, again;

	if (!cookie_find(line, STR("id"), &value)) {
		ASSERT(cookie_find(str_fmt(a, "id=x;%.*s", STR_ARG(line)), STR("id"), &value));
		ASSERT(str_eq(value, STR("x")));
		return;
	}
	ASSERT(str_index(value, ';') < 0);
	ASSERT(value.p >= line.p && value.p + value.n <= line.p + line.n);
	ASSERT(cookie_find(value.p + value.n == line.p + line.n
				   ? line
				   : str_slice(line, 0, (size_t)(value.p - line.p) + value.n),
			   STR("id"), &again));
	ASSERT(str_eq(again, value));
}

/* What was hidden is not there for the service, and the rest is as it came. */
static void check_params(struct arena *a, struct str query)
{
	struct params p, again;
	struct str value, written;
	size_t n, removed;

	params_parse(a, query, &p);
	n = params_get(&p, STR("apikey"), &value);
	removed = params_remove(&p, STR("apikey"));
	ASSERT(removed == n);
	ASSERT(params_get(&p, STR("apikey"), &value) == 0);
	written = params_write(a, &p);
	params_parse(a, written, &again);
	ASSERT(params_get(&again, STR("apikey"), &value) == 0);
	ASSERT(str_eq(params_write(a, &again), written));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str rest = str_of(data, n);
	struct arena a;

	if (n == 0) {
		return 0;
	}
	arena_init(&a, 0);
	rest = str_skip(rest, 1);
	if (data[0] == 'b') {
		check_basic(&a, rest);
	} else if (data[0] == 'c') {
		check_cookie(&a, rest);
	} else {
		check_params(&a, rest);
	}
	arena_fini(&a);
	return 0;
}
