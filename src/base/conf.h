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
	struct str key;             /* when a member of a map */
	struct str text;            /* scalar */
	struct conf_node *child;    /* list, map: first */
	struct conf_node *next;
	struct str source;          /* file name, or the environment variable */
	unsigned line;              /* 1-based; 0 = not from a file */
};

struct conf_key {
	const char *name;           /* within the section: "request_expiration" */
	enum conf_type type;
	size_t offset;
	const char *dflt;           /* text as in a file; NULL = none */
	int64_t min, max;           /* numbers; max 0 = no upper limit */
	const char *const *choices; /* CONF_ENUM: NULL-terminated */
	unsigned flags;
	const char *doc;            /* one sentence for the reference */
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
 * Fills `out` (zeroed first) with defaults, then with the node's values. `node`
 * may be NULL. Fails on the first unknown key, wrong type or value out of range,
 * with a text that names the source, line, key and what is allowed.
 */
enum err conf_apply(struct arena *a, const struct conf_section *section,
		    const struct conf_node *node, void *out, struct fault *f) MUST_USE;
/* NULL when absent. */
const struct conf_node *conf_get(const struct conf_node *map, struct str key);
/* One scalar, for roles that read a CONF_NODE themselves. */
enum err conf_value(struct arena *a, const struct conf_key *key, const struct conf_node *node,
		    void *out, struct fault *f) MUST_USE;
