#include "gateway/call_values.h"

#include "base/enc.h"
#include "gateway/call_int.h"

size_t call_header_values(struct gw_call *c, struct str name, struct str *v, size_t max)
{
	const struct http_headers *h = call_headers(c);
	size_t n = 0;

	for (size_t i = 0; i < h->n && n < max; i++) {
		if (str_eq_nocase(h->v[i].name, name)) {
			v[n++] = h->v[i].value;
		}
	}
	return n;
}

bool cookie_find(struct str line, struct str name, struct str *out)
{
	struct str part;

	while (str_split(&line, ';', &part)) {
		ptrdiff_t eq;

		part = str_trim(part);
		eq = str_index(part, '=');
		if (eq > 0 && str_eq(str_slice(part, 0, (size_t)eq), name)) {
			*out = str_skip(part, (size_t)eq + 1);
			return true;
		}
	}
	return false;
}

bool call_cookie(struct gw_call *c, struct str name, struct str *out)
{
	const struct http_headers *h = call_headers(c);

	for (size_t i = 0; i < h->n; i++) {
		if (str_eq_nocase(h->v[i].name, STR("cookie")) &&
		    cookie_find(h->v[i].value, name, out)) {
			return true;
		}
	}
	return false;
}

static bool decoded(struct arena *a, struct str in, struct str *out)
{
	struct buf b = {0};
	bool ok = form_decode(&b, in) == ERR_OK;

	if (ok) {
		*out = str_dup(a, buf_str(&b));
	}
	buf_free(&b);
	return ok;
}

size_t call_query_values(struct gw_call *c, struct str name, struct str *v, size_t max)
{
	struct str rest = call_request(c)->query, part;
	size_t n = 0;

	while (n < max && str_split(&rest, '&', &part)) {
		ptrdiff_t eq = str_index(part, '=');
		struct str key;

		if (!decoded(c->arena, eq < 0 ? part : str_slice(part, 0, (size_t)eq), &key) ||
		    !str_eq(key, name)) {
			continue;
		}
		if (!decoded(c->arena, eq < 0 ? STR("") : str_skip(part, (size_t)eq + 1), &v[n])) {
			break;
		}
		n++;
	}
	return n;
}

bool call_capture(const struct gw_call *c, struct str name, struct str *out)
{
	const struct router_match *m = &c->match;
	uint64_t number;
	bool by_number = str_to_u64(name, &number);

	for (size_t i = 0; i < m->n_captures; i++) {
		const struct router_capture *cap = &m->captures[i];

		if (cap->value.p &&
		    (by_number ? number == i : cap->name.p && str_eq(cap->name, name))) {
			*out = cap->value;
			return true;
		}
	}
	return false;
}
