#include "gateway/plugins/template.h"

#include "gateway/plugins/params.h"

enum source { CONSTANT, HEADERS, QUERY, CAPTURES, CAPTURE_NUMBER, SHARED };

/* One operand of `or`, or plain text. */
struct term {
	enum source source;
	struct str name; /* CONSTANT: the text */
	size_t number;
};

struct part {
	struct term *terms; /* the first that is set */
	size_t n;
};

struct template
{
	struct part *parts;
	size_t n;
};

enum { PARTS_MAX = 64, TERMS_MAX = 16 };

/* ---- compiling ---- */

static bool is_word(char c)
{
	c = ascii_lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static struct str take_word(struct str *s)
{
	size_t n = 0;
	struct str word;

	while (n < s->n && is_word(s->p[n])) {
		n++;
	}
	word = str_slice(*s, 0, n);
	*s = str_skip(*s, n);
	return word;
}

static void skip_blanks(struct str *s)
{
	while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == '\t')) {
		*s = str_skip(*s, 1);
	}
}

/* "text" or 'text', without escapes. */
static bool take_quoted(struct str *s, struct str *out)
{
	char q = s->n > 0 ? s->p[0] : 0;
	ptrdiff_t end;

	if (q != '"' && q != '\'') {
		return false;
	}
	end = str_index(str_skip(*s, 1), q);
	if (end < 0) {
		return false;
	}
	*out = str_slice(*s, 1, (size_t)end);
	if (!out->p) {
		*out = STR("");
	}
	*s = str_skip(*s, (size_t)end + 2);
	return str_index(*out, '\\') < 0;
}

static bool source_of(struct str name, enum source *out)
{
	static const struct {
		const char *name;
		enum source source;
	} sources[] = {{"headers", HEADERS},
		       {"query_params", QUERY},
		       {"uri_captures", CAPTURES},
		       {"shared", SHARED}};

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		if (str_eq(name, str_c(sources[i].name))) {
			*out = sources[i].source;
			return true;
		}
	}
	return false;
}

/* [1] or ["name"], behind the bracket. */
static bool take_index(struct str *s, struct term *t)
{
	uint64_t number;

	if (take_quoted(s, &t->name)) {
		t->name = str_trim(t->name);
	} else if (t->source == CAPTURES && str_to_u64(take_word(s), &number) && number < 100) {
		t->source = CAPTURE_NUMBER;
		t->number = number;
	} else {
		return false;
	}
	if (s->n == 0 || s->p[0] != ']') {
		return false;
	}
	*s = str_skip(*s, 1);
	return true;
}

static bool take_term(struct str *s, struct term *t)
{
	skip_blanks(s);
	if (take_quoted(s, &t->name)) {
		t->source = CONSTANT;
		return true;
	}
	if (!source_of(take_word(s), &t->source) || s->n < 2) {
		return false;
	}
	if (s->p[0] == '[') {
		*s = str_skip(*s, 1);
		return take_index(s, t);
	}
	if (s->p[0] != '.') {
		return false;
	}
	*s = str_skip(*s, 1);
	t->name = take_word(s);
	return t->name.n > 0;
}

/* An expression; stands behind the closing parenthesis afterwards. */
static enum err take_expression(struct arena *a, struct str *s, struct part *out, struct fault *f)
{
	struct term terms[TERMS_MAX];
	struct str start = *s;
	size_t n = 0;

	for (;;) {
		if (n == TERMS_MAX || !take_term(s, &terms[n])) {
			break;
		}
		n++;
		skip_blanks(s);
		if (s->n > 0 && s->p[0] == ')') {
			*s = str_skip(*s, 1);
			out->terms = ARENA_NEW_ARRAY(a, struct term, n);
			memcpy(out->terms, terms, n * sizeof(*terms));
			out->n = n;
			return ERR_OK;
		}
		if (!str_eq(take_word(s), STR("or"))) {
			break;
		}
	}
	return fault_set(f, ERR_INVALID,
			 "value '$(%.*s' is not understood: only headers, query_params, "
			 "uri_captures and shared, with 'or'",
			 STR_ARG(str_slice(start, 0, 60)));
}

static void constant(struct arena *a, struct str text, struct part *out)
{
	out->terms = ARENA_NEW(a, struct term);
	*out->terms = (struct term){.source = CONSTANT, .name = text.p ? text : STR("")};
	out->n = 1;
}

enum err template_compile(struct arena *a, struct str text, const struct template **out,
			  struct fault *f)
{
	struct template *t = ARENA_NEW(a, struct template);
	struct str rest = text;

	t->parts = ARENA_NEW_ARRAY(a, struct part, PARTS_MAX + 1);
	while (rest.n > 0) {
		ptrdiff_t at = str_find(rest, STR("$("));
		size_t plain = at < 0 ? rest.n : (size_t)at;

		if (t->n + 2 > PARTS_MAX) {
			return fault_set(f, ERR_INVALID, "value has too many templates");
		}
		if (plain > 0) {
			constant(a, str_slice(rest, 0, plain), &t->parts[t->n++]);
		}
		rest = str_skip(rest, plain);
		if (at >= 0) {
			rest = str_skip(rest, 2);
			TRY(take_expression(a, &rest, &t->parts[t->n++], f));
		}
	}
	if (t->n == 0) {
		constant(a, text, &t->parts[t->n++]);
	}
	*out = t;
	return ERR_OK;
}

bool template_is_constant(const struct template *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (size_t k = 0; k < t->parts[i].n; k++) {
			if (t->parts[i].terms[k].source != CONSTANT) {
				return false;
			}
		}
	}
	return true;
}

bool template_reads_headers(const struct template *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (size_t k = 0; k < t->parts[i].n; k++) {
			if (t->parts[i].terms[k].source == HEADERS) {
				return true;
			}
		}
	}
	return false;
}

/* ---- rendering ---- */

/* "x_forwarded_for" is how Lua names X-Forwarded-For. */
static bool is_header(struct str got, struct str name)
{
	if (got.n != name.n) {
		return false;
	}
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i] == '_' ? '-' : ascii_lower(name.p[i]);

		if (ascii_lower(got.p[i]) != c) {
			return false;
		}
	}
	return true;
}

static struct str header_value(const struct http_headers *h, struct str name)
{
	struct str exact = http_header_get(h, name);

	for (size_t i = 0; i < h->n && !exact.p; i++) {
		if (is_header(h->v[i].name, name)) {
			exact = h->v[i].value;
		}
	}
	return exact;
}

static struct str query_value(struct gw_call *c, struct str name)
{
	struct params query;
	struct str value = STR_NULL;

	params_parse(call_arena(c), call_request(c)->query, &query);
	(void)params_get(&query, name, &value);
	return value;
}

static struct str capture_value(const struct gw_call *c, struct str name)
{
	const struct router_match *m = call_match(c);

	for (size_t i = 0; i < m->n_captures; i++) {
		if (m->captures[i].name.p && str_eq(m->captures[i].name, name)) {
			return m->captures[i].value;
		}
	}
	return STR_NULL;
}

static struct str value_of(const struct term *t, const struct template_source *from)
{
	const struct router_match *m = call_match(from->call);

	switch (t->source) {
	case CONSTANT:
		return t->name;
	case HEADERS:
		return header_value(from->headers, t->name);
	case QUERY:
		return query_value(from->call, t->name);
	case CAPTURES:
		return capture_value(from->call, t->name);
	case CAPTURE_NUMBER:
		return t->number < m->n_captures ? m->captures[t->number].value : STR_NULL;
	case SHARED:
		break; /* plugins have nothing in common */
	}
	return STR_NULL;
}

static struct str part_value(const struct part *p, const struct template_source *from)
{
	struct str v = STR_NULL;

	for (size_t i = 0; i < p->n && !v.p; i++) {
		v = value_of(&p->terms[i], from);
	}
	return v;
}

struct str template_render(const struct template *t, const struct template_source *from)
{
	struct buf b = {0};
	struct str out;

	if (t->n == 1) {
		out = part_value(&t->parts[0], from);
		return out.p ? out : STR("");
	}
	for (size_t i = 0; i < t->n; i++) {
		buf_put(&b, part_value(&t->parts[i], from));
	}
	out = b.n > 0 ? str_dup(call_arena(from->call), buf_str(&b)) : STR("");
	buf_free(&b);
	return out;
}
