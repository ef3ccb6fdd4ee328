/*
 * connector_int - what the files of the connector share
 *
 *   connector.c      start, discovery, end; what is not delivered
 *   grant.c          the access token
 *   link.c           one connection to the server, over any transport
 *   link_ws.c, link_sse.c, link_poll.c, link_post.c   the transports
 *   trip.c         one request, from its record to its end
 *   trip_body.c    its body, where that is to be fetched
 *   trip_web.c, trip_builtin.c                    the targets
 *   trip_reply.c   its response: gathered or uploaded, then delivered
 *
 * Who holds whom: the connector has its links and all trips. A trip remembers
 * the link that brought it, as a preference only: links live as long as the connector.
 */
#pragma once
#include "base/arena.h"
#include "connector/backlog.h"
#include "connector/connector.h"
#include "connector/endpoints.h"
#include "connector/reconnect.h"
#include "connector/wire.h"
#include "http/client.h"
#include "ws/records.h"
#include "ws/session.h"

#define CONNECTOR_VERSION "3.1.0+posthouse." POSTHOUSE_VERSION
#define CONNECTOR_AGENT "Posthouse-Connector/" POSTHOUSE_VERSION

/* ---- the token (grant.c) ---- */

struct grant_wait;
/* `authorization` is empty where the server wants none; valid during the call. */
typedef void grant_fn(struct grant_wait *w, enum err e, struct str authorization);

/* Embedded in who asks; zero is idle. */
struct grant_wait {
	struct list_node node;
	grant_fn *fn;
};

struct grant {
	struct connector *c;
	struct list waiting;
	struct http_fetch *fetch;
	struct arena arena; /* of the token */
	struct str authorization;
	uint64_t good_until_ms; /* monotonic; 0 = none */
};

void grant_init(struct grant *g, struct connector *c);
void grant_fini(struct grant *g);
/* Calls `fn` once: at once when there is a good token. */
void grant_get(struct grant *g, struct grant_wait *w, grant_fn *fn);
void grant_cancel(struct grant_wait *w);
/* The server refused the token that it was given last. */
void grant_refuse(struct grant *g);

/* ---- connections (link.c) ---- */

/*
 *	IDLE -> GRANT -> NEGOTIATE -> OPENING -> HANDSHAKE -> OPEN -> IDLE …
 *
 * Each step may fail: back to IDLE, with the timer set for the next try. OPENING goes
 * back to GRANT for the next transport. STOPPED is the end.
 */
enum link_state {
	LINK_IDLE,
	LINK_GRANT,
	LINK_NEGOTIATE,
	LINK_OPENING,
	LINK_HANDSHAKE,
	LINK_OPEN,
	LINK_STOPPED,
	LINK_STATES,
};

struct trip;
struct link;

struct link_ops {
	const char *name;
	bool pings;
	/* Ends with link_opened or link_lost. */
	void (*open)(struct link *l, struct str authorization);
	/* Where to append one record; then `send`. */
	struct buf *(*begin)(struct link *l);
	void (*send)(struct link *l);
	size_t (*pending)(const struct link *l);
	/* Sends what is queued, then ends; calls nothing back. */
	void (*close)(struct link *l);
	/* At once. */
	void (*abort)(struct link *l);
};

extern const struct link_ops link_ws_ops, link_sse_ops, link_poll_ops;

/* Client-to-server half of the transports that post. */
struct link_post {
	struct http_fetch *fetch;
	struct grant_wait grant;
	struct buf next;    /* being gathered */
	struct buf sending; /* borrowed by the call */
	struct later work;
	void (*when_sent)(struct link *l); /* once all is sent; NULL = nothing */
};

struct link {
	struct connector *c;
	unsigned index;
	enum link_state state;
	struct timer timer; /* next try, a step's deadline, or the heartbeat */
	struct reconnect reconnect;
	struct arena arena; /* of one attempt */
	struct grant_wait grant;
	struct http_fetch *negotiate;
	struct negotiation negotiation;
	size_t next_transport;
	const struct link_ops *ops; /* NULL when no transport is there */
	struct str query;	    /* "id=…"; p NULL without negotiation */
	struct records records;
	/* transports */
	struct ws_connect *ws_connect;
	struct ws *ws;
	size_t ws_mark;
	struct http_call *get; /* event stream or poll */
	struct link_post post;
	struct buf event; /* event stream: a line that is not complete */
	struct buf data;  /* data lines of the current event */
	bool polled;
	/* while OPEN */
	uint64_t opened_ms;
	uint64_t heard_ms;
	uint64_t sent_ms;
	bool was_useful;
	uint64_t seq;	  /* of the last invocation */
	uint64_t awaited; /* whose completion is awaited; 0 = none */
	struct backlog sent;
	struct buf *out; /* while an invocation is built */
};

void link_init(struct link *l, struct connector *c, unsigned index);
void link_fini(struct link *l);
void link_start(struct link *l, uint64_t delay_ms);
/* Says goodbye; ends as STOPPED. */
void link_stop(struct link *l);
bool link_is_open(const struct link *l);
/* Connected, and the server reads fast enough. */
bool link_can_send(const struct link *l);
/*
 * An invocation, built in place: append its text without end to the returned buffer,
 * then link_invoke_end with the length that the buffer had. Nothing else in between.
 */
struct buf *link_invoke_begin(struct link *l);
void link_invoke_end(struct link *l, size_t start, uint64_t expires_ms);

/* From the transports. */
void link_opened(struct link *l);
void link_feed(struct link *l, struct str data);
void link_heard(struct link *l);
void link_drained(struct link *l);
/* It is gone, or could not be opened. `status`: of the answer, 0 = none. */
void link_lost(struct link *l, enum err why, int status);

/* link_post.c */
struct buf *link_post_begin(struct link *l);
void link_post_send(struct link *l);
size_t link_post_pending(const struct link *l);
void link_post_abort(struct link *l);
/*
 * A call to the connection's address. `headers` gets LINK_HEADERS; the last of them,
 * `name: value`, is left out when value.p is NULL.
 */
#define LINK_HEADERS 4
struct http_call_spec link_call(struct link *l, struct arena *a, struct str method,
				struct str authorization, struct http_header extra,
				struct http_header headers[LINK_HEADERS]);
#define LINK_TIMEOUT_MS 15000

/* ---- requests (trip.c) ---- */

enum trip_state { TRIP_WAITING, TRIP_RUNNING, TRIP_DONE };

#define TRIP_INLINE_MAX 16384

struct trip_ops {
	/* The body is in `body`, or comes in pieces when `is_outsourced`. */
	void (*start)(struct trip *e);
	void (*on_body)(struct trip *e, struct str data);
	void (*on_body_end)(struct trip *e);
	/* The response is (no longer) taken slower than it comes. */
	void (*pause)(struct trip *e);
	void (*resume)(struct trip *e);
	void (*cancel)(struct trip *e);
};

/* The response on its way to the server. */
struct trip_reply {
	bool ended;	/* the target has given all */
	bool is_upload; /* else gathered in `data` */
	bool is_paused;
	bool is_taken; /* the upload was accepted */
	bool retried;
	int status;
	struct http_headers headers;
	int64_t length;	 /* -1 = not known */
	uint64_t n;	 /* bytes so far */
	struct buf data; /* gathered; of an upload: what can still be sent again */
	bool can_replay; /* `data` is all of it */
	struct grant_wait grant;
	struct http_call *call;
};

struct trip {
	struct connector *c;
	struct list_node node; /* c->running, c->waiting or c->spare */
	struct grave grave;
	enum trip_state state;
	struct arena arena;
	struct link *link;
	struct target_set *targets;
	const struct target *target;
	const struct trip_ops *ops;
	struct wire_request q;
	struct http_headers headers; /* for the target */
	bool is_outsourced;
	bool reached_target;
	bool acknowledged;
	uint64_t expires_ms;
	int64_t start_wall_ms; /* tracing */
	uint64_t start_ns;
	struct buf body; /* inline */
	/* trip_body.c */
	struct grant_wait fetch_grant;
	struct http_call *fetch;
	uint64_t fetched;
	bool fetch_retried;
	bool fetch_done;
	/* trip_web.c */
	struct http_call *call;
	struct str method;
	struct uri uri;
	struct str path_query;
	unsigned redirects;
	uint64_t deadline_ms;
	/* trip_builtin.c: echo */
	uint64_t echo_n;
	uint64_t echo_left;
	struct later echo_work;
	/* trip_reply.c */
	struct trip_reply reply;
};

/* A trip to read a record into: its arena is empty. Then trip_take or trip_put_back. */
struct trip *trip_get(struct connector *c);
void trip_put_back(struct trip *e);
/* `q` is filled, its strings are in the arena. */
void trip_take(struct trip *e, struct link *from);
void trip_run_waiting(struct connector *c);
/* Gives up whatever it does; the response is `status`, made by us. */
void trip_fail(struct trip *e, int status);
/* Everything is done. */
void trip_end(struct trip *e);
/* Without a response. */
void trip_cancel(struct trip *e);
void trip_free(struct trip *e);
void trip_acknowledge(struct trip *e);
/* For transfers to and from the server. */
struct http_call_spec trip_server_call(struct trip *e, const struct uri *base, struct str suffix,
				       struct str authorization, struct http_header *headers);

extern const struct trip_ops trip_web_ops, trip_ping_ops, trip_echo_ops;

/* trip_body.c */
void trip_fetch(struct trip *e);
void trip_fetch_cancel(struct trip *e);
void trip_fetch_pause(struct trip *e);
void trip_fetch_resume(struct trip *e);

/* trip_reply.c; each may end the trip: look at its state afterwards. */
void trip_reply_begin(struct trip *e, int status, const struct http_headers *headers,
		      int64_t length);
void trip_reply_data(struct trip *e, struct str data);
void trip_reply_end(struct trip *e);
void trip_reply_cancel(struct trip *e);
void trip_reply_failure(struct trip *e, int status);

/* ---- the connector ---- */

struct connector {
	struct loop *loop;
	struct connect_config config;
	struct arena config_arena;
	struct connector_events events;
	struct target_set *targets;
	struct http_client *http;
	struct str machine;
	/* discovery */
	struct arena arena;
	struct endpoints at;
	bool is_found;
	bool trace; /* Configure said so */
	bool told_trouble;
	struct timer timer;
	struct http_fetch *fetch;
	struct grant grant;
	/* connections */
	struct link *links;
	unsigned n_links;
	/* requests */
	struct list running, waiting, spare;
	unsigned n_running, n_waiting, n_spare;
	struct later work;
	struct backlog backlog; /* not sent */
	struct buf scratch;
	struct link *out_link; /* while an invocation is built; NULL = into scratch */
	size_t out_start;
	bool draining;
	bool closed;
};

/*
 * An invocation on an open link, the given one if possible, or for later when there is
 * none: append its text without end to the returned buffer, then the end. Nothing else
 * in between.
 */
struct buf *connector_invoke_begin(struct connector *c, struct link *preferred);
void connector_invoke_end(struct connector *c, uint64_t expires_ms);
/* Sends what could not be sent before. */
void connector_flush(struct connector *c);
/* Keep-alive, delays and tracing that the server wishes. */
void connector_configure(struct connector *c, const struct wire_configure *w);
/* The first trouble of a series is a warning, the rest debug. */
void connector_trouble(struct connector *c, const char *what, const struct fault *f);
