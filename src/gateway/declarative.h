/*
 * declarative - the whole of a gateway in one file: kong.yml, as Kong and decK write it
 *
 * Reading takes the tree of a file (yaml_text.h) to a flat list of complete, valid entities
 * that refer to each other by id, or to all faults at once, each with its place in the file.
 * Entities without `id` get one that depends only on what names them, so that a file loaded
 * twice means the same entities; `find` may name one that exists already instead.
 * Writing goes the other way.
 *
 * Ownership  results live in the arena and share parts of the tree that was read.
 * Threads    any: pure functions.
 * Spec       kong-gateway §6.
 */
#pragma once
#include "gateway/entity.h"

struct declarative_item {
	enum entity_kind kind;
	struct guid id;
	const struct json *json; /* all fields, in the order of the schema */
	const struct json *said; /* as the file has it; NULL: it comes from elsewhere */
};

/* What is referenced stands before what refers to it. */
struct declarative {
	const struct declarative_item *v;
	size_t n;
	const struct json *select_tags; /* of _info (decK): strings; NULL = none */
};

/* One thing that is wrong. */
struct declarative_error {
	struct str where;	   /* "service 's', route 2"; empty = the file as a whole */
	struct str field;	   /* "config.minute"; empty = the entity as a whole */
	struct str message;	   /* "required field missing" */
	const struct json *source; /* the nearest node of the file, for yaml_line; never NULL */
};

struct declarative_errors {
	const struct json *fields; /* {"services":[{"host":"required field missing"}]} */
	/* The same in the form that ?flatten_errors=1 asks for. */
	const struct json *flattened;
	const struct json *leftovers; /* of `fields`: what belongs to no entity */
	const struct declarative_error *v;
	size_t n; /* 0 = there are none */
};

/* The id of the entity whose key (declarative_key) is `key`; false = there is none. */
typedef bool declarative_find_fn(void *arg, enum entity_kind kind, struct str key,
				 struct guid *out_id);

struct declarative_options {
	int64_t now_ms;		   /* created_at, updated_at */
	bool keep_updated;	   /* updated_at as the file has it */
	declarative_find_fn *find; /* NULL: ids come from the file alone */
	/* What the file may refer to without having it, by id or name; NULL: nothing. */
	declarative_find_fn *find_outside;
	void *find_arg;
};

/* ERR_INVALID: see `out_errors`. */
enum err declarative_read(struct arena *a, const struct json *root,
			  const struct declarative_options *o, struct declarative *out,
			  struct declarative_errors *out_errors) MUST_USE;

/*
 * What names an entity beside its id: its unique name, or the fields that are unique together
 * (with ids of what they refer to), joined by ':'. False when it has none, like a route without
 * a name.
 */
bool declarative_key(struct arena *a, enum entity_kind kind, const struct json *v,
		     struct str *out_key);
/* What `declarative_read` gives an entity with that key. */
struct guid declarative_id(enum entity_kind kind, struct str key);

/* "declarative config is invalid: {…}", as Kong prints the table. */
struct str declarative_message(struct arena *a, const struct json *fields);
/* One line an error: "kong.yml:12: service 's': host: required field missing". */
struct yaml_doc;
void declarative_report(const struct declarative_errors *errors, const struct yaml_doc *doc,
			struct str file, struct buf *out);

enum declarative_write_flags {
	DECLARATIVE_WITH_IDS = 1,      /* of all; else only of those that nothing else names */
	DECLARATIVE_WITH_TIMES = 2,    /* created_at, updated_at */
	DECLARATIVE_WITH_DEFAULTS = 4, /* fields that are as they would be when left out */
	DECLARATIVE_FLAT = 8,	       /* no nesting, references by id */
};

/* The tree of a file that reads back as these entities. */
const struct json *declarative_write(struct arena *a, const struct declarative_item *v, size_t n,
				     unsigned flags);
