/*
 * template - values of request-transformer: text with $(…) in it
 *
 *	$(headers.name)  $(headers["x-name"])  $(query_params.q)
 *	$(uri_captures.id)  $(uri_captures[1])  $(shared.x)
 *	$(headers.a or query_params.a or "default")
 *
 * What is not set is the empty text. Other Lua is refused when the template is compiled. Headers
 * are those of call_headers, so that who the client is cannot be what it said itself.
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
bool template_reads_headers(const struct template *t);

/* What is filled in. */
struct template_source {
	struct gw_call *call;
	const struct http_headers *headers;
};
/* The text itself when there is nothing to fill in. */
struct str template_render(const struct template *t, const struct template_source *from);
