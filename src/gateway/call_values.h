/*
 * call_values - single values out of a request, for hashing and templates
 *
 * Results point into the request, or into the call's arena where they had to be decoded.
 */
#pragma once
#include "gateway/call.h"

/* The lines of that name in call_headers, the first `max`; gives their number. */
size_t call_header_values(struct gw_call *c, struct str name, struct str *v, size_t max);
/* The first of that name in one line "a=1; b=2", as it stands. */
bool cookie_find(struct str line, struct str name, struct str *out);
bool call_cookie(struct gw_call *c, struct str name, struct str *out);
/* The values of a query argument, decoded, up to one that is badly escaped; likewise. */
size_t call_query_values(struct gw_call *c, struct str name, struct str *v, size_t max);
/* By name, or by number. */
bool call_capture(const struct gw_call *c, struct str name, struct str *out);
