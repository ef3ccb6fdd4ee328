/*
 * call_values - single values out of a request, for hashing and templates
 *
 * Results point into the request, or into the call's arena where they had to be decoded.
 */
#pragma once
#include "gateway/call.h"

/* The `nth` line of that name. */
bool call_nth_header(const struct gw_call *c, struct str name, size_t nth, struct str *out);
/* The first of that name in one line "a=1; b=2", as it stands. */
bool cookie_find(struct str line, struct str name, struct str *out);
bool call_cookie(const struct gw_call *c, struct str name, struct str *out);
/* The `nth` value of a query argument, decoded. False also when it is badly escaped. */
bool call_nth_query(struct gw_call *c, struct str name, size_t nth, struct str *out);
/* By name, or by number. */
bool call_capture(const struct gw_call *c, struct str name, struct str *out);
