/*
 * answer - a response on its way to the client
 *
 * Made on the home loop from what a connector delivered, checked there (connectors are hostile
 * until proven otherwise), and written on the loop of the client.
 *
 * Ownership  strings are borrowed during a call.
 */
#pragma once
#include "base/json.h"
#include "http/server.h"
#include "relay/body_send.h"
#include "relay/relay_int.h"

enum answer_body { ANSWER_EMPTY, ANSWER_INLINE, ANSWER_STORED };

struct answer {
	int status;
	struct http_headers headers;
	enum answer_body kind;
	struct str body; /* INLINE */
	struct guid id;	 /* STORED: key of the blob, which goes to whoever takes the answer ... */
	struct body_count *count; /* ... with its count */
	bool has_length;	  /* the target said so, for HEAD */
	uint64_t length;
	uint64_t body_size; /* of STORED: what is said, then what was stored, once it is taken from
			       the request */
};

/* A delivered response in the shape of the wire. */
struct target_response {
	struct guid request_id;
	int64_t status;
	const struct json *headers;
	struct opt_i64 body_size;
	struct str content; /* base64; p NULL = none */
	bool failed;
};

extern const struct json_shape target_response_shape;

/*
 * ERR_PROTO: status or headers are not acceptable: the client gets 502. Hop-by-hop and
 * framing headers are dropped. Strings point into `t`, `a` and `scratch`.
 */
enum err answer_from_response(const struct target_response *t, struct arena *a, struct buf *scratch,
			      struct answer *out) MUST_USE;

/* Trace headers of the server (RelayServer 3.6). */
void answer_add_trace(struct answer *an, struct arena *a, const struct relay *r,
		      const struct guid *request_id);

/*
 * Writes it; on the loop of the exchange. A stored body is removed in any case. Returns
 * what still has to be sent when there is room (body_send.h), or NULL: then the exchange is done.
 */
struct body_send *answer_write(struct exchange *x, struct relay_loop *rl, const struct answer *an);
/* Nobody wants it: removes the stored body. */
void answer_drop(struct relay_loop *rl, const struct answer *an);
