/*
 * params - query strings and forms as lists of parameters
 *
 * "a=1&b&c=%20": names and values decoded, every piece kept as it came, so that what is not
 * touched is forwarded byte for byte.
 *
 * Threads  pure functions; results in the arena.
 */
#pragma once
#include "base/arena.h"
#include "base/str.h"

struct param {
	struct str raw; /* "a=1"; p NULL = made by us */
	struct str name;
	struct str value; /* p NULL = no '=' */
};

struct params {
	struct param *v;
	size_t n, cap;
};

/* All of them: whoever has a long text counts first. */
void params_parse(struct arena *a, struct str text, struct params *out);
/* Not less than what params_parse finds. */
size_t params_count(struct str text);
/* STR_NULL when there are none. */
struct str params_write(struct arena *a, const struct params *p);
/* How many are called `name`; `*out_value` is the first one's. */
size_t params_get(const struct params *p, struct str name, struct str *out_value);
void params_add(struct arena *a, struct params *p, struct str name, struct str value);
size_t params_remove(struct params *p, struct str name);
/* The first in its place, the others go. False when there is none. */
bool params_replace(struct params *p, struct str name, struct str value);
bool params_rename(struct params *p, struct str name, struct str new_name);
