/*
 * tree - making and changing JSON trees
 *
 * A tree that was read is taken as immutable: several may share its parts. tree_set and
 * tree_append link a copy of the node they are given, not of what is below it, so that
 * building is cheap. Only what tree_object, tree_array and tree_shallow returned is changed.
 *
 * Ownership  nodes live in the arena, texts are borrowed unless it is said.
 * Threads    one owner.
 */
#pragma once
#include "base/json.h"

struct json *tree_object(struct arena *a);
struct json *tree_array(struct arena *a);
struct json *tree_null(struct arena *a);
struct json *tree_bool(struct arena *a, bool v);
struct json *tree_int(struct arena *a, int64_t v);
struct json *tree_str(struct arena *a, struct str s);

/* Replaces the member or adds it at the end; returns the node in place. */
struct json *tree_set(struct arena *a, struct json *obj, struct str key, const struct json *v);
/* Whether it was there. */
bool tree_remove(struct json *obj, struct str key);
/* Takes linear time: for long arrays use a tree_tail. */
struct json *tree_append(struct arena *a, struct json *arr, const struct json *v);

/* The end of a list of children that grows. */
struct tree_tail {
	struct json *parent;
	struct json *last;
};

/* `parent` has no children yet. */
static inline struct tree_tail tree_tail_of(struct json *parent)
{
	return (struct tree_tail){parent, NULL};
}
/* Behind the children that are there. Takes linear time. */
struct tree_tail tree_tail_behind(struct json *parent);

/* `key` is STR_NULL in arrays. */
struct json *tree_push(struct arena *a, struct tree_tail *t, struct str key, const struct json *v);

/* The same node with a list of children of its own. */
struct json *tree_shallow(struct arena *a, const struct json *v);
/* All of it, texts too. */
struct json *tree_copy(struct arena *a, const struct json *v);
/* Members in any order. */
bool tree_eq(const struct json *a, const struct json *b);
/* "a.b.c" through objects; NULL when absent. */
const struct json *tree_at(const struct json *v, const char *path);
