/*
 * session - one WebSocket conversation over a stream (RFC 6455)
 *
 * Server: ws_accept on an exchange answers the handshake. Client: ws_connect goes
 * through the HTTP client. Then both are the same: messages in (reassembled,
 * text checked for UTF-8, size limited), messages out, pings answered, the
 * closing handshake with a deadline of 5 s.
 *
 * Life     ends with exactly one on_close; the session frees itself after it.
 *          ws_close starts the closing handshake (on_close follows); ws_abort ends
 *          at once without on_close.
 * Threads  the loop of the stream. ws_detach / ws_attach move it between loops,
 *          outside callbacks.
 * Memory   less than 200 bytes beside its stream while no message is under way.
 */
#pragma once
#include "http/client.h"
#include "http/server.h"
#include "ws/frame.h"

struct ws;

struct ws_handler {
	/* A whole message; `data` may be changed, is valid during the call. */
	void (*on_message)(struct ws *w, enum ws_opcode type, struct str data);
	/* Bytes of any kind came: for liveness. May be NULL. */
	void (*on_alive)(struct ws *w);
	/* Sent everything after having been above STREAM_HIGH_WATER. May be NULL. */
	void (*on_drained)(struct ws *w);
	/*
	 * `code` as received (1005: without one), 1006 when the connection broke, or the one
	 * that we sent when the peer broke a rule: 1002, 1007 or 1009.
	 */
	void (*on_close)(struct ws *w, unsigned code, struct str reason);
};

struct ws_options {
	size_t message_max;	   /* bytes; beyond: close 1009 */
	uint32_t write_timeout_ms; /* of ws_accept: not for a client in this process */
};

/*
 * Answers the upgrade request of `x` with 101 (or 400/426 when it is no proper
 * handshake: then NULL is returned and the exchange is answered). Ends the exchange.
 */
struct ws *ws_accept(struct exchange *x, const struct ws_options *o, const struct ws_handler *h,
		     void *user);

/* Called once: `w` on success; else NULL with the failure and, if there was an answer, its status.
 */
typedef void ws_connect_fn(void *user, struct ws *w, enum err err, int status);
struct ws_connect;

/* All but the handler is copied. */
struct ws_connect_spec {
	struct uri uri;
	const struct http_header *headers; /* beside those of the handshake */
	size_t n_headers;
	uint32_t timeout_ms; /* of the handshake */
	struct ws_options options;
	const struct ws_handler *handler;
};

/* `user` is that of `fn` and of the session. */
struct ws_connect *ws_connect(struct http_client *c, const struct ws_connect_spec *spec,
			      ws_connect_fn *fn, void *user);
void ws_connect_cancel(struct ws_connect *c);

void ws_set_user(struct ws *w, const struct ws_handler *h, void *user);
void *ws_user(const struct ws *w);
struct loop *ws_loop(const struct ws *w);
void ws_send(struct ws *w, enum ws_opcode type, struct str data);
/* Builds a message in place: append to the returned buf, then ws_send_end. */
struct buf *ws_send_begin(struct ws *w, size_t *out_mark);
void ws_send_end(struct ws *w, size_t mark, enum ws_opcode type);
size_t ws_pending(const struct ws *w);
void ws_pause_read(struct ws *w);
void ws_resume_read(struct ws *w);
void ws_close(struct ws *w, unsigned code, struct str reason);
void ws_abort(struct ws *w);
void ws_detach(struct ws *w);
void ws_attach(struct ws *w, struct loop *l);
