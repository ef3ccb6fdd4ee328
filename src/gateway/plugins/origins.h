/*
 * origins - which origins (RFC 6454) a list of literals and regexes names
 *
 * A literal is compared as an origin: scheme and host without case, default ports left out; one
 * without a scheme is compared with the host. A
 * regex must match the whole origin, with or without its default port, and gives up after a
 * fixed number of steps.
 *
 * Threads  immutable once made.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct origins;

/* ERR_INVALID: a regex that is none; the fault says which. */
enum err origins_make(struct arena *a, const struct str *v, size_t n, const struct origins **out,
		      struct fault *f) MUST_USE;
bool origins_has(const struct origins *o, struct arena *a, struct str origin);
/* Only letters, digits and ".:/-": no regex. */
bool origins_is_literal(struct str s);
