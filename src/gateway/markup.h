/*
 * markup - text inside HTML and XML
 */
#pragma once
#include "base/arena.h"
#include "base/str.h"

/* `s` itself when nothing needs escaping. */
struct str markup_escape(struct arena *a, struct str s);
