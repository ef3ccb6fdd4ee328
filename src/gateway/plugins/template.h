/*
 * template - values of request-transformer: text with $(…) in it
 *
 *	$(headers.name)  $(headers["x-name"])  $(query_params.q)
 *	$(uri_captures.id)  $(uri_captures[1])  $(shared.x)
 *	$(headers.a or query_params.a or "default")
 *
 * What is not set is the empty text. Other Lua is refused when the template is compiled.
 *
 * Threads  immutable once compiled.
 */
#pragma once
#include "gateway/call.h"

struct template;

/* ERR_INVALID: the fault says what is not understood. */
enum err template_compile(struct arena *a, struct str text, const struct template **out,
			  struct fault *f) MUST_USE;
/* Nothing in it is the client's. */
bool template_is_constant(const struct template *t);
/* The text itself when there is nothing to fill in. */
struct str template_render(const struct template *t, struct gw_call *c);
