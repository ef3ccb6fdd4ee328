/*
 * declarative_int - a file while it is read: a tree of lists of entries
 *
 * An entry is one entity as written. It belongs to a list ("routes") of another entry, or of
 * the file, which is an entry of no kind.
 */
#pragma once
#include "gateway/declarative.h"

struct entry;

struct entry_list {
	struct entry_list *next;
	const struct entity_def *def; /* NULL: a list that is not taken */
	struct str name;	      /* "routes" */
	const struct json *source;
	struct str message; /* of the list as a whole; p NULL = none */
	struct entry *first, **tail;
	size_t n;
};

struct entry_note {
	struct entry_note *next;
	struct str text;
};

struct entry {
	struct entry *next; /* in its list */
	struct entry *next_of_kind;
	const struct entity_def *def;		 /* NULL: the file */
	const struct schema_field *parent_field; /* refers to the entry around; NULL = top level */
	struct entry *parent;
	size_t index; /* in its list, from 0 on */
	const struct json *source;
	struct json *value;	     /* without nested lists and comments, references resolved */
	const struct json *complete; /* after the schema; NULL = not valid */
	struct guid id;
	const struct json *errors; /* of the schema; NULL = none */
	struct entry_note *notes, **notes_tail;
	struct entry_list *lists, **lists_tail;
};

struct declarative_file {
	struct entry *top;
	struct entry *of_kind[ENTITY_KINDS];
	size_t n; /* entities */
	const struct json *select_tags;
	bool transform;
};

/* False when there are messages. `out` is good for the next steps in either case. */
bool declarative_outline(struct arena *a, const struct json *root, struct declarative_file *out);

/* Something about the entry as a whole. */
void declarative_note(struct arena *a, struct entry *e, struct str text);

/* "keyauth_credentials" */
const char *declarative_name(const struct entity_def *def);
/* As JSON. */
struct str declarative_text(struct arena *a, const struct json *v);

/* From the entries' errors and notes to all forms of them. */
void declarative_collect_errors(struct arena *a, struct entry *file,
				struct declarative_errors *out);
