/*
 * An argument's name is cut into steps (member, position, next position) that lead from the
 * root to its leaf. While the tree grows, elements of arrays carry their position in the
 * length of their unused key; the last pass clears it.
 */
#include "gateway/form.h"

#include "base/enc.h"
#include "base/utf8.h"
#include "gateway/tree.h"

#define URLENCODED STR("application/x-www-form-urlencoded")
#define MULTIPART STR("multipart/form-data")
#define BOUNDARY_MAX 70
#define PART_HEAD_MAX 4096

enum step_kind { STEP_MEMBER, STEP_AT, STEP_NEXT };

struct step {
	enum step_kind kind;
	struct str name; /* MEMBER, and AT as it was written */
	size_t at;	 /* AT: from 1 */
};

struct form {
	struct arena *a;
	struct json *root;
	size_t n_args;
	struct fault *fault;
};

/* -- names ------------------------------------------------------------------ */

static struct step bracket_step(struct str inside)
{
	uint64_t at;

	if (inside.n == 0) {
		return (struct step){.kind = STEP_NEXT};
	}
	if (str_to_u64(inside, &at) && at >= 1 && at <= FORM_ARGS_MAX) {
		return (struct step){STEP_AT, inside, (size_t)at};
	}
	return (struct step){.kind = STEP_MEMBER, .name = inside};
}

/* End of the plain text at the front: a dot, or a bracket that closes again. */
static size_t plain_len(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' ||
		    (s.p[i] == '[' && i > 0 && str_index(str_skip(s, i), ']') > 0)) {
			return i;
		}
	}
	return s.n;
}

/* 0 = too many. */
static size_t split_name(struct str s, struct step steps[FORM_DEPTH_MAX])
{
	size_t n = 0;

	while (n < FORM_DEPTH_MAX) {
		size_t len = plain_len(s);

		steps[n++] = (struct step){.kind = STEP_MEMBER, .name = str_slice(s, 0, len)};
		s = str_skip(s, len);
		while (s.n > 0 && s.p[0] == '[' && str_index(s, ']') > 0 && n < FORM_DEPTH_MAX) {
			size_t end = (size_t)str_index(s, ']');

			steps[n++] = bracket_step(str_slice(s, 1, end - 1));
			s = str_skip(s, end + 1);
		}
		if (s.n == 0) {
			return n;
		}
		if (s.p[0] == '.') {
			s = str_skip(s, 1);
		}
	}
	return 0;
}

/* -- the tree --------------------------------------------------------------- */

/* Puts `v` into the list by its position, behind an equal one. */
static struct json *place(struct arena *a, struct json *list, size_t at, const struct json *v)
{
	struct json **link = &list->child;
	struct json *n = ARENA_NEW(a, struct json);

	while (*link && (*link)->key.n <= at) {
		link = &(*link)->next;
	}
	*n = *v;
	n->key = (struct str){NULL, at};
	n->next = *link;
	*link = n;
	list->n++;
	return n;
}

static size_t next_position(const struct json *list)
{
	size_t last = 0;

	for (const struct json *c = list->child; c; c = c->next) {
		last = c->key.n;
	}
	return last + 1;
}

/* A value that turns out to be the first of several. */
static void make_list(struct arena *a, struct json *v)
{
	struct json first = *v;

	v->type = JSON_ARRAY;
	v->text = STR_NULL;
	v->child = NULL;
	v->n = 0;
	place(a, v, 1, &first);
}

static struct json *child_of(struct json *v, struct str name)
{
	for (struct json *c = v->child; c; c = c->next) {
		if (str_eq(c->key, name)) {
			return c;
		}
	}
	return NULL;
}

/* The place that one step leads to, null when it is new; NULL when `at` is of another kind. */
static struct json *enter(struct form *form, struct json *at, const struct step *step)
{
	const struct json *fresh = tree_null(form->a);

	if (at->type == JSON_NULL) {
		at->type = step->kind == STEP_MEMBER ? JSON_OBJECT : JSON_ARRAY;
	} else if (at->type == JSON_STRING && step->kind != STEP_MEMBER) {
		make_list(form->a, at);
	}
	if (at->type == JSON_OBJECT && step->kind != STEP_NEXT) {
		struct json *c = child_of(at, step->name);

		return c ? c : tree_set(form->a, at, step->name, fresh);
	}
	if (at->type != JSON_ARRAY || step->kind == STEP_MEMBER) {
		return NULL;
	}
	if (step->kind == STEP_NEXT) {
		return place(form->a, at, next_position(at), fresh);
	}
	for (struct json *c = at->child; c; c = c->next) {
		if (c->key.n == step->at) {
			return c;
		}
	}
	return place(form->a, at, step->at, fresh);
}

static bool set_leaf(struct form *form, struct json *at, struct str value)
{
	if (at->type == JSON_NULL) {
		at->type = JSON_STRING;
		at->text = value;
		return true;
	}
	if (at->type == JSON_STRING) {
		make_list(form->a, at);
	}
	if (at->type != JSON_ARRAY) {
		return false;
	}
	place(form->a, at, next_position(at), tree_str(form->a, value));
	return true;
}

static enum err add_arg(struct form *form, struct str name, struct str value)
{
	struct step steps[FORM_DEPTH_MAX];
	struct json *at = form->root;
	size_t n;

	if (++form->n_args > FORM_ARGS_MAX) {
		return fault_set(form->fault, ERR_LIMIT, "Too many arguments");
	}
	if (!utf8_is_valid(name)) {
		return fault_set(form->fault, ERR_INVALID, "a name is not valid UTF-8");
	}
	n = split_name(name, steps);
	if (n == 0) {
		return fault_set(form->fault, ERR_INVALID, "a name has too many levels");
	}
	for (size_t i = 0; i < n && at; i++) {
		at = enter(form, at, &steps[i]);
	}
	if (!at || !set_leaf(form, at, value)) {
		return fault_set(form->fault, ERR_INVALID,
				 "'%.*s' is given as a value and as an object", STR_ARG(name));
	}
	return ERR_OK;
}

static void clear_positions(struct json *v)
{
	for (struct json *c = v->child; c; c = c->next) {
		if (v->type == JSON_ARRAY) {
			c->key = STR_NULL;
		}
		clear_positions(c);
	}
}

/* -- application/x-www-form-urlencoded -------------------------------------- */

static enum err decoded(struct form *form, struct str s, struct str *out)
{
	struct buf text = {0};
	enum err e = form_decode(&text, s);

	if (e == ERR_OK) {
		*out = str_dup(form->a, buf_str(&text));
	}
	buf_free(&text);
	return e == ERR_OK ? e : fault_set(form->fault, ERR_INVALID, "bad percent-encoding");
}

static enum err read_urlencoded(struct form *form, struct str body)
{
	struct str pair;

	while (str_split(&body, '&', &pair)) {
		ptrdiff_t eq = str_index(pair, '=');
		struct str name = eq < 0 ? pair : str_slice(pair, 0, (size_t)eq);
		struct str value = eq < 0 ? STR("") : str_skip(pair, (size_t)eq + 1);

		if (pair.n == 0) {
			continue;
		}
		TRY(decoded(form, name, &name));
		TRY(decoded(form, value, &value));
		TRY(add_arg(form, name, value));
	}
	return ERR_OK;
}

/* -- multipart/form-data (RFC 7578) ----------------------------------------- */

static enum err bad_multipart(struct form *form, const char *what)
{
	return fault_set(form->fault, ERR_INVALID, "multipart body: %s", what);
}

/* Cuts the value off the front of `*s`: up to ';', or what stands in quotes. */
static struct str cut_value(struct str *s)
{
	bool quoted = s->n > 0 && s->p[0] == '"';
	struct str v = str_skip(*s, quoted);
	ptrdiff_t end = str_index(v, quoted ? '"' : ';');

	*s = end < 0 ? STR("") : str_skip(v, (size_t)end + quoted);
	if (end < 0 && quoted) {
		return STR_NULL;
	}
	return end < 0 ? str_trim(v) : str_trim(str_slice(v, 0, (size_t)end));
}

/* Value of `key` among "; key=value; key="value"" parameters; STR_NULL when absent. */
static struct str parameter(struct str s, struct str key)
{
	ptrdiff_t at;

	while ((at = str_index(s, ';')) >= 0) {
		s = str_skip(s, (size_t)at + 1);
		ptrdiff_t eq = str_index(s, '=');

		if (eq < 0) {
			break;
		}
		struct str name = str_trim(str_slice(s, 0, (size_t)eq));

		s = str_trim(str_skip(s, (size_t)eq + 1));
		struct str v = cut_value(&s);

		if (str_eq_nocase(name, key)) {
			return v;
		}
	}
	return STR_NULL;
}

/* The name that the head of a part says; STR_NULL when none. */
static struct str part_name(struct str head)
{
	struct str line;

	while (str_split(&head, '\n', &line)) {
		ptrdiff_t colon = str_index(line, ':');

		if (colon > 0 && str_eq_nocase(str_trim(str_slice(line, 0, (size_t)colon)),
					       STR("content-disposition"))) {
			return parameter(str_trim(str_skip(line, (size_t)colon + 1)), STR("name"));
		}
	}
	return STR_NULL;
}

static enum err read_part(struct form *form, struct str part)
{
	ptrdiff_t end = str_find(part, STR("\r\n\r\n"));
	struct str name;

	if (end < 0 || end > PART_HEAD_MAX) {
		return bad_multipart(form, "a part has no end of its head");
	}
	name = part_name(str_slice(part, 0, (size_t)end));
	if (!name.p) {
		return bad_multipart(form, "a part has no name");
	}
	return add_arg(form, name, str_skip(part, (size_t)end + 4));
}

static enum err read_multipart(struct form *form, struct str type, struct str body)
{
	struct str boundary = parameter(type, STR("boundary"));
	struct str open;
	struct str delimiter;
	ptrdiff_t at;

	if (boundary.n == 0 || boundary.n > BOUNDARY_MAX) {
		return bad_multipart(form, "no boundary");
	}
	open = str_fmt(form->a, "--%.*s", STR_ARG(boundary));
	delimiter = str_fmt(form->a, "\r\n--%.*s", STR_ARG(boundary));
	at = str_find(body, open);
	if (at < 0) {
		return bad_multipart(form, "the boundary does not occur");
	}
	body = str_skip(body, (size_t)at + open.n);
	while (!str_starts(body, STR("--"))) {
		if (!str_starts(body, STR("\r\n"))) {
			return bad_multipart(form, "no line end after the boundary");
		}
		body = str_skip(body, 2);
		at = str_find(body, delimiter);
		if (at < 0) {
			return bad_multipart(form, "the last boundary is missing");
		}
		TRY(read_part(form, str_slice(body, 0, (size_t)at)));
		body = str_skip(body, (size_t)at + delimiter.n);
	}
	return ERR_OK;
}

/* -- both ------------------------------------------------------------------- */

static struct str media_type(struct str content_type)
{
	ptrdiff_t semicolon = str_index(content_type, ';');

	return str_trim(semicolon < 0 ? content_type
				      : str_slice(content_type, 0, (size_t)semicolon));
}

bool form_is_type(struct str content_type)
{
	struct str type = media_type(content_type);

	return str_eq_nocase(type, URLENCODED) || str_eq_nocase(type, MULTIPART);
}

enum err form_read(struct arena *a, struct str content_type, struct str body, struct json **out,
		   struct fault *f)
{
	struct form form = {.a = a, .root = tree_object(a), .fault = f};

	if (str_eq_nocase(media_type(content_type), URLENCODED)) {
		TRY(read_urlencoded(&form, body));
	} else {
		TRY(read_multipart(&form, content_type, body));
	}
	clear_positions(form.root);
	*out = form.root;
	return ERR_OK;
}
