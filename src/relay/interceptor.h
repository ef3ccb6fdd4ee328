/*
 * interceptor - configured rules that change, redirect or answer requests, in order
 *
 *	interceptors:
 *	  - when: {method: [GET], tenant: T1, target: web, path: api/, header: "X-Old: *"}
 *	    set_request_headers: {X-Via: posthouse}
 *	    remove_request_headers: [Cookie]
 *	    set_response_headers: {Strict-Transport-Security: max-age=600}
 *	    remove_response_headers: [Server]
 *	    rewrite: {from: api/v1/, to: api/v2/}
 *	    strip_authorization: true
 *	    answer: {status: 503, headers: {Retry-After: "60"}, body: closed, deliver: false}
 *
 * All conditions of `when` must hold; without it a rule always applies. `path` is
 * a prefix of the url behind the target. `answer` ends the chain: nothing is
 * sent to a connector unless `deliver` is true, and then its response is discarded.
 *
 * Ownership  rules live in the arena of the configuration epoch; what they put
 *            into a request lives in the arena given.
 * Threads    immutable after interceptors_parse.
 */
#pragma once
#include "base/conf.h"
#include "http/message.h"

#define INTERCEPTORS_MAX 64

struct interceptor_answer {
	bool set;
	bool deliver;
	int status;
	struct http_headers headers;
	struct str body;
};

struct interceptor {
	/* conditions; p NULL or n 0 = any */
	struct conf_strs methods;
	struct str tenant, target, path;
	struct str header;	 /* name */
	struct str header_value; /* p NULL = any */
	/* actions */
	struct http_headers set_request, set_response;
	struct conf_strs remove_request, remove_response;
	bool has_rewrite;
	struct str rewrite_from, rewrite_to;
	struct interceptor_answer answer;
};

struct interceptors {
	struct interceptor *v;
	size_t n;
};

/* `node` may be NULL: no rules. Faults name file and line. */
enum err interceptors_parse(struct arena *a, const struct conf_node *node, struct interceptors *out,
			    struct fault *f) MUST_USE;

struct interceptor_request {
	struct str method, tenant, target;
	struct str url;		      /* may be rewritten */
	struct http_headers *headers; /* may be edited */
};

/*
 * Applies the request side. Returns the rules that matched as bits, for
 * interceptors_response; *out_answer is set when a rule answers (else NULL).
 */
uint64_t interceptors_request(const struct interceptors *rules, struct arena *a,
			      struct interceptor_request *r,
			      const struct interceptor_answer **out_answer);
void interceptors_response(const struct interceptors *rules, uint64_t matched, struct arena *a,
			   struct http_headers *headers);
