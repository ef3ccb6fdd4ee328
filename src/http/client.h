/*
 * client - HTTP/1.1 client on a loop: keep-alive pools, streaming both ways
 *
 * One client a loop. A call looks up a pooled connection to its origin (or
 * opens one: DNS, proxy, TLS), sends the request and hands the answer over
 * piece by piece. A request on a reused connection that dies before the first byte of
 * an answer is sent again once if it may be (idempotent method, RFC 9110 9.2.2) and can
 * be (no body, or a body in memory).
 *
 * An answer with bytes behind it, cut short after its head, or ambiguous in its framing is
 * ERR_PROTO, and its connection is closed. Callbacks may start, cancel and free anything,
 * the client included; none comes before http_call_start has returned.
 *
 * Life       http_call returns a call owned by the client; it ends with exactly one of
 *            on_end or on_fail, or by http_call_cancel (no more callbacks).
 * Ownership  request strings are copied; a memory body is borrowed until the end.
 * Threads    the loop.
 * Limits     header limits, timeouts and pool sizes of http_client_options.
 */
#pragma once
#include "http/h1.h"
#include "http/message.h"
#include "http/uri.h"
#include "net/stream.h"
#include "tls/context.h"

struct http_client;
struct http_call;
struct http_server;

struct http_client_options {
	const struct h1_limits *head; /* of answers; h1_limits_answer */
	uint32_t connect_timeout_ms;  /* DNS, TCP, tunnel and TLS; 10 s */
	uint32_t idle_timeout_ms;     /* a pooled connection; 60 s */
	uint32_t pool_per_origin;     /* idle ones kept; 64 */
	uint32_t idle_max;	      /* of all origins; the oldest goes; 2048 */
	uint32_t connections_max;     /* per origin; further calls wait; 0 = no limit */
	/* For https calls that bring none; the client takes a reference. NULL = the system's CAs.
	 */
	struct tls_client *tls;
	bool proxy_from_env; /* HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY */
};
extern const struct http_client_options http_client_options_default;

struct http_client *http_client_new(struct loop *l, const struct http_client_options *o);
/* Cancels what runs. */
void http_client_free(struct http_client **c);
struct loop *http_client_loop(const struct http_client *c);

struct http_call_handler {
	/* The final head; 1xx are dropped (but 101, see upgrade). Strings live until the call ends.
	 */
	void (*on_head)(struct http_call *c, const struct http_response *r);
	/* A piece of body; pause with http_call_pause. */
	void (*on_data)(struct http_call *c, struct str data);
	/* Trailers of the answer, if there are any, before on_end. May be NULL. */
	void (*on_trailers)(struct http_call *c, const struct http_headers *trailers);
	/* Complete. Last call. */
	void (*on_end)(struct http_call *c);
	/*
	 * ERR_UNAVAILABLE (cannot connect), ERR_TIMEOUT, ERR_IO (broke); ERR_PROTO, ERR_LIMIT (an
	 * answer came and is refused); ERR_EXHAUSTED (this machine has no connection left),
	 * ERR_INVALID (no such request can be sent). http_call_was_sent says whether the peer may
	 * have seen it. Last call.
	 */
	void (*on_fail)(struct http_call *c, enum err why);
	/*
	 * A connection is there and the head of the request is on its way: now, not before, a
	 * body is worth reading from elsewhere. Again when it is sent again. The one callback
	 * that may come before http_call_start has returned. May be NULL.
	 */
	void (*on_sent)(struct http_call *c);
	/* Streamed request body: room for more. May be NULL. */
	void (*on_writable)(struct http_call *c);
	/*
	 * After a 101 to a request with `upgrade`: the stream is yours, with `early`
	 * bytes behind the head (valid during the call). Last call.
	 */
	void (*on_upgrade)(struct http_call *c, const struct http_response *r, struct stream *s,
			   struct str early);
};

enum http_call_body {
	HTTP_CALL_NO_BODY,
	HTTP_CALL_MEM,	   /* `body` */
	HTTP_CALL_FILE,	   /* `fd` (taken), `length` bytes from 0 */
	HTTP_CALL_LENGTH,  /* streamed, exactly `length` bytes by http_call_write */
	HTTP_CALL_CHUNKED, /* streamed, until http_call_finish */
};

enum http_call_version {
	HTTP_CALL_AUTO, /* HTTP/1.1 */
	HTTP_CALL_H2,	/* HTTP/2; without TLS by prior knowledge (RFC 9113 3.3) */
};

struct http_call_spec {
	struct uri uri; /* where to connect, and Host unless a header says it */
	struct str method;
	struct str path_query;		   /* request target; p NULL = of uri */
	const struct http_header *headers; /* no framing headers; checked */
	size_t n_headers;
	enum http_call_body body_kind;
	struct str body;
	int fd;
	uint64_t length;
	/* Behind a body in memory, with HTTP/2; see http_call_finish_trailers. Borrowed like it. */
	const struct http_headers *trailers;
	uint32_t timeout_ms;	    /* from the start to the head of the answer; 0 = none */
	uint32_t answer_timeout_ms; /* from the end of the request to the head; 0 = none */
	uint32_t idle_timeout_ms;   /* longest silence in the body of the answer; 0 = none */
	/* Connect to this address instead of looking the host up; never through a proxy. */
	const struct addr *peer;
	/*
	 * Or to this server of the process, without a socket and without TLS, whatever the URI
	 * says; its exchange_peer is `speaks_for` (borrowed until the end; NULL = nobody). Outlives
	 * the client, or at least the client's calls to it.
	 */
	struct http_server *server;
	const struct addr *speaks_for;
	/*
	 * For https. `tls` is borrowed until http_call_start returns; NULL = of the client, which
	 * trusts the system's CAs. `sni`: the name to ask for and to verify; n 0 = of uri.
	 */
	struct tls_client *tls;
	struct str sni;
	uint32_t connect_timeout_ms; /* 0 = of the client's options */
	uint32_t write_timeout_ms;   /* longest time in which the peer takes nothing; 0 = 60 s */
	enum http_call_version version;
	bool close;   /* no keep-alive: Connection: close */
	bool upgrade; /* expect 101; adds Connection: Upgrade, the Upgrade header is yours */
	bool direct;  /* never through a proxy */
};

struct http_call *http_call_start(struct http_client *c, const struct http_call_spec *spec,
				  const struct http_call_handler *h, void *user);
void *http_call_user(const struct http_call *c);
void http_call_cancel(struct http_call *c);
/* Streamed request bodies. Pending above STREAM_HIGH_WATER: wait for on_writable. */
void http_call_write(struct http_call *c, struct str data);
void http_call_finish(struct http_call *c);
/* Ends a chunked body with trailers. HTTP/1 drops them. */
void http_call_finish_trailers(struct http_call *c, const struct http_header *v, size_t n);
/* Whether anything of the request may have reached the peer. Also in on_fail. */
bool http_call_was_sent(const struct http_call *c);
/* The peer said that it has not looked at it (RFC 9113 8.7), and is well. */
bool http_call_was_refused(const struct http_call *c);
/* It failed as TLS could not be agreed on with the peer under the name of the call. */
bool http_call_was_unsecured(const struct http_call *c);
/* It waited for a window that another call has (HTTP/2): ERR_TIMEOUT. */
bool http_call_was_crowded_out(const struct http_call *c);
/* It failed as its head is larger than the peer takes (HTTP/2): ERR_INVALID. */
bool http_call_was_too_large(const struct http_call *c);
size_t http_call_pending(const struct http_call *c);
void http_call_pause(struct http_call *c);
void http_call_resume(struct http_call *c);

/* The loop's shared client, made with default options on first use; freed by http_loop_fini. */
struct http_client *http_client_of(struct loop *l);
void http_loop_fini(struct loop *l);

struct http_client_stats {
	uint64_t calls_total, connects_total, reused_total, failed_total;
	uint32_t connections, idle, waiting;
};
void http_client_stats(const struct http_client *c, struct http_client_stats *out);

/*
 * For simple exchanges (tokens, discovery, keys): the whole answer in memory, up to `max` bytes.
 * `fn` is called once; `body` is valid during the call.
 */
struct http_fetch_result {
	enum err err;
	int status;
	const struct http_headers *headers;
	struct str body;
};
typedef void http_fetch_fn(void *arg, const struct http_fetch_result *r);
struct http_fetch;
struct http_fetch *http_fetch_start(struct http_client *c, const struct http_call_spec *spec,
				    size_t max, http_fetch_fn *fn, void *arg);
void http_fetch_cancel(struct http_fetch *f);
