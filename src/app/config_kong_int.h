/*
 * config_kong_int - what the config_kong*.c files share
 */
#pragma once
#include "app/config_int.h"
#include "app/config_kong.h"

/* One setting as it was given. */
struct kong_value {
	const char *name; /* of the setting; NULL = of none */
	struct str text;  /* n 0 = not given */
	struct str source;
	unsigned line; /* 0 = a variable */
};

/* Text of ours for a text of Kong's. */
typedef enum err kong_convert_fn(struct kong *k, const struct kong_value *v, struct str *out);

enum kong_how {
	KONG_KEY,     /* one key of ours */
	KONG_PART,    /* one of several that make a key: see kong_steps */
	KONG_NOTHING, /* of another program's insides: no effect */
	KONG_MISSING, /* Kong would do something that we do not: a warning */
	KONG_REFUSED, /* the same, and nobody should rely on it */
};

struct kong_setting {
	const char *name; /* of kong.conf; one of KONG_NOTHING may end in '*' */
	enum kong_how how;
	const char *key;	  /* KONG_KEY: "gateway.trusted_ips", "loops" */
	kong_convert_fn *convert; /* KONG_KEY: NULL = as it is */
	const char *harmless; /* KONG_MISSING, KONG_REFUSED: values that ask for nothing: "off,x" */
	const char *advice;   /* the same: what to do instead */
};

extern const struct kong_setting kong_settings[];
extern const size_t n_kong_settings;

struct kong {
	struct arena *arena;
	struct kong_value *values; /* of each setting */
	struct config_warning **warnings;
	struct fault *fault;
};

/* NULL when it is not given. The name must be in the table. */
const struct kong_value *kong_get(const struct kong *k, const char *name);
/* The fault names where the value stands. */
enum err kong_fault(struct kong *k, const struct kong_value *v, const char *fmt, ...) PRINTF(3, 4);
void kong_warn(struct kong *k, const struct kong_value *v, const char *fmt, ...) PRINTF(3, 4);
/* What a reference names; any other text stays. */
enum err kong_resolve(struct kong *k, const struct kong_value *v, struct str *text) MUST_USE;
/* on, off; `*out` stays when it is not given. */
enum err kong_bool(struct kong *k, const char *name, bool *out) MUST_USE;

/* Nodes that are known to come from there. */
struct conf_node *kong_node(struct kong *k, int kind, const char *key, const struct kong_value *v);
struct conf_node *kong_scalar(struct kong *k, const char *key, struct str text,
			      const struct kong_value *v);
/* Puts a node where "gateway.listen" is; its key becomes the last part. */
void kong_put(struct kong *k, struct conf_node *root, const char *path, struct conf_node *node);

/* Steps of kong_apply, each of several settings. */
enum err kong_apply_listeners(struct kong *k, struct conf_node *root) MUST_USE;
enum err kong_apply_database(struct kong *k, struct conf_node *root) MUST_USE;
void kong_check_plugins(struct kong *k);

/* ---- converters, for the table ---- */

kong_convert_fn kong_seconds, kong_log_level, kong_workers, kong_headers, kong_headers_upstream;
