/*
 * h2_int - HTTP/2 over nghttp2: what server and client share
 *
 * Who holds whom: a struct h2 is one connection's session; it borrows the byte
 * stream and has a h2_stream for each HTTP/2 stream. That and its message (an exchange,
 * or a call) point at each other while both live; a complete answer lets go of its
 * exchange, and the h2_stream sends the rest alone.
 *
 *   h2_conn.c    session: bytes in and out, streams
 *   h2_floods.c  its budget against floods
 *   h2_body.c    body bytes of a stream, both ways, and their flow control
 *   h2_fields.c  header blocks to and from struct http_request and http_response
 *   h2_server.c  exchanges on streams, limits, drain
 *   h2_client.c  calls on streams of a shared connection
 *
 * nghttp2 must not be entered again from its own callbacks: whatever a role asks for
 * is queued, and h2_pump sends it at the end of the turn. Sessions and streams are
 * buried, so callbacks may end anything; `dead` and `closed` say what is over.
 */
#pragma once
#include "base/arena.h"
#include "base/blocks.h"
#include "http/h1.h"
#include "http/h2_floods.h"
#include "http/message.h"
#include "loop/loop.h"
#include "net/stream.h"

struct exchange;
struct http_call;
struct h2;
struct h2_stream;
struct nghttp2_session;
struct h2_nvs;
struct h2_fields;

/* What a peer may send ahead while nobody takes it: on a stream, on all of a connection. */
#define H2_STREAM_WINDOW (256 << 10)
#define H2_CONN_WINDOW (1 << 20)
/* Above this, every stream of the connection is told to wait. */
#define H2_OUT_HIGH_WATER ((size_t)1 << 20)
#define H2_SAID 64

/* What was said last of the fields with a name, or with some names, by marks of the whole. */
struct h2_said {
	uint32_t marks[2]; /* the latest first */
	uint32_t misses;   /* others in a row */
};

/* RFC 9113 7, those that we use. */
enum h2_code {
	H2_NO_ERROR = 0,
	H2_PROTOCOL_ERROR = 1,
	H2_INTERNAL_ERROR = 2,
	H2_REFUSED_STREAM = 7,
	H2_CANCEL = 8,
	H2_ENHANCE_YOUR_CALM = 11,
	H2_HTTP_1_1_REQUIRED = 13,
};

/* Called from within nghttp2, except on_drained, on_data and on_end after a pause, and on_over. */
struct h2_events {
	/* The peer opened a stream: give it an arena. */
	void (*on_open)(struct h2_stream *s);
	/* A header block that is not trailers is complete; `end`: no body follows. */
	void (*on_head)(struct h2_stream *s, bool end);
	void (*on_trailers)(struct h2_stream *s, const struct http_headers *trailers);
	void (*on_data)(struct h2_stream *s, struct str data);
	void (*on_end)(struct h2_stream *s);
	void (*on_drained)(struct h2_stream *s);
	/* The peer took nothing for write_timeout_ms. */
	void (*on_stuck)(struct h2_stream *s);
	/* Over in both directions, or reset by either side with `code`. Last of the stream. */
	void (*on_closed)(struct h2_stream *s, uint32_t code);
	/* No stream is left. */
	void (*on_quiet)(struct h2 *h);
	/* SETTINGS, GOAWAY or the answer to our PING came; the latter with `pong`. May be NULL. */
	void (*on_control)(struct h2 *h, bool pong);
	/* Everything said, or the session broke: close the connection. */
	void (*on_over)(struct h2 *h);
};

struct h2 {
	/* constant */
	struct nghttp2_session *session;
	const struct h2_events *events;
	void *owner; /* struct conn or client_conn */
	struct loop *loop;
	struct stream *stream;
	struct h1_limits limits;
	uint32_t write_timeout_ms;
	bool is_server;
	/* owning loop only */
	struct list streams;
	uint32_t n_streams;
	size_t out_bytes;	  /* bodies not yet given to the connection */
	struct later pump, again; /* the second goes on reading in the next turn */
	struct grave grave;
	struct h2_budget budget;
	struct h2_owed owed;
	struct h2_input input;
	unsigned heads;		      /* in this turn */
	int32_t last_opened;	      /* server: the id of the newest stream */
	struct h2_said said[H2_SAID]; /* see h2_conn.c */
	uint32_t kill;		      /* enum h2_code: end the session with it */
	int32_t window_max;	      /* of the connection, that the peer ever gave for bodies */
	int32_t goaway_last;  /* the peer will not process streams above; -1 = it did not say */
	uint32_t goaway_code; /* why */
	bool dead, got_settings, draining;
	bool drain_final; /* server: the last GOAWAY is out */
};

struct h2_stream {
	struct list_node node;
	struct h2 *h2;
	int32_t id;
	uint64_t born_ms;
	struct exchange *x;	/* server, until answered */
	struct http_call *call; /* client */
	struct arena *arena;	/* of the message; NULL: it is over */
	struct h2_fields *fields;
	/* input */
	size_t discarded; /* of the body, after the answer */
	struct buf in;	  /* came while nobody wanted it; its window is not given back */
	struct timer in_timer;
	/* output */
	struct buf out;		    /* first these ... */
	struct str mem;		    /* ... then this memory */
	void (*release)(void *arg); /* when mem is sent or dropped */
	void *arg;
	int fd; /* ... or this file; -1 = none */
	int64_t offset;
	uint64_t file_left;
	struct timer out_timer;
	uint64_t write_by_ms; /* of struct stream */
	struct later work;
	struct grave grave;
	struct blocks *from;
	struct h2_nvs *head;	 /* to be sent, see h2_server.c */
	struct h2_nvs *head_out; /* nghttp2 looks at it until it is sent */
	struct h2_nvs *trailers; /* to be sent behind the body */
	bool head_done : 1;	 /* its first final header block has come */
	bool wanted : 1;	 /* the owner asked for the body */
	bool paused : 1;
	bool ended_in : 1; /* END_STREAM came */
	bool told_end : 1;
	bool finished : 1;  /* the output is complete */
	bool cut : 1;	    /* it never will be */
	bool lingering : 1; /* and sent, but the request goes on */
	bool deferred : 1;  /* nghttp2 waits for more output */
	bool was_high : 1;
	bool tell_drained : 1;
	bool closed : 1;
	bool reused : 1;  /* client: not the first on its connection */
	bool refused : 1; /* client: the answer; it is we who reset it */
};

/* ---- h2_conn.c ---- */

struct h2_options {
	const struct h2_events *events;
	void *owner;
	struct loop *loop;
	struct stream *stream;
	struct h1_limits limits;
	uint32_t write_timeout_ms;
	bool is_server;
	uint32_t streams_max; /* that the peer may open */
};

/* Queues the SETTINGS. The stream's handler is the caller's to set, and calls these two. */
struct h2 *h2_new(const struct h2_options *o);
/* Forgets all streams (each hears on_closed with H2_CANCEL) and buries itself. NULL-safe. */
void h2_free(struct h2 **h);
size_t h2_on_data(struct h2 *h, char *p, size_t n);
void h2_on_drained(struct h2 *h);
/* Shows what the byte stream holds, after a change of its handler. */
void h2_read_later(struct h2 *h);
/* At the end of the turn. */
void h2_send_later(struct h2 *h);
/* GOAWAY with this code, then on_over when it is out. */
void h2_end(struct h2 *h, enum h2_code code);
void h2_goaway_notice(struct h2 *h);
/* No streams but those that have begun. */
void h2_goaway(struct h2 *h);
void h2_ping(struct h2 *h);
/* Client; `at_first` streams, until the peer has said how many. */
bool h2_may_open(const struct h2 *h, uint32_t at_first);
uint32_t h2_streams_max(const struct h2 *h);
uint32_t h2_head_max(const struct h2 *h);  /* what the peer takes; UINT32_MAX = it did not say */
bool h2_has_body_room(const struct h2 *h); /* of the connection's window, for another one */
/* Its body cannot go on as a single other one has most of the connection's window. */
bool h2_is_crowded_out(const struct h2_stream *s);

/* A stream of our own: sends the request. NULL when the session takes no more. */
struct h2_stream *h2_open(struct h2 *h, struct h2_nvs *head, bool end);
/* Sends the final head, which it takes; `end` = without a body. False when it cannot be sent. */
bool h2_submit_head(struct h2_stream *s, struct h2_nvs *head, bool end);
/* A 1xx head. */
void h2_submit_informational(struct h2_stream *s, int status);
void h2_reset(struct h2_stream *s, enum h2_code code);

/* ---- h2_body.c ---- */

struct h2_stream *h2_stream_new(struct h2 *h, int32_t id);
/* Unlinks, drops what it holds and buries. */
void h2_stream_free(struct h2_stream *s);
/* Does later in this turn what is due: a pending head, on_drained, held input. */
void h2_stream_wake(struct h2_stream *s);
/* The message is over, the stream may live on: drops its input. */
void h2_stream_detach(struct h2_stream *s);
/* A head or a piece of the body is sent: resets a stream that was cut behind it. */
void h2_stream_sent(struct h2_stream *s);
/*
 * Nothing of ours is left to send. Of a request that was answered before it was complete a little
 * more is taken, then the stream is reset (8.1).
 */
void h2_stream_sent_end(struct h2_stream *s);
/* Resets it behind what is queued. */
void h2_stream_cut(struct h2_stream *s);
void h2_stream_drop_output(struct h2_stream *s);
/* Bytes that came from the peer; END_STREAM. Within nghttp2. */
void h2_stream_input(struct h2_stream *s, struct str data);
void h2_stream_input_end(struct h2_stream *s);
/* The owner wants the body now, or again: what is held comes later in this turn. */
void h2_stream_resume(struct h2_stream *s);
void h2_stream_pause(struct h2_stream *s);

void h2_stream_write(struct h2_stream *s, struct str data);
void h2_stream_write_mem(struct h2_stream *s, struct str data, void (*release)(void *arg),
			 void *arg);
void h2_stream_write_file(struct h2_stream *s, int fd, uint64_t n, void (*release)(void *arg),
			  void *arg);
/* Takes `trailers` (may be NULL). */
void h2_stream_finish(struct h2_stream *s, struct h2_nvs *trailers);
/* Not yet given to the connection; at least STREAM_HIGH_WATER while it should wait. */
size_t h2_stream_pending(const struct h2_stream *s);
