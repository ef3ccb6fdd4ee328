/*
 * wire - the connector's side of the hub protocol: records read and written
 *
 * SignalR hub protocol, JSON version 1, with the methods of RelayServer. Pure
 * functions: bytes in, structs out and back.
 *
 * Invocations are written without their end, so that the same text can be kept and
 * sent again on another connection: wire_write_end closes it, with or without the
 * wish to hear that it arrived.
 */
#pragma once
#include "base/guid.h"
#include "base/json.h"
#include "http/message.h"

enum wire_ack_mode {
	WIRE_ACK_DISABLED,
	WIRE_ACK_RECEIVED,
	WIRE_ACK_FINISHED,
	WIRE_ACK_MANUAL,
};

/* What a client asked for. Strings point into the record and the arena. */
struct wire_request {
	struct guid id;
	struct guid origin_id;
	struct guid ack_origin_id; /* all zero = none */
	int64_t ack_mode;	   /* enum wire_ack_mode; others count as disabled */
	struct str target;
	struct str method;
	struct str url;
	const struct json *headers; /* object or NULL */
	int64_t original_body_size;
	int64_t body_size;
	struct str body; /* base64; p NULL = none, or outsourced when body_size > 0 */
	bool trace;
	bool discard;
};

struct wire_configure {
	struct opt_i64 keep_alive_ms;
	struct opt_bool trace;
	struct opt_i64 reconnect_min_ms;
	struct opt_i64 reconnect_max_ms;
};

enum wire_kind {
	WIRE_REQUEST,
	WIRE_CONFIGURE,
	WIRE_COMPLETION,
	WIRE_PING,
	WIRE_CLOSE,
	WIRE_OTHER,   /* well formed, of no interest */
	WIRE_INVALID, /* an invocation that we know, with arguments that we cannot read */
};

struct wire_record {
	enum wire_kind kind;
	struct wire_request request;
	struct wire_configure configure;
	uint64_t invocation_id; /* COMPLETION; 0 = none of ours */
	struct str error;	/* COMPLETION, CLOSE; p NULL = none */
	bool allow_reconnect;	/* CLOSE */
};

/* One record without its end byte. ERR_PROTO: no JSON object with a type. */
enum err wire_parse(struct arena *a, struct str text, struct wire_record *out) MUST_USE;
/* The answer to the handshake; `*out_error` p NULL = accepted. */
enum err wire_parse_handshake(struct arena *a, struct str text, struct str *out_error) MUST_USE;

/*
 * The headers for the target: hop-by-hop, framing and Host are left out. ERR_INVALID
 * when one could not stand in an HTTP message, ERR_LIMIT when there are too many.
 */
#define WIRE_HEADERS_MAX 200
enum err wire_read_headers(struct arena *a, const struct json *tree,
			   struct http_headers *out) MUST_USE;

struct wire_response {
	struct guid id;
	struct guid origin_id;
	int status;
	const struct http_headers *headers; /* hop-by-hop ones are gone; NULL = none */
	uint64_t body_size;
	struct str body; /* inline; p NULL = none or uploaded */
	bool failed;	 /* made by the connector */
	bool timed;	 /* the two below */
	int64_t start_wall_ms;
	int64_t duration_ms;
};

void wire_write_handshake(struct buf *out);
void wire_write_ping(struct buf *out);
void wire_write_close(struct buf *out);
void wire_write_deliver(struct buf *out, const struct wire_response *r);
void wire_write_acknowledge(struct buf *out, const struct guid *origin_id, const struct guid *id,
			    bool remove_body);
void wire_write_leave(struct buf *out);
/* `invocation_id` 0: no answer is wanted. */
void wire_write_end(struct buf *out, uint64_t invocation_id);
