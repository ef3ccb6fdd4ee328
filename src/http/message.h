/*
 * message - HTTP semantics that are the same for every version (RFC 9110)
 *
 * Headers are an array in message order: one element per received line, names
 * as received (compare with str_eq_nocase). Names and values point into the
 * arena (or input) of whoever parsed them.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/*
 * So many requests of one connection are begun in a turn of the loop. Each may cost what a request
 * costs, and others shall not wait for all that a client sends at once.
 */
#define HTTP_HEADS_PER_TURN 32

enum http_method {
	HTTP_OTHER, /* valid token, see the text */
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_PATCH,
	HTTP_OPTIONS,
	HTTP_CONNECT,
	HTTP_TRACE,
};

struct http_header {
	struct str name;
	struct str value; /* without blanks around it */
};

struct http_headers {
	struct http_header *v;
	size_t n, cap;
};

/* How the end of a body is found. */
enum http_framing {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,
	HTTP_BODY_CHUNKED,
	HTTP_BODY_CLOSE, /* responses: until the connection ends */
};

struct http_request {
	enum http_method method;
	struct str method_text;
	struct str target;    /* as received */
	struct str path;      /* raw, still escaped; "*" for OPTIONS * */
	struct str query;     /* raw, without '?' ; p NULL when there is no '?' */
	struct str authority; /* Host, or of an absolute-form target */
	uint8_t major;	      /* 1 or 2 */
	uint8_t minor;	      /* HTTP/1.x; 1 with HTTP/2, which can all that 1.1 can */
	bool keep_alive;
	bool expect_continue;
	bool te_trailers;	/* TE: trailers: the client takes trailers */
	bool upgrade_websocket; /* Connection: upgrade and Upgrade: websocket, of a GET without a
				   body */
	enum http_framing framing;
	uint64_t content_length; /* HTTP_BODY_LENGTH */
	struct http_headers headers;
};

static inline bool http_request_has_body(const struct http_request *r)
{
	return r->framing == HTTP_BODY_CHUNKED ||
	       (r->framing == HTTP_BODY_LENGTH && r->content_length > 0);
}

struct http_response {
	int status;
	struct str reason;
	uint8_t minor;
	bool keep_alive;
	enum http_framing framing;
	bool has_content_length; /* also with HEAD and 304, where no body follows */
	uint64_t content_length;
	struct http_headers headers;
};

enum http_method http_method_parse(struct str s);
/* May be sent again where nobody knows whether it was acted on (RFC 9110 9.2.2). */
bool http_method_is_idempotent(enum http_method m);
/* "Not Found"; "Unknown" for codes without a registered phrase. */
struct str http_reason(int status);

void http_headers_grow(struct arena *a, struct http_headers *h);

static inline void http_header_add(struct arena *a, struct http_headers *h, struct str name,
				   struct str value)
{
	if (UNLIKELY(h->n == h->cap)) {
		http_headers_grow(a, h);
	}
	h->v[h->n++] = (struct http_header){name, value};
}

/* First value, STR_NULL when absent. */
struct str http_header_get(const struct http_headers *h, struct str name);
/* Removes every line of that name; returns how many. */
size_t http_header_remove(struct http_headers *h, struct str name);
/* Replaces all lines of that name by one. */
void http_header_set(struct arena *a, struct http_headers *h, struct str name, struct str value);

/* RFC 9110 5.6.2 token, not empty. */
bool http_is_token(struct str s);
/* Whether a request may begin with these. */
bool http_is_request_line(struct str method, struct str target);
/* No CR, LF, NUL or other control but HTAB (RFC 9110 5.5). */
bool http_is_field_value(struct str s);
/* Whether a comma-separated list has the token, ignoring case. */
bool http_list_has(struct str list, struct str token);

/* Connection, Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade. */
bool http_is_hop_by_hop(struct str name);
/*
 * Names that would frame, route or re-open a message if someone merged trailers into its head,
 * those that frame also with '_', which gateways of the CGI kind take for '-'.
 */
bool http_is_no_trailer(struct str name);
/*
 * Removes the hop-by-hop headers and those that Connection lists, the first 64 of them
 * (RFC 9110 7.6.1). Do this to what a peer sent before adding headers of our own.
 */
void http_strip_hop_by_hop(struct http_headers *h);
/* "content-type" gives "Content-Type"; unknown names stay as received. */
struct str http_canonical_name(struct str name);
