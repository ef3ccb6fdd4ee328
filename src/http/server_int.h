/*
 * server_int - what server.c, conn.c, exchange.c and answer.c share
 *
 * Who holds whom: a loop has one http_loop (exchange ids, recycled exchanges, the
 * Date line); a server has one server_loop for each loop, which holds the
 * connections; a connection holds its stream and at most one exchange; an exchange
 * points back at its connection until the answer is complete, the client goes or a
 * role hijacks the stream.
 */
#pragma once
#include "http/server.h"

#include "base/clock.h"

#include <netinet/in.h>

enum conn_state {
	CONN_IDLE,    /* between requests */
	CONN_HEAD,    /* part of a head has come */
	CONN_HELD,    /* a body is due, but the role has not asked for it yet, or paused it */
	CONN_BODY,    /* reading the body for the exchange */
	CONN_ANSWER,  /* request complete, waiting for the answer */
	CONN_DISCARD, /* answered before the body's end: the rest is thrown away */
	CONN_H2,      /* HTTP/2 from its preface on: h2_server.c has the stream */
	CONN_CLOSED,  /* gone, hijacked or closing: no more callbacks */
	CONN_STATES,
};

struct server_loop;
struct h2;
struct h2_stream;

/* The address of a peer without the padding of sockaddr_storage. */
union peer {
	struct sockaddr sa;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

struct http_listener;

struct conn {
	struct stream *stream;
	struct server_loop *owner;
	const struct http_listener *listener; /* NULL: in_process */
	struct list_node node;
	struct exchange *x;
	struct h2 *h2; /* CONN_H2 */
	struct timer timer;
	struct later again; /* go on reading in the next turn */
	struct grave grave;
	struct h1_scan scan;
	struct str rest; /* during on_data: what is not consumed yet */
	uint64_t discarded;
	uint64_t turn;	/* of the latest request ... */
	unsigned heads; /* ... and how many were begun in it */
	union peer peer;
	union peer *local; /* NULL until a PROXY header tells it, or somebody asks */
	enum conn_state state;
	bool is_tls : 1;
	bool in_process : 1;
	bool may_h2 : 1; /* its first bytes may be the preface of HTTP/2 */
	bool in_on_data : 1;
	bool wait_drain : 1; /* not reading the next request: the peer takes no answers */
};

struct server_loop {
	struct loop *loop;
	struct http_server *server;
	struct list conns;
	uint32_t hijacked; /* connections whose exchange is not released yet */
	/* read by any thread */
	_Atomic uint64_t connections_total, requests_total, bad_requests_total, floods_total;
	_Atomic uint32_t connections;
	_Atomic uint32_t in_state[CONN_STATES]; /* written by the loop alone */
};

struct http_listener {
	/* constant while it listens */
	struct http_server *server;
	struct listener *socket;
	bool proxy_protocol;
	/* set by the main thread */
	atomic_bool http2;
	/* swapped by the main thread; the former lives until no loop looks at it */
	struct tls_server *_Atomic tls;
};

struct http_server {
	struct http_limits limits;
	dispatch_fn *dispatch;
	void *role;
	struct loops *loops;
	struct server_loop *per_loop;
	struct http_listener listeners[8];
	size_t n_listeners;
	atomic_bool draining;
	_Atomic uint32_t drain_idle_ms;
};

struct exchange {
	struct conn *conn; /* NULL: the client has gone, or hijacked */
	struct server_loop *hijacked_from;
	struct h2_stream *h2; /* NULL: HTTP/1, or the client has gone */
	struct loop *loop;
	struct exchange *next_free;
	struct arena arena;
	struct http_request req;
	struct slot_id id;
	const struct exchange_handler *h;
	void *user;
	struct addr *peer;		     /* made on demand, in the arena */
	struct addr *local;		     /* likewise */
	const struct http_headers *trailers; /* of the request, HTTP/2 */
	uint64_t start_ms;
	uint64_t answer_left; /* of a streamed answer whose length was announced */
	/* body */
	uint64_t body_left; /* HTTP_BODY_LENGTH */
	uint64_t body_seen;
	uint64_t body_max;
	struct h1_chunked chunked;
	struct buf body;
	/* plain copies, valid after exchange_take */
	enum http_method method;
	uint8_t minor;
	bool is_tls : 1;
	bool in_process : 1;
	bool keep_alive : 1;
	bool body_done : 1;
	bool collecting : 1;
	bool accepted : 1; /* the role asked for the body */
	bool paused : 1;
	bool expect_continue : 1;
	bool te_trailers : 1; /* the client takes trailers */
	bool answer_begun : 1;
	bool answer_chunked : 1;
	bool answer_bare : 1; /* head only: what is written as its body is dropped */
	bool answer_measured : 1;
	bool answer_wrong : 1; /* more than announced */
	bool answer_close : 1;
};

struct http_loop {
	struct loop *loop;
	struct slots exchanges;
	struct exchange *free;
	unsigned n_free;
	uint64_t date_second;
	char date[CLOCK_HTTP_DATE_LEN + 1];
};

struct http_loop *http_loop_of(struct loop *l);
/* The value of a Date line, for this second. */
struct str http_loop_date(struct http_loop *hl);

struct exchange *exchange_new(struct conn *c);
/* Forgets the id and recycles; the connection must have let go of it. */
void exchange_free(struct exchange *x);
/* Tells the role (once) that nobody waits for the answer, and frees. */
void exchange_abort(struct exchange *x, int status);

void conn_accept(struct loop *l, int fd, const struct addr *peer, void *http_listener);
/* One end of a pipe, whose other end is a client of this process. */
void conn_join(struct server_loop *sl, struct stream *s);
/* Its request is complete up to the body: gives it an id and what x->req says. */
void exchange_begin(struct exchange *x);

/*
 * Whether `n` more bytes of a body begin body_timeout_ms anew. Those of one that is collected, in
 * memory, do for each so many.
 */
#define COLLECTED_IN_TIME 16384
static inline bool exchange_earns_time(const struct exchange *x, size_t n)
{
	return !x->collecting ||
	       (x->body_seen + n) / COLLECTED_IN_TIME != x->body_seen / COLLECTED_IN_TIME;
}

void conn_enter(struct conn *c, enum conn_state to);
/* The rest of the body will not be read: too long, or perhaps never sent. */
bool conn_must_close_after(const struct exchange *x);
bool conn_is_draining(const struct conn *c);
/* The exchange's answer is queued: next request, discard, or close. */
void conn_answered(struct conn *c);
/* The next piece of a body that is collected; the role may answer in its place. */
void exchange_keep(struct exchange *x, struct str data);
/* 413, by the role if it wants to; then the exchange has ended. */
void exchange_too_large(struct exchange *x);
/* The role asked for the body (or for more of it). */
void conn_resume_body(struct conn *c);
/* Ends the connection after what is queued. */
void conn_close(struct conn *c);
/* Ends it now: an answer that is under way does not look whole. */
void conn_abort(struct conn *c);
/* Gives up the stream; `c` is buried. */
struct stream *conn_release_stream(struct conn *c);
/* An answer of the server itself, then close. */
void conn_refuse(struct conn *c, int status);

/* Status line, Date and what the connection needs; `keep` = the connection goes on. */
void answer_write_head(struct buf *out, struct exchange *x, int status,
		       const struct http_header *headers, size_t n);

/* As in stream_handler. */
void conn_on_stream_close(struct stream *s, enum err why);

bool answer_never_has_body(int status);
uint64_t answer_body_length(const struct exchange_answer *a);
void answer_drop_body(const struct exchange_answer *a);

/* h2_server.c: the same on a stream of HTTP/2. */
enum h2_preface { H2_PREFACE, H2_PREFACE_PART, H2_PREFACE_NONE };
enum h2_preface h2_server_sniff(struct str in);
/* Takes the connection over; its bytes, the preface included, are shown to it. */
void h2_server_start(struct conn *c);
/* The connection ends: so do its exchanges. */
void h2_server_gone(struct conn *c);
void h2_server_drain(struct conn *c);
void h2_exchange_accept(struct exchange *x);
void h2_exchange_refuse(struct exchange *x, int status);
void h2_exchange_pause(struct exchange *x);
void h2_exchange_resume(struct exchange *x);
void h2_exchange_reply(struct exchange *x, const struct exchange_answer *a);
void h2_exchange_start(struct exchange *x, int status, const struct http_header *v, size_t n,
		       int64_t length);
void h2_exchange_write(struct exchange *x, struct str data);
void h2_exchange_finish(struct exchange *x, const struct http_header *trailers, size_t n);
void h2_exchange_cut(struct exchange *x);
size_t h2_exchange_pending(const struct exchange *x);
void h2_exchange_take_by(struct exchange *x, uint64_t loop_ms);
