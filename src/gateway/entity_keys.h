/*
 * entity_keys - what of an entity must be unique, and what it refers to
 *
 * Both follow from its schema. Keys are compared as texts: that of a single field, or for
 * fields that are unique together the texts of all. A text that is long, or that a database
 * cannot hold, is stood for by its digest.
 *
 * Ownership  results live in the arena.
 * Threads    any: pure functions.
 */
#pragma once
#include "gateway/entity.h"

enum { ENTITY_KEYS_MAX = 8, ENTITY_REFS_MAX = 72 };

struct entity_key {
	struct str field;	   /* "name"; "name,route,service,consumer" */
	struct str value;	   /* what is compared */
	struct str text;	   /* {name="x"}, for messages */
	const struct json *fields; /* {"name": "x"}, for the tree of an error */
};

struct entity_ref {
	struct str field; /* "service"; "ca_certificates.0" */
	enum entity_kind kind;
	struct guid id;
};

struct entity_keys {
	struct entity_key v[ENTITY_KEYS_MAX];
	size_t n;
};

struct entity_refs {
	struct entity_ref v[ENTITY_REFS_MAX];
	size_t n;
};

/* `doc` is complete and valid. */
void entity_keys_of(struct arena *a, enum entity_kind kind, const struct json *doc,
		    struct entity_keys *out);
/* ERR_LIMIT when an entity refers to more than can be kept. */
enum err entity_refs_of(struct arena *a, enum entity_kind kind, const struct json *doc,
			struct entity_refs *out) MUST_USE;

/* The key of one field, whether it is unique or not. */
struct entity_key entity_key_of(struct arena *a, const char *field, const struct json *value);
/* The key of the fields that are unique together, of which `doc` has all. */
struct entity_key entity_key_together(struct arena *a, const struct entity_def *def,
				      const struct json *doc);
bool entity_has_together(const struct entity_def *def);

/* NULL when the kind has no such field. */
const struct schema_field *entity_field(const struct entity_def *def, struct str name);
bool entity_key_is_unique(const struct entity_def *def);

/*
 * Documents of a kind with a `ttl`. In store the time of its end stands beside it, so that neither
 * the clock nor what clients write into created_at changes it; what clients see has the whole
 * seconds that are left, fewer than were written (go-kong looks for that), but at least 1: 0 would
 * mean for ever when it is written again.
 */
/* Wall milliseconds from which on it is gone; no value = never. */
struct opt_i64 entity_expires(const struct json *doc);
bool entity_is_expired(const struct json *doc, int64_t now_ms);
const struct json *entity_expiring(struct arena *a, const struct json *doc, int64_t expires_ms);
/* The `ttl` of the document counts from now. */
const struct json *entity_expiring_by_ttl(struct arena *a, const struct json *doc, int64_t now_ms);
const struct json *entity_ttl_left(struct arena *a, const struct json *doc, int64_t now_ms);
/* {id="…"} */
struct str entity_pk_text(struct arena *a, struct str id);
