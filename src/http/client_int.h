/*
 * client_int - what the files of the HTTP client share
 *
 * Who holds whom: the client has origins (one for each place to connect to) and
 * all calls. An origin has its connections, busy and idle, and the calls that wait
 * for one. A busy connection and its call point at each other, nobody else does.
 *
 *   client.c        the client: options, statistics, end
 *   client_proxy.c  proxies named in the environment
 *   client_pool.c   origins: which connection a call gets
 *   client_conn.c   one connection: resolve, connect, tunnel, TLS, carry calls
 *   client_call.c   one call: start, request, timers, end
 *   client_recv.c   the answer of a call
 *   h2_client.c     calls that share a connection of HTTP/2
 *
 * Anything a callback of a call may do, it may do at any time: calls, connections
 * and the client are buried, so code that called back only has to ask for the state.
 */
#pragma once
#include "base/map.h"
#include "http/client.h"
#include "http/client_proxy.h"
#include "net/dns.h"

struct h2;
struct h2_nvs;
struct h2_stream;

/* ---- origins ---- */

enum route_kind {
	ROUTE_DIRECT,
	ROUTE_PROXY,  /* absolute-form requests to the proxy */
	ROUTE_TUNNEL, /* CONNECT through the proxy */
};

struct client_route {
	enum route_kind kind;
	const struct http_proxy *proxy; /* NULL when direct */
	struct str host;		/* where to connect: the proxy or the target */
	uint16_t port;
	struct str tunnel;	    /* "host:port" for CONNECT */
	bool h2;		    /* shared connections of HTTP/2 */
	const struct addr *peer;    /* connect to it, whatever the host; NULL = look it up */
	struct http_server *server; /* in-process; NULL = over the network */
	struct tls_client *tls;	    /* NULL = plain; the origin has a reference */
	struct str sni;
};

/* As many as RFC 9113 6.5.2 recommends at least: for a peer that has said nothing yet. */
#define STREAMS_AT_FIRST 100

struct client_origin {
	struct http_client *client;
	struct client_route route; /* strings behind this struct */
	struct addr peer;	   /* of the route, if it has one */
	struct str key;
	struct list idle;    /* connections, the latest used first */
	struct list busy;    /* connections */
	struct list waiting; /* calls */
	struct later work;   /* serve those who wait; free when unused */
	struct grave grave;
	uint32_t n_conns, n_idle;
	uint32_t streams_at_first; /* HTTP/2: until a new connection says how many it takes */
	char text[];
};

/* ---- connections ---- */

enum conn_state {
	CONN_RESOLVING,
	CONN_CONNECTING,
	CONN_TUNNELING,
	CONN_SECURING,
	CONN_BUSY,
	CONN_IDLE,
	CONN_SHARED, /* HTTP/2: any number of calls, see h2_client.c */
	CONN_DEAD,
	CONN_STATES,
};

struct client_conn {
	struct list_node node; /* of the origin */
	struct list_node idle; /* of the client, the latest used last */
	struct client_origin *origin;
	struct loop *loop;
	struct stream *stream;
	struct http_call *call; /* until idle or dead */
	struct dns_query *query;
	struct dns_answer *addrs; /* until connected */
	size_t next_addr;
	uint64_t connect_by_ms;
	uint64_t idle_since_ms;
	struct timer timer; /* connecting, or idle */
	struct grave grave;
	struct http_client *client;
	struct h2 *h2;	     /* SHARED */
	uint64_t seen_bytes; /* SHARED: had come at the last look */
	enum err why;	     /* SHARED: what ended it */
	uint32_t keep_ms;    /* how long the peer lets it idle; 0 = did not say */
	uint8_t state;	     /* enum conn_state */
	bool reused;	     /* carried a call before this one */
	bool got_bytes;	     /* of the answer to this call */
	bool made_room;	     /* closed another to have a descriptor */
	uint32_t given_up;   /* SHARED: streams that were reset */
	bool pinged;	     /* SHARED: an answer to a PING is due */
	bool retired;	     /* SHARED: takes no more calls */
	bool alone; /* SHARED: its call has a head that may end it; for no other until then */
};

/* ---- calls ---- */

enum call_state { CALL_WAITING, CALL_CONNECTING, CALL_HEAD, CALL_BODY, CALL_DONE, CALL_STATES };

struct http_call {
	struct list_node node; /* client->calls or client->free_calls */
	struct list_node wait; /* origin->waiting */
	struct http_client *client;
	struct client_origin *origin;
	struct client_conn *conn;
	struct h2_stream *h2; /* instead of a connection of its own */
	uint64_t heard_bytes; /* on that connection before it was sent */
	const struct http_call_handler *handler;
	void *user;
	struct arena arena;
	struct timer timer;   /* to the head; then silence in the body */
	struct later failing; /* a failure found before http_call_start returned */
	struct grave grave;
	/* the request */
	struct buf head;
	struct h2_nvs *h2_head; /* instead of `head` */
	size_t h2_head_bytes;	/* as the peer counts them (RFC 9113 6.5.2) */
	struct h2_nvs *h2_trailers;
	struct buf early;			 /* streamed body, before there is a connection */
	struct str body;			 /* HTTP_CALL_MEM */
	const struct http_headers *mem_trailers; /* behind it; NULL = none */
	uint64_t length;			 /* FILE: all; LENGTH: still to be written */
	int fd;					 /* FILE, until queued */
	const struct addr *speaks_for;		 /* to a server of this process */
	enum http_method method;
	enum http_call_body body_kind;
	uint32_t answer_timeout_ms;
	uint32_t idle_timeout_ms;
	uint32_t connect_timeout_ms;
	uint32_t write_timeout_ms;
	/* the answer */
	struct h1_scan scan;
	struct h1_chunked chunked;
	struct http_response response;
	const struct http_headers *trailers;
	struct buf rest; /* HTTP/2: not yet wanted when the stream ended */
	struct later rest_due;
	uint64_t left; /* HTTP_BODY_LENGTH */
	uint8_t informational;
	uint8_t state;	   /* enum call_state */
	uint8_t fail_with; /* enum err, for `failing` */
	bool close;
	bool upgrade;
	bool starting; /* http_call_start has not returned: no callbacks yet */
	bool retried;
	bool refused;
	bool unsecured;	  /* TLS was not agreed on */
	bool too_large;	  /* HTTP/2: its head, for this peer */
	bool crowded_out; /* HTTP/2: its body, by another one */
	bool sent;	  /* at least once */
	bool body_given;  /* the whole request body is with the stream */
	bool paused;
	bool whole; /* HTTP/2: the answer is complete in `rest`, its stream is over */
};

#define CLIENT_RECENT_ORIGINS 32

struct http_client {
	struct loop *loop;
	struct http_client_options options;
	struct http_proxy_env *proxies; /* NULL = never through one */
	struct tls_client *tls;		/* for calls that bring none; made for the first of them */
	struct tls_client *tls_h2;	/* likewise, for HTTP/2 */
	struct map origins;
	struct client_origin *recent[CLIENT_RECENT_ORIGINS]; /* by what is cheap to look at */
	struct list calls;
	struct list free_calls;
	struct list idle; /* connections of all origins, the oldest first */
	unsigned n_free_calls;
	unsigned refs; /* the owner, and objects not yet out of their graves */
	bool closed;
	struct grave grave;
	struct http_client_stats stats;
};

/* Of the options, or one that trusts the system's CAs. */
struct tls_client *http_client_default_tls(struct http_client *c, enum http_call_version v);
void http_client_ref(struct http_client *c);
void http_client_unref(struct http_client *c);

/* client_pool.c */
struct client_origin *client_origin_get(struct http_client *c, const struct client_route *r);
/* Later in this turn: serves who waits, or frees the origin when nobody uses it. */
void client_origin_kick(struct client_origin *o);
/* Closes its connections and frees it. No calls are left. */
void client_origin_free(struct client_origin *o);
/* Gives a call a connection, new or kept, or lets it wait for one. */
void client_pool_dispatch(struct http_call *c);
/* Closes the connection over the network that has been idle longest; false = there is none. */
bool client_pool_make_room(struct http_client *c);
/* The call on it is over; keeps or closes it. */
void client_pool_release(struct client_conn *k, bool reusable);

/* client_conn.c */
void client_conn_enter(struct client_conn *k, enum conn_state to);
void client_conn_open(struct client_origin *o, struct http_call *c);
/* At once; accepts one that is dead. */
void client_conn_close(struct client_conn *k);
/* Takes the stream out of a busy connection, which ends. */
struct stream *client_conn_take_stream(struct client_conn *k);
void client_conn_uncount_idle(struct client_conn *k);
/* Waits idle for at most `ms`. */
void client_conn_idle(struct client_conn *k, uint32_t ms);

/* client_call.c */
void http_call_enter(struct http_call *c, enum call_state to);
/* Its connection can carry it now: sends the request. */
void http_call_send(struct http_call *c);
/* Ends it with on_fail; closes its connection. */
void http_call_fail(struct http_call *c, enum err why);
/* Ends it with on_end; its connection may be kept. */
void http_call_complete(struct http_call *c);
/* Ends it without a callback; connection and waiting place must be gone. */
void http_call_bury(struct http_call *c);
/* Its connection ended before the answer did. `unanswered`: kept, and died without a byte. */
void http_call_on_gone(struct http_call *c, enum err why, bool unanswered);
bool http_call_is_replayable(const struct http_call *c);
void http_call_free(struct http_call *c);

/* client_recv.c */
/* As stream_handler.on_data. */
size_t http_call_on_data(struct http_call *c, char *p, size_t n);
/* Body bytes that came, to the handler. */
void http_call_give(struct http_call *c, struct str data);
/* The head in c->response is complete: BODY, timers, the handler. */
void http_call_hand_over_head(struct http_call *c);
/* The peer says that it has not looked at the request. */
void http_call_on_refused(struct http_call *c);
/* As much of the request as there is was handed on. */
void http_call_was_given(struct http_call *c);
