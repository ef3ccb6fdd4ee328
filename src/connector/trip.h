/*
 * trip - one request on its way to a target, and the response on its way back
 *
 *   trip.c          from its record to its end
 *   trip_ask.c      whether it is still wanted, when it had to wait
 *   trip_body.c     its body, where that is to be fetched
 *   trip_web.c, trip_builtin.c      the targets
 *   trip_reply.c    its response: gathered or uploaded, then delivered
 *
 * Life     owned by the connector. Anything that is called may end it: it is buried then, so
 *          look at its state afterwards.
 */
#pragma once
#include "connector/grant.h"
#include "connector/target.h"
#include "connector/wire.h"

struct connector;
struct link;
struct trip;
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
	int64_t length;		   /* -1 = not known */
	uint64_t n;		   /* bytes so far */
	struct buf data;	   /* gathered; of an upload: what can still be sent again */
	bool can_replay;	   /* `data` is all of it */
	struct timer timer;	   /* while it is gathered or discarded */
	struct list_node overtime; /* c->overtime */
	struct grant_wait grant;
	struct http_call *call; /* the upload; before the start or while it is gathered: one that
				   asks */
};

struct trip {
	struct connector *c;
	struct list_node node; /* c->running, c->waiting or c->spare */
	struct grave grave;
	enum trip_state state;
	struct arena arena;
	struct link *link;
	unsigned link_n_opened; /* which of its connections */
	struct target_set *targets;
	const struct target *target;
	const struct trip_ops *ops;
	struct wire_request q;
	struct http_headers headers; /* for the target */
	bool is_outsourced;
	bool reached_target; /* which may acknowledge it */
	bool acknowledged;
	bool is_known; /* in c->known */
	uint64_t expires_ms;
	uint64_t wanted_ms;    /* when its request lived, as far as we know */
	int64_t start_wall_ms; /* tracing */
	uint64_t start_ns;
	struct buf body; /* inline */
	/* trip_body.c */
	struct grant_wait fetch_grant;
	struct http_call *fetch;
	struct timer fetch_timer; /* between two fetches */
	uint64_t fetched;
	bool fetch_retried;
	bool fetch_begun;  /* the server has begun to give it */
	bool is_unfetched; /* and will not be */
	unsigned fetch_pauses;
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
/* Its turn has come, and it is wanted. */
void trip_start(struct trip *e);
/* Gives up whatever it does; the response is `status`, made by us. */
void trip_fail(struct trip *e, int status);
/* Everything is done; what still runs for it is given up. */
void trip_end(struct trip *e);
/* Without a response. */
void trip_cancel(struct trip *e);
void trip_free(struct trip *e);
void trip_acknowledge(struct trip *e);
/* By the server, to whomever, since the connection that brought it was lost. */
bool trip_is_sent_again(const struct trip *e);
/* For transfers to and from the server. */
struct http_call_spec trip_server_call(struct trip *e, const struct uri *base, struct str suffix,
				       struct str authorization, struct http_header *headers);

extern const struct trip_ops trip_web_ops, trip_ping_ops, trip_echo_ops;

/* trip_ask.c */
bool trip_is_doubtful(const struct trip *e);
/* Starts it, if it is running by then, or ends it. Of no consequence while that is asked. */
void trip_ask(struct trip *e);

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
/* As if there had been no answer. */
void trip_reply_reset(struct trip *e);
void trip_reply_failure(struct trip *e, int status);
/* Ends the oldest of those trips that are only continued while there is room. */
void trip_reply_make_place(struct connector *c);
