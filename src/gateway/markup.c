#include "gateway/markup.h"

#include "base/buf.h"

static const char *entity_of(char c)
{
	switch (c) {
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '&':
		return "&amp;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

struct str markup_escape(struct arena *a, struct str s)
{
	struct buf b = {0};
	struct str out;
	size_t from = 0;

	for (size_t i = 0; i < s.n; i++) {
		const char *e = entity_of(s.p[i]);

		if (e) {
			buf_put(&b, str_slice(s, from, i - from));
			buf_put(&b, str_c(e));
			from = i + 1;
		}
	}
	if (from == 0) {
		return s;
	}
	buf_put(&b, str_skip(s, from));
	out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return out;
}
