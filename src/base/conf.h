/*
 * conf - declared configuration keys and the parser of their values
 *
 * Every role declares one table; from it come the parser, environment
 * overrides, `config show`, `config reference` and error messages. Reading
 * files, URLs and the environment is done in app/config.
 *
 * Ownership  values live in the arena of the configuration epoch.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum conf_type {
	CONF_STR,      /* struct str */
	CONF_SECRET,   /* struct str, masked by `config show` */
	CONF_BOOL,     /* bool */
	CONF_INT,      /* int64_t */
	CONF_DURATION, /* int64_t ms; accepts "30s" and .NET TimeSpan */
	CONF_SIZE,     /* int64_t bytes */
	CONF_ENUM,     /* int, index into `choices` */
	CONF_STRS,     /* struct conf_strs: list, or one string with commas */
	CONF_NODE,     /* const struct conf_node *: the role reads the rest itself */
};

struct conf_strs {
	struct str *v;
	size_t n;
};

/* The tree as read from YAML or JSON, with places for errors. */
struct conf_node {
	enum { CONF_NODE_SCALAR, CONF_NODE_LIST, CONF_NODE_MAP } kind;
	struct str key;		 /* when a member of a map */
	struct str text;	 /* scalar; p NULL = null, which counts as not given */
	struct conf_node *child; /* list, map: first */
	struct conf_node *next;
	struct str source; /* file name, or the environment variable */
	unsigned line;	   /* 1-based; 0 = not from a file */
};

struct conf_key {
	const char *name; /* within the section: "request_expiration" */
	enum conf_type type;
	size_t offset;		    /* of the value in the role's struct */
	const char *dflt;	    /* text as in a file; NULL = none */
	int64_t min, max;	    /* numbers; max 0 = no upper limit */
	const char *const *choices; /* CONF_ENUM: NULL-terminated */
	unsigned flags;
	const char *doc; /* one sentence for the reference */
};

enum { CONF_RELOAD = 1 /* takes effect on SIGHUP */, CONF_REQUIRED = 2 };

/* One section of the file = one role or subject. */
struct conf_section {
	const char *name; /* "relay"; "" = top level */
	const char *doc;
	const struct conf_key *keys;
	size_t n;
};

/*
 * Fills the fields of `out` that the table names with zeros, defaults, and then the
 * node's values. `node` may be NULL. Fails on the first unknown key (not in section
 * "", whose map also holds the other sections), wrong type or value out of range,
 * with a text that names the source, line, key and what is allowed.
 */
enum err conf_apply(struct arena *a, const struct conf_section *section,
		    const struct conf_node *node, void *out, struct fault *f) MUST_USE;
/* NULL when absent (or `map` is no map). */
const struct conf_node *conf_get(const struct conf_node *map, struct str key);
const struct conf_node *conf_get_nocase(const struct conf_node *map, struct str key);
/* Of a scalar; STR_NULL otherwise. */
struct str conf_text(const struct conf_node *node);
/* Where paths in the node start: the directory of its file, with the slash; else empty. */
struct str conf_dir(const struct conf_node *node);
bool conf_is_null(const struct conf_node *node); /* absent counts */
/*
 * One value, for roles that read a CONF_NODE themselves. `out` points to the value:
 * the offset is not used. A null gives the default.
 */
enum err conf_value(struct arena *a, const struct conf_key *key, const struct conf_node *node,
		    void *out, struct fault *f) MUST_USE;
/* Fault "posthouse.yaml:12: `text`", for checks of the role itself. */
enum err conf_fault(struct fault *f, const struct conf_node *node, const char *fmt, ...)
	PRINTF(3, 4);
/* The known key nearest to a misspelt one, or NULL. `known` has `n` names. */
const char *conf_nearest(struct str key, const char *const *known, size_t n);
/* Bytes that a value of that type takes. */
size_t conf_type_size(enum conf_type type);

/* How a key is named to others; `as` NULL = not at all. */
struct conf_alias {
	const char *key, *as;
};
#define CONF_MASK "******"
struct json_writer;
/*
 * The members of an object: what conf_apply put into `values`. Durations are in seconds, sizes in
 * bytes, secrets masked. Left out are texts that are empty, and CONF_NODE, which its reader knows.
 */
void conf_put_json(struct json_writer *w, const struct conf_section *section, const void *values,
		   const struct conf_alias *aliases, size_t n);
