/*
 * server - HTTP/1.1 server: exchanges on a loop, handed to a role
 *
 * A listener accepts; each connection parses requests and makes one exchange at a
 * time. The role's dispatch function decides on the loop what becomes of it, by
 * calling exactly one of:
 *   exchange_reply      the whole answer is known; an unread body is drained or refused
 *   exchange_collect    gather the body in memory (limited), then a callback
 *   exchange_stream     body pieces go to callbacks as they come; the answer may begin any time
 *   exchange_hijack     take the connection over (WebSocket, event streams)
 * and later answers with exchange_reply, or exchange_start, exchange_write, exchange_finish.
 *
 * Other threads and queues keep exchange_id, never the pointer; exchange_find on
 * the owning loop says whether the client is still there.
 *
 * Ownership  the exchange, its arena and the strings of its request live until
 *            on_abort was called or the answer is complete (the role must not
 *            touch it after exchange_reply or exchange_finish).
 * Threads    the loop of the connection.
 * Limits     http_limits; the answers 400, 408, 413, 414, 431, 501, 505 are made here.
 * Spec       RFC 9110, RFC 9112.
 */
#pragma once
#include "base/slots.h"
#include "http/h1.h"
#include "http/message.h"
#include "net/listener.h"
#include "net/stream.h"
#include "tls/stream.h"

struct exchange;

struct http_limits {
	struct h1_limits head;
	uint32_t head_timeout_ms;  /* from its first byte to its end; PROXY, TLS likewise */
	uint32_t idle_timeout_ms;  /* keep-alive */
	uint32_t body_timeout_ms;  /* longest silence; 16 KiB of a collected body: 408 */
	uint32_t write_timeout_ms; /* longest time in which a client takes nothing */
	uint32_t connections_max;  /* per listener and loop; beyond: 503 and close */
	bool uses_reserve;	   /* accepts to the last descriptor, see net/descriptors.h */
};
extern const struct http_limits http_limits_default;

/* On the loop, for each request whose head is complete. */
typedef void dispatch_fn(struct exchange *x, void *role);

struct http_server;
/* One per role listener: shared by all loops, immutable while it listens. */
struct http_server *http_server_new(const struct http_limits *limits, dispatch_fn *fn, void *role);
/* Serves in-process connections, too. Main thread, before the first http_server_connect. */
void http_server_serve(struct http_server *s, struct loops *loops);
/*
 * The client's end of a new connection inside the process, on loop `l`: HTTP/1.1 over a pipe
 * (net/pipe_stream.h), counted, limited and drained like one that was accepted. The server may
 * be draining, so that what has begun elsewhere in the process can end. `l`'s thread.
 */
struct stream *http_server_connect(struct http_server *s, struct loop *l);

struct http_listen {
	struct str address;
	struct tls_server *tls; /* NULL = plain; the listener takes a reference */
	bool proxy_protocol;	/* connections begin with a PROXY header, or are closed */
	bool http2; /* to who knows it beforehand; with TLS the context says what is offered */
};
/* Binds: connections wait until http_server_accept. */
enum err http_server_listen(struct http_server *s, struct loops *loops,
			    const struct http_listen *listen, struct fault *f) MUST_USE;
/* Connections are accepted at all addresses from now on. Main thread. */
void http_server_accept(struct http_server *s);
/*
 * Other certificates, or other demands on clients, for new connections of listener `i`,
 * which has TLS. Takes a reference. Main thread, while the loops run.
 */
void http_server_set_tls(struct http_server *s, size_t i, struct tls_server *tls);
/* Likewise; with TLS, what its context offers decides. */
void http_server_set_http2(struct http_server *s, size_t i, bool http2);
bool http_server_is_tls(const struct http_server *s, size_t i);
/* Addresses bound, with real ports: i from 0; NULL past the end. */
const struct addr *http_server_addr(const struct http_server *s, size_t i);
/*
 * Drain: no new connections, answers carry Connection: close, idle connections
 * close when they were so for `idle_ms`. A client whose request crosses the close sees a
 * failure: 0 is for when it would anyway, since nobody else listens there.
 * http_server_active counts what is left over all loops.
 */
void http_server_drain(struct http_server *s, uint32_t idle_ms);
unsigned http_server_active(const struct http_server *s);
/* Closes what is left and frees. The loops must be running. */
void http_server_free(struct http_server **s);

struct http_server_stats {
	uint64_t connections_total, requests_total, bad_requests_total;
	uint64_t floods_total; /* connections ended because their frames cost more than they did */
	uint64_t connections;  /* now; those of HTTP/2 are all `writing` */
	uint64_t reading, writing, waiting;
};
void http_server_stats(const struct http_server *s, struct http_server_stats *out);

/* Frees what a loop keeps for its servers; after the last of them. */
void http_server_loop_fini(struct loop *l);

/* ---- request side ---- */

struct exchange_id {
	struct loop *loop;
	struct slot_id id;
};

const struct http_request *exchange_request(const struct exchange *x);
/* For editing before it is passed on. */
struct http_headers *exchange_headers(struct exchange *x);
struct arena *exchange_arena(struct exchange *x);
struct loop *exchange_loop(const struct exchange *x);
struct exchange_id exchange_id(struct exchange *x);
/* On the loop of the id: NULL when it has gone. */
struct exchange *exchange_find(struct exchange_id id);
/* The role's own object for this exchange. */
void exchange_set_user(struct exchange *x, void *user);
void *exchange_user(const struct exchange *x);
/*
 * The client's address as seen by the socket, or as the PROXY header tells. In-process: whom the
 * caller speaks for.
 */
const struct addr *exchange_peer(struct exchange *x);
/*
 * It came through http_server_connect: the caller is another role of this process, the front
 * door, and what it writes into X-Forwarded-* is so.
 */
bool exchange_is_in_process(const struct exchange *x);
/* The address and port that the client connected to, likewise; len 0 in-process. */
const struct addr *exchange_local(struct exchange *x);
bool exchange_is_tls(const struct exchange *x);
/* False without TLS, and when the client has gone. Strings live as long as the connection. */
bool exchange_tls_info(const struct exchange *x, struct tls_info *out);
/* For tls_stream_peer_pem and _subject; NULL when the client has gone. */
const struct stream *exchange_connection(const struct exchange *x);
/* Host header (or authority of an absolute target). */
struct str exchange_host(const struct exchange *x);
/*
 * Where the client finds us, without a slash at the end: scheme and host, or what the gateway of
 * this process says of them, and the prefix that it took off. In the exchange's arena.
 */
struct str exchange_base_url(struct exchange *x);
/* Milliseconds (loop time) at which the head was complete. */
uint64_t exchange_start_ms(const struct exchange *x);

struct exchange_handler {
	/* A piece of the body. Pause with exchange_pause_body. NULL for exchange_collect. */
	void (*on_data)(struct exchange *x, struct str data);
	/* exchange_collect: `n` more bytes are to be kept. False: it has answered. May be NULL. */
	bool (*on_keep)(struct exchange *x, size_t n);
	/* Those of the request, if any, before on_end. Valid as long as it. May be NULL. */
	void (*on_trailers)(struct exchange *x, const struct http_headers *trailers);
	/* The body is complete (also called when there is none). */
	void (*on_end)(struct exchange *x);
	/* Room again after exchange_pending was above STREAM_HIGH_WATER. May be NULL. */
	void (*on_drained)(struct exchange *x);
	/*
	 * The body is longer than `max`, and no answer has begun: answer now. What else comes of
	 * it is thrown away. NULL: the server answers 413 without a body, then on_abort.
	 */
	void (*on_too_large)(struct exchange *x);
	/*
	 * The client has gone (a half-closed connection counts), or broke the protocol (then the
	 * answer was sent by the server), or a time or size limit struck (`status` 408 or 413:
	 * nothing was sent yet, and the role's answer is not needed). Last call.
	 */
	void (*on_abort)(struct exchange *x, int status);
};

/*
 * Collects up to `max` bytes, then h->on_end; exchange_body has them. A larger body
 * is answered 413. "Expect: 100-continue" is answered when the size is acceptable.
 */
void exchange_collect(struct exchange *x, size_t max, const struct exchange_handler *h);
struct str exchange_body(const struct exchange *x);
/* Streams, up to `max` bytes (413 beyond, before a byte when Content-Length tells). */
void exchange_stream(struct exchange *x, uint64_t max, const struct exchange_handler *h);
/*
 * Moves arena, request and collected body out, for a worker; the exchange lives on
 * and is answered as usual, but its request must not be asked any more.
 */
void exchange_take(struct exchange *x, struct arena *out_arena, struct http_request *out_request,
		   struct buf *out_body);
void exchange_pause_body(struct exchange *x);
void exchange_resume_body(struct exchange *x);

/* ---- answer side ---- */

enum exchange_body_kind {
	EXCHANGE_BODY_STR,  /* copied */
	EXCHANGE_BODY_MEM,  /* not copied; release(arg) when done */
	EXCHANGE_BODY_FILE, /* fd, from 0; closed when done, and release(arg) */
};

struct exchange_answer {
	int status;
	const struct http_header *headers; /* checked by the caller; no framing headers */
	size_t n_headers;
	enum exchange_body_kind kind;
	struct str body;	    /* STR, MEM */
	void (*release)(void *arg); /* MEM, FILE; may be NULL */
	void *arg;
	int fd; /* FILE */
	uint64_t file_size;
	/* To HEAD, or 304: the length to announce instead of the body's; has = use it. */
	bool has_length;
	uint64_t length;
	bool close; /* end the connection after this answer */
};

/*
 * Sends head and body. Adds Date, Content-Length (never for 1xx, 204) and, when
 * needed, Connection. To HEAD no body is sent.
 */
void exchange_reply(struct exchange *x, const struct exchange_answer *a);
/* Status and an empty body. */
void exchange_reply_status(struct exchange *x, int status);
/* 405 with the methods that would do (RFC 9110 15.5.6). */
void exchange_reply_allow(struct exchange *x, struct str methods);
/* Status, content type and text. */
void exchange_reply_text(struct exchange *x, int status, struct str content_type, struct str body);

/*
 * A streamed answer: `length` < 0 = chunked (for HTTP/1.0: until close). Then
 * any number of writes, then finish; or exchange_cut when it cannot be completed.
 * To finish with another length than announced cuts too: what follows would be misread.
 */
void exchange_start(struct exchange *x, int status, const struct http_header *headers, size_t n,
		    int64_t length);
void exchange_write(struct exchange *x, struct str data);
void exchange_finish(struct exchange *x);
/*
 * The same, with trailers behind the body. To a HTTP/1 client they go only if the answer is
 * chunked and the request said "TE: trailers"; otherwise they are dropped (RFC 9110 6.5.1).
 */
void exchange_finish_trailers(struct exchange *x, const struct http_header *v, size_t n);
/* Breaks the connection so that the client sees the answer is incomplete. */
void exchange_cut(struct exchange *x);
size_t exchange_pending(const struct exchange *x);
/* Loop time by which the client must have taken all that is written next, or is cut off. */
void exchange_take_by(struct exchange *x, uint64_t loop_ms);

/*
 * Takes the stream away from HTTP: `early` gets the bytes that came behind the
 * head (into the exchange's arena). The exchange ends when the role calls
 * exchange_release (frees its arena, counts the connection out). The role writes the head itself.
 */
struct stream *exchange_hijack(struct exchange *x, struct str *early);
void exchange_release(struct exchange *x);
