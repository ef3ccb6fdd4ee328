/*
 * declarative_plan - what makes the entities that there are those of a file
 *
 * A plan is a list of steps in an order in which each is allowed: what is in the way goes
 * first, what is referenced comes before what refers to it, and what something that stays
 * referred to until now goes last.
 *
 * Ownership  results live in the arena and share the documents given.
 * Threads    any: pure functions.
 */
#pragma once
#include "gateway/declarative.h"

enum declarative_op { DECLARATIVE_CREATE, DECLARATIVE_UPDATE, DECLARATIVE_DELETE };

struct declarative_step {
	enum declarative_op op;
	enum entity_kind kind;
	struct guid id;
	const struct json *before; /* NULL when it is created */
	const struct json *after;  /* NULL when it is deleted */
};

struct declarative_plan {
	const struct declarative_step *v;
	size_t n;
	size_t created, updated, deleted, same;
	/*
	 * NULL, or the first of the file's that is there with other tags than those selected: the
	 * plan would take it from whoever minds those.
	 */
	const struct declarative_item *of_others;
};

/* `select_tags`: only those that have all of these are deleted; NULL = any. */
void declarative_plan(struct arena *a, const struct declarative *now,
		      const struct declarative *wanted, const struct json *select_tags,
		      struct declarative_plan *out);
/* Adds the tags to every entity that lacks them. */
void declarative_add_tags(struct arena *a, struct declarative *d, const struct json *tags);

/*
 * Finds entities that exist by what names them: the `find` and `find_outside` of
 * declarative_options.
 */
struct declarative_index;
struct declarative_index *declarative_index_new(struct arena *a, const struct declarative *now);
declarative_find_fn declarative_index_find;
/* By id or endpoint key. */
declarative_find_fn declarative_index_find_outside;

/* "service 's'"; never a secret */
struct str declarative_item_text(struct arena *a, const struct declarative_item *item);
/* "create service 's'", "update route 'r'", then a line for each field that differs. */
void declarative_describe(struct arena *a, const struct declarative_step *s, struct buf *out);
