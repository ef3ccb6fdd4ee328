#include "gateway/schema_int.h"

#include "base/format.h"

#include <stdarg.h>
#include <stdlib.h>

#define ENTITY STR("@entity")
#define TEXT_MAX 512
/* Of an index in a path: rules name elements of lists that they walked. */
#define INDEX_MAX 100000
#define ERRORS_MAX 100

static struct json *error_of(struct arena *a, const char *fmt, va_list args)
{
	char text[TEXT_MAX];
	int n = format_print(text, sizeof(text), fmt, args);

	if (n < 0) {
		n = 0;
	}
	return tree_str(a, str_dup(a, str_of(text, MIN((size_t)n, sizeof(text) - 1))));
}

struct json *schema_error(struct arena *a, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	struct json *e = error_of(a, fmt, args);

	va_end(args);
	return e;
}

static struct json *root(struct schema_errors *errors)
{
	if (!errors->tree) {
		errors->tree = tree_object(errors->arena);
	}
	return errors->tree;
}

void schema_error_set(struct schema_errors *errors, struct str key, const struct json *err)
{
	if (!json_get(root(errors), key)) {
		tree_set(errors->arena, errors->tree, key, err);
	}
}

bool schema_errors_are_many(const struct schema_errors *errors)
{
	return errors->tree && errors->tree->n >= ERRORS_MAX;
}

static bool index_of(struct str part, uint64_t *out)
{
	return str_to_u64(part, out) && *out >= 1 && *out <= INDEX_MAX;
}

/* The place of `part` below `at`, made when it is new. */
static struct json *below(struct arena *a, struct json *at, struct str part)
{
	uint64_t i;

	if (at->type == JSON_ARRAY && index_of(part, &i)) {
		while (at->n < i) {
			tree_append(a, at, tree_null(a));
		}
		at = at->child;
		while (--i > 0) {
			at = at->next;
		}
		return at;
	}
	for (struct json *c = at->child; c; c = c->next) {
		if (str_eq(c->key, part)) {
			return c;
		}
	}
	return tree_set(a, at, str_dup(a, part), tree_null(a));
}

bool schema_has_error(const struct schema_errors *errors, const char *path)
{
	struct str rest = str_c(path);
	const struct json *at = errors->tree;
	struct str part;

	while (at && str_split(&rest, '.', &part)) {
		if (at->type != JSON_OBJECT) {
			return true;
		}
		at = json_get(at, part);
	}
	return at != NULL && at->type != JSON_NULL;
}

void schema_error_at(struct schema_errors *errors, const char *path, const char *fmt, ...)
{
	struct str rest = str_c(path);
	struct json *at = root(errors);
	struct str part;
	uint64_t i;
	va_list args;

	while (str_split(&rest, '.', &part)) {
		if (at->type == JSON_NULL) {
			at->type = index_of(part, &i) ? JSON_ARRAY : JSON_OBJECT;
		}
		if (at->type != JSON_OBJECT && at->type != JSON_ARRAY) {
			return; /* a text stands higher up */
		}
		at = below(errors->arena, at, part);
	}
	if (at->type != JSON_NULL) {
		return;
	}
	va_start(args, fmt);
	struct json *e = error_of(errors->arena, fmt, args);

	va_end(args);
	at->type = JSON_STRING;
	at->text = e->text;
}

void schema_error_entity(struct schema_errors *errors, const char *fmt, ...)
{
	struct json *list = below(errors->arena, root(errors), ENTITY);
	va_list args;

	if (list->type == JSON_NULL) {
		list->type = JSON_ARRAY;
	}
	va_start(args, fmt);
	tree_append(errors->arena, list, error_of(errors->arena, fmt, args));
	va_end(args);
}

/* -- text ------------------------------------------------------------------- */

struct text {
	struct arena *a;
	struct buf out;
	size_t n;
};

static void add_text(struct text *t, struct str path, struct str err)
{
	buf_put(&t->out, t->n++ ? STR("; ") : STR(""));
	if (path.n > 0) {
		buf_put(&t->out, path);
		buf_puts(&t->out, ": ");
	}
	buf_put(&t->out, err);
}

static int by_key(const void *a, const void *b)
{
	const struct json *const *x = a;
	const struct json *const *y = b;

	return str_cmp((*x)->key, (*y)->key);
}

static void add_errors(struct text *t, struct str path, const struct json *v);

static struct str path_to(struct text *t, struct str path, struct str part)
{
	return path.n == 0 ? part : STR_CAT(t->a, path, STR("."), part);
}

static void add_list(struct text *t, struct str path, const struct json *v)
{
	size_t i = 0;

	for (const struct json *c = v->child; c; c = c->next) {
		i++;
		if (c->type != JSON_NULL) {
			add_errors(t, path_to(t, path, str_fmt(t->a, "%zu", i)), c);
		}
	}
}

/* What concerns the whole comes first, then by name. */
static void add_members(struct text *t, struct str path, const struct json *v)
{
	const struct json **sorted = ARENA_NEW_ARRAY(t->a, const struct json *, v->n);
	const struct json *whole = json_get(v, ENTITY);
	size_t n = 0;

	for (const struct json *c = whole ? whole->child : NULL; c; c = c->next) {
		add_text(t, path, c->text);
	}
	for (const struct json *c = v->child; c; c = c->next) {
		if (c != whole) {
			sorted[n++] = c;
		}
	}
	if (n > 1) {
		qsort(sorted, n, sizeof(struct json *), by_key);
	}
	for (size_t i = 0; i < n; i++) {
		add_errors(t, path_to(t, path, sorted[i]->key), sorted[i]);
	}
}

static void add_errors(struct text *t, struct str path, const struct json *v)
{
	if (v->type == JSON_OBJECT) {
		add_members(t, path, v);
	} else if (v->type == JSON_ARRAY) {
		add_list(t, path, v);
	} else {
		add_text(t, path, v->text);
	}
}

struct str schema_errors_text(struct arena *a, const struct json *errors)
{
	struct text t = {.a = a};
	struct str s, what = STR("schema violation (");

	if (errors) {
		add_errors(&t, STR(""), errors);
	}
	if (t.n != 1) {
		what = str_fmt(a, "%zu schema violations (", t.n);
	}
	s = STR_CAT(a, what, buf_str(&t.out), STR(")"));
	buf_free(&t.out);
	return s;
}
