/*
 * link - one connection to the server, over any of three transports
 *
 * link.c has its life: getting it, heartbeat, records, sending. link_ws.c, link_sse.c and
 * link_poll.c are transports; the latter two post with link_post.c.
 *
 * Life     as long as the connector; it is connected again and again.
 */
#pragma once
#include "connector/backlog.h"
#include "connector/grant.h"
#include "connector/reconnect.h"
#include "ws/records.h"
#include "ws/session.h"

struct connector;
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
	size_t max; /* what the server takes at once, as far as we know; 0 = nothing known */
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
	unsigned n_opened; /* how often */
	uint64_t opened_ms;
	uint64_t heard_ms;
	uint64_t sent_ms;
	bool was_useful;
	uint64_t seq;	  /* of the last invocation */
	uint64_t awaited; /* whose completion is awaited; 0 = none */
	uint64_t leaving; /* the invocation that said so; 0 = not said */
	bool has_left;	  /* the server answered that */
	struct backlog sent;
	struct buf *out; /* while an invocation is built */
};

void link_init(struct link *l, struct connector *c, unsigned index);
void link_fini(struct link *l);
void link_start(struct link *l, uint64_t delay_ms);
/*
 * Open: asks for no more requests, see has_left. A server of ours gives them to others; the
 * original knows no such message, says so, and goes on.
 */
void link_leave(struct link *l);
/* Says goodbye; ends as STOPPED. */
void link_stop(struct link *l);
bool link_is_open(const struct link *l);
/* Open, and was not lost since `n_opened` had that value. */
bool link_is_same(const struct link *l, unsigned n_opened);
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
/* The server does not take this record, whoever sends it. */
void link_refused(struct link *l, struct str record);
/* It is gone, or could not be opened. `status`: of the answer, 0 = none. */
void link_lost(struct link *l, enum err why, int status);

/* link_post.c */
struct buf *link_post_begin(struct link *l);
void link_post_send(struct link *l);
size_t link_post_pending(const struct link *l);
/* Ends the GET that is under way as well. */
void link_post_abort(struct link *l);
/* The GET ended: link_lost without it. */
void link_get_lost(struct link *l, enum err why, int status);
/* An on_fail of the GET. */
void link_get_failed(struct http_call *call, enum err why);
/*
 * A call to the connection's address. `headers` gets LINK_HEADERS; the last of them,
 * `name: value`, is left out when value.p is NULL.
 */
#define LINK_HEADERS 4
struct http_call_spec link_call(struct link *l, struct arena *a, struct str method,
				struct str authorization, struct http_header extra,
				struct http_header headers[LINK_HEADERS]);
#define LINK_TIMEOUT_MS 15000
