#include "gateway/tree.h"

static struct json *node(struct arena *a, enum json_type type)
{
	struct json *v = ARENA_NEW(a, struct json);

	v->type = type;
	return v;
}

struct json *tree_object(struct arena *a)
{
	return node(a, JSON_OBJECT);
}

struct json *tree_array(struct arena *a)
{
	return node(a, JSON_ARRAY);
}

struct json *tree_null(struct arena *a)
{
	return node(a, JSON_NULL);
}

struct json *tree_bool(struct arena *a, bool v)
{
	struct json *n = node(a, JSON_BOOL);

	n->boolean = v;
	return n;
}

struct json *tree_int(struct arena *a, int64_t v)
{
	struct json *n = node(a, JSON_NUMBER);

	n->text = str_fmt(a, "%lld", (long long)v);
	return n;
}

struct json *tree_str(struct arena *a, struct str s)
{
	struct json *n = node(a, JSON_STRING);

	n->text = s;
	return n;
}

static struct json *linked(struct arena *a, struct str key, const struct json *v)
{
	struct json *n = ARENA_NEW(a, struct json);

	*n = *v;
	n->key = key;
	n->next = NULL;
	return n;
}

struct tree_tail tree_tail_behind(struct json *parent)
{
	struct tree_tail t = {parent, parent->child};

	while (t.last && t.last->next) {
		t.last = t.last->next;
	}
	return t;
}

struct json *tree_push(struct arena *a, struct tree_tail *t, struct str key, const struct json *v)
{
	struct json *n = linked(a, key, v);

	if (t->last) {
		t->last->next = n;
	} else {
		t->parent->child = n;
	}
	t->last = n;
	t->parent->n++;
	return n;
}

struct json *tree_set(struct arena *a, struct json *obj, struct str key, const struct json *v)
{
	struct json **at = &obj->child;

	while (*at && !str_eq((*at)->key, key)) {
		at = &(*at)->next;
	}
	struct json *n = linked(a, key, v);

	if (*at) {
		n->next = (*at)->next;
	} else {
		obj->n++;
	}
	*at = n;
	return n;
}

bool tree_remove(struct json *obj, struct str key)
{
	for (struct json **at = &obj->child; *at; at = &(*at)->next) {
		if (str_eq((*at)->key, key)) {
			*at = (*at)->next;
			obj->n--;
			return true;
		}
	}
	return false;
}

struct json *tree_append(struct arena *a, struct json *arr, const struct json *v)
{
	struct tree_tail t = tree_tail_behind(arr);

	return tree_push(a, &t, STR_NULL, v);
}

struct json *tree_shallow(struct arena *a, const struct json *v)
{
	struct json *n = linked(a, v->key, v);
	struct tree_tail t = tree_tail_of(n);

	n->child = NULL;
	n->n = 0;
	for (const struct json *c = v->child; c; c = c->next) {
		tree_push(a, &t, c->key, c);
	}
	return n;
}

struct json *tree_copy(struct arena *a, const struct json *v)
{
	struct json *n = linked(a, str_dup(a, v->key), v);
	struct tree_tail t = tree_tail_of(n);

	n->text = str_dup(a, v->text);
	n->child = NULL;
	n->n = 0;
	for (const struct json *c = v->child; c; c = c->next) {
		struct json *copy = tree_copy(a, c);

		tree_push(a, &t, copy->key, copy);
	}
	return n;
}

static bool children_eq(const struct json *a, const struct json *b)
{
	if (a->n != b->n) {
		return false;
	}
	if (a->type == JSON_OBJECT) {
		for (const struct json *c = a->child; c; c = c->next) {
			const struct json *other = json_get(b, c->key);

			if (!other || !tree_eq(c, other)) {
				return false;
			}
		}
		return true;
	}
	for (const struct json *c = a->child, *d = b->child; c && d; c = c->next, d = d->next) {
		if (!tree_eq(c, d)) {
			return false;
		}
	}
	return true;
}

bool tree_eq(const struct json *a, const struct json *b)
{
	if (a->type != b->type) {
		return false;
	}
	switch (a->type) {
	case JSON_NULL:
		return true;
	case JSON_BOOL:
		return a->boolean == b->boolean;
	case JSON_NUMBER:
	case JSON_STRING:
		return str_eq(a->text, b->text);
	case JSON_ARRAY:
	case JSON_OBJECT:
		return children_eq(a, b);
	}
	return false;
}

const struct json *tree_at(const struct json *v, const char *path)
{
	struct str rest = str_c(path);
	struct str part;

	while (v && str_split(&rest, '.', &part)) {
		v = json_get(v, part);
	}
	return v;
}
