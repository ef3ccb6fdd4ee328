/*
 * schema - what an entity or a plugin's configuration may hold, declared once
 *
 * A schema is a table of fields and rules. From it come: validation with Kong's texts,
 * defaults, form coercion, the answer of /schemas, decoding into a C struct, and the
 * reference pages in docs/plugins. The values themselves stay JSON trees (base/json).
 *
 * Ownership  schemas are static tables. Results live in the arena of the caller.
 * Threads    any: pure functions.
 * Spec       kong-gateway §2, §3 (texts), §5.
 */
#pragma once
#include "base/json.h"

enum schema_type {
	SCHEMA_STRING,
	SCHEMA_INTEGER,
	SCHEMA_NUMBER,
	SCHEMA_BOOLEAN,
	SCHEMA_ARRAY,
	SCHEMA_SET, /* an array without duplicates, in the order given */
	SCHEMA_MAP,
	SCHEMA_RECORD,
	SCHEMA_FOREIGN, /* {"id": …} of another entity */
};

enum schema_flags {
	SCHEMA_REQUIRED = 1 << 0,
	SCHEMA_UNIQUE = 1 << 1,
	SCHEMA_EMPTY_OK = 1 << 2, /* a string of length 0 is allowed */
	SCHEMA_UUID = 1 << 3,	  /* a string that is one */
	SCHEMA_AUTO = 1 << 4,	  /* made when absent: uuid, time, or 32 random characters */
	SCHEMA_IMMUTABLE = 1 << 5,
	SCHEMA_TIMESTAMP = 1 << 6,
	SCHEMA_REFERENCEABLE = 1 << 7, /* may be {vault://…} */
	SCHEMA_SECRET = 1 << 8,	       /* masked in logs and listings of configuration */
	SCHEMA_WRITE_ONLY = 1 << 9,    /* a shorthand: expanded, never stored (services.url) */
	SCHEMA_NULLABLE_ELEMENTS = 1 << 10,
	SCHEMA_REGEX = 1 << 11, /* a string that is a PCRE pattern: "not a valid regex: …" */
};

/* How schema_decode stores a field. */
enum schema_c {
	SCHEMA_C_NONE,
	SCHEMA_C_STR,	   /* struct str; null = STR_NULL */
	SCHEMA_C_STRS,	   /* struct schema_strs */
	SCHEMA_C_INT,	   /* int64_t; null = 0 */
	SCHEMA_C_INTS,	   /* struct schema_ints */
	SCHEMA_C_OPT_INT,  /* struct opt_i64 */
	SCHEMA_C_NUM,	   /* double */
	SCHEMA_C_OPT_NUM,  /* struct opt_num */
	SCHEMA_C_BOOL,	   /* bool; null = false */
	SCHEMA_C_OPT_BOOL, /* struct opt_bool */
	SCHEMA_C_RECORD,   /* nested: the record's own offsets count from `offset` */
	SCHEMA_C_TREE,	   /* const struct json *; null = NULL */
};

struct schema_strs {
	const struct str *v;
	size_t n;
};

struct schema_ints {
	const int64_t *v;
	size_t n;
};

struct opt_num {
	bool has;
	double v;
};

struct schema;
struct schema_field;

/* Faults read as the message of the field ("should start with: /"). `v` is not null. */
typedef enum err schema_check_fn(struct arena *a, const struct schema_field *field,
				 const struct json *v, struct fault *f);

struct schema_field {
	const char *name; /* NULL: elements, keys, values */
	enum schema_type type;
	unsigned flags;
	const char *dflt; /* JSON text; NULL = null */
	enum schema_c c;
	size_t offset;
	const struct schema *record;	     /* RECORD */
	const struct schema_field *elements; /* ARRAY, SET; MAP: the values */
	const struct schema_field *keys;     /* MAP */
	const char *const *one_of;	     /* NULL-terminated; "expected one of: a, b" */
	const char *const *not_one_of;
	bool has_range; /* "value should be between A and B" */
	double min, max;
	bool has_gt; /* "value must be greater than N" */
	double gt;
	uint32_t len_min, len_max; /* bytes or items; 0 = not checked (strings: at least 1) */
	const char *starts_with;
	const char *match; /* PCRE; with match_err instead of "invalid value: v" */
	const char *match_err;
	schema_check_fn *check;
	const char *foreign;   /* FOREIGN: collection, "services" */
	const char *on_delete; /* FOREIGN: "cascade", or NULL = the delete is refused */
	/*
	 * An older name: `redis_host` with alias_of "redis.host", both counted from the same
	 * record. Accepted in place of the other, returned beside it with the same value, and
	 * listed by /schemas under shorthand_fields. Not decoded.
	 */
	const char *alias_of;
	/*
	 * RECORD whose schema depends on a value beside it (plugins.config on name): that of
	 * `subschema_by` is handed to `subschema`; NULL = unknown, the value stays unchecked. The
	 * rules of such a record are told as those of the whole: 'config.second'.
	 */
	const char *subschema_by;
	const struct schema *(*subschema)(struct str by);
	const char *doc; /* one sentence, for the reference page */
};

enum schema_rule_kind {
	SCHEMA_AT_LEAST_ONE_OF,
	SCHEMA_EXACTLY_ONE_OF,
	SCHEMA_ONLY_ONE_OF, /* one or none */
	SCHEMA_ALL_OR_NONE,
	SCHEMA_DISTINCT,
	SCHEMA_CONDITIONAL, /* if fields[0] has a value as said, then fields[1] must … */
	SCHEMA_CUSTOM,	    /* `check` */
};

enum schema_then { SCHEMA_THEN_REQUIRED, SCHEMA_THEN_NULL, SCHEMA_THEN_ONE_OF };

/*
 * Adds to `errors` by schema_error_at or schema_error_entity. `v` is the whole, with defaults.
 * Not called when one of the rule's fields is already faulty.
 */
struct schema_errors;
struct schema_rule;
typedef void schema_rule_fn(struct arena *a, const struct schema_rule *rule, const struct json *v,
			    struct schema_errors *errors);

#define SCHEMA_RULE_FIELDS 8
struct schema_rule {
	enum schema_rule_kind kind;
	const char *fields[SCHEMA_RULE_FIELDS]; /* dotted paths; NULL ends */
	/* CONDITIONAL. fields[0] is a string or an array of strings (any that matches). */
	const char *const *if_one_of;	  /* NULL-terminated; or … */
	const char *const *if_not_one_of; /* … */
	enum schema_then then;
	const char *const *then_one_of;
	const char *then_err; /* instead of "failed conditional validation …" */
	schema_rule_fn *check;
	const char *json; /* how /schemas shows it under entity_checks; NULL = derived */
};

struct schema_input;
/* Changes `v`, an object of its own (tree_set). */
typedef void schema_edit_fn(struct arena *a, const struct schema_input *in, struct json *v,
			    struct schema_errors *errors);

struct schema {
	const char *name;
	const struct schema_field *fields;
	size_t n;
	const struct schema_rule *rules;
	size_t n_rules;
	schema_edit_fn *expand; /* what was sent, before all else: shorthands. May be NULL. */
	schema_edit_fn *finish; /* the valid result: what is derived from it. May be NULL. */
};

/* ---- processing ---- */

enum schema_op {
	SCHEMA_INSERT, /* POST, and PUT: what is absent gets its default */
	SCHEMA_UPDATE, /* PATCH: `current` merged with the input */
};

struct schema_input {
	enum schema_op op;
	const struct json *value;   /* as sent */
	const struct json *current; /* UPDATE: what is changed; INSERT: what is replaced, or NULL */
	bool coerce;		    /* from a form: strings become what the field wants */
	bool keep_derived; /* a file with _transform: false: passwords are hashes already */
	bool keep_updated; /* updated_at as sent: nothing is changed by being read again */
	int64_t now_ms;	   /* created_at, updated_at */
};

/*
 * Validates and completes: `*out` has every field of the schema, in table order, with null for
 * what is not set. ERR_INVALID: `*out_errors` is the tree that goes under "fields". Foreign keys
 * must name an id; whether it exists is the store's to say. Nothing is copied: `in` must outlive
 * the result.
 */
enum err schema_process(struct arena *a, const struct schema *s, const struct schema_input *in,
			const struct json **out, const struct json **out_errors) MUST_USE;
/* "schema violation (a: err)", "2 schema violations (a: e1; b.c: e2)". */
struct str schema_errors_text(struct arena *a, const struct json *errors);

bool schema_has_error(const struct schema_errors *errors, const char *path);
/* `path` is dotted, numbers count from 1. The first error of a place stays. */
void schema_error_at(struct schema_errors *errors, const char *path, const char *fmt, ...)
	PRINTF(3, 4);
void schema_error_entity(struct schema_errors *errors, const char *fmt, ...) PRINTF(2, 3);

/* ---- what else comes from the table ---- */

/* {"fields": […], "shorthand_fields": […], "entity_checks": […]} */
void schema_write(const struct schema *s, struct json_writer *w);
/* {"type": …}, as the value of a name in "fields". */
void schema_write_field(const struct schema_field *f, struct json_writer *w);
/* The value of "entity_checks"; `prefix` "config." or "". */
void schema_write_rules(const struct schema *s, const char *prefix, struct json_writer *w);
/*
 * The value as it is used: null, as clients send it for what they do not set, is stored and shown
 * as null, but stands for the default of its field where there is one; so does what an older
 * table did not have. `v` itself when there is neither.
 */
const struct json *schema_in_use(struct arena *a, const struct schema *s, const struct json *v);
/*
 * From a value in use into the struct that the offsets describe, which the caller zeroed;
 * arrays go to the arena, texts stay those of `v`.
 */
void schema_decode(struct arena *a, const struct schema *s, const struct json *v, void *out);
