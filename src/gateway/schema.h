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
};

/* How schema_decode stores a field. */
enum schema_c {
	SCHEMA_C_NONE,
	SCHEMA_C_STR,	  /* struct str; null = STR_NULL */
	SCHEMA_C_STRS,	  /* struct schema_strs */
	SCHEMA_C_INT,	  /* int64_t; null = 0 */
	SCHEMA_C_INTS,	  /* struct schema_ints */
	SCHEMA_C_OPT_INT, /* struct opt_i64 */
	SCHEMA_C_NUM,	  /* double */
	SCHEMA_C_OPT_NUM, /* struct opt_num */
	SCHEMA_C_BOOL,	  /* bool; null = false */
	SCHEMA_C_RECORD,  /* nested: the record's own offsets count from `offset` */
	SCHEMA_C_TREE,	  /* const struct json *; null = NULL */
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
	uint32_t len_min, len_max; /* characters or items; 0 = not checked */
	const char *starts_with;
	const char *match; /* PCRE; with match_err instead of "invalid value: v" */
	const char *match_err;
	schema_check_fn *check;
	const char *foreign;	    /* FOREIGN: collection, "services" */
	const char *on_delete;	    /* FOREIGN: "cascade", or NULL = the delete is refused */
	const char *const *aliases; /* legacy names still accepted, NULL-terminated: "redis_host" */
	const char *doc;	    /* one sentence, for the reference page */
};

enum schema_rule_kind {
	SCHEMA_AT_LEAST_ONE_OF,
	SCHEMA_EXACTLY_ONE_OF,
	SCHEMA_ONLY_ONE_OF, /* one or none */
	SCHEMA_ALL_OR_NONE,
	SCHEMA_DISTINCT,
	SCHEMA_EXCLUSIVE_SETS, /* `check` has the sets */
	SCHEMA_CONDITIONAL,    /* if_field matches if_values, then then_field must … : `check` */
	SCHEMA_CUSTOM,
};

/* Adds to `errors` by schema_error_at or schema_error_entity. `v` is the whole, with defaults. */
struct schema_errors;
struct schema_rule;
typedef void schema_rule_fn(struct arena *a, const struct schema_rule *rule, const struct json *v,
			    struct schema_errors *errors);

#define SCHEMA_RULE_FIELDS 8
struct schema_rule {
	enum schema_rule_kind kind;
	const char *fields[SCHEMA_RULE_FIELDS]; /* dotted paths; NULL ends */
	schema_rule_fn *check;			/* CUSTOM and those that need more */
	const char *json; /* how /schemas shows it under entity_checks; NULL = derived */
};

struct schema {
	const char *name;
	const struct schema_field *fields;
	size_t n;
	const struct schema_rule *rules;
	size_t n_rules;
};

/* ---- processing ---- */

enum schema_op {
	SCHEMA_INSERT, /* POST, and PUT: what is absent gets its default */
	SCHEMA_UPDATE, /* PATCH: `current` merged with the input */
};

struct schema_input {
	enum schema_op op;
	const struct json *value;   /* as sent */
	const struct json *current; /* UPDATE */
	bool coerce;		    /* from a form: strings become what the field wants */
	int64_t now_ms;		    /* created_at, updated_at */
};

/*
 * Validates and completes: `*out` has every field of the schema, in table order, with null for
 * what is not set. ERR_INVALID: `*out_errors` is the tree that goes under "fields".
 */
enum err schema_process(struct arena *a, const struct schema *s, const struct schema_input *in,
			const struct json **out, const struct json **out_errors) MUST_USE;
/* "schema violation (a: err)", "2 schema violations (a: e1; b.c: e2)". */
struct str schema_errors_text(struct arena *a, const struct json *errors);

void schema_error_at(struct schema_errors *errors, const char *path, const char *fmt, ...)
	PRINTF(3, 4);
void schema_error_entity(struct schema_errors *errors, const char *fmt, ...) PRINTF(2, 3);

/* ---- what else comes from the table ---- */

/* {"fields": […], "entity_checks": […]} */
void schema_write(const struct schema *s, struct json_writer *w);
/* From a processed value into the struct that the offsets describe; arrays go to the arena. */
void schema_decode(struct arena *a, const struct schema *s, const struct json *v, void *out);
