/*
 * frame - WebSocket frames (RFC 6455 5), no I/O
 *
 * A reader turns bytes into frames. It is resumable at any byte and enforces
 * reserved bits, opcodes, control frames of at most 125 bytes and unfragmented,
 * minimal lengths, and masking as the role demands.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum ws_opcode {
	WS_CONT = 0x0,
	WS_TEXT = 0x1,
	WS_BINARY = 0x2,
	WS_CLOSE = 0x8,
	WS_PING = 0x9,
	WS_PONG = 0xa,
};

enum ws_role { WS_SERVER /* peer masks */, WS_CLIENT /* peer does not */ };

enum ws_close_code {
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_GOING_AWAY = 1001,
	WS_CLOSE_PROTOCOL = 1002,
	WS_CLOSE_UNSUPPORTED = 1003,
	WS_CLOSE_NONE = 1005,
	WS_CLOSE_ABNORMAL = 1006,
	WS_CLOSE_INVALID_DATA = 1007,
	WS_CLOSE_POLICY = 1008,
	WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_INTERNAL = 1011,
};

#define WS_HEAD_MAX 14

struct ws_frame {
	enum ws_opcode opcode;
	bool fin;
	bool masked;
	uint8_t mask[4];
	uint64_t n;	 /* payload bytes */
	size_t head_len; /* bytes before the payload */
};

/*
 * Reads one frame head from the front of `in`. ERR_AGAIN: more bytes needed;
 * ERR_PROTO: answer with close 1002. Says nothing about the payload's presence.
 */
enum err ws_frame_parse(struct str in, enum ws_role role, struct ws_frame *out) MUST_USE;
/* XORs in place; `offset` = position of p[0] within the payload. Fast for long runs. */
void ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], size_t offset);

/* Appends head and payload; a client's frame is masked with a random key. */
void ws_frame_write(struct buf *out, enum ws_role role, enum ws_opcode op, struct str payload);
/* Appends a head for `n` bytes that the caller appends next (server role only: unmasked). */
void ws_frame_write_head(struct buf *out, enum ws_opcode op, uint64_t n);
/*
 * For payloads built in place: reserves WS_HEAD_MAX bytes at the end of `out`,
 * returns a mark; ws_frame_finish writes the head right-aligned before the
 * payload appended since (and masks it for a client), closing the gap. Nothing
 * is consumed from `out` in between.
 */
size_t ws_frame_begin(struct buf *out);
void ws_frame_finish(struct buf *out, size_t mark, enum ws_role role, enum ws_opcode op);

/* Code 1000-1003, 1007-1014, 3000-4999 (RFC 6455 7.4, IANA). */
bool ws_close_code_is_valid(unsigned code);
/* base64(SHA-1(key + GUID)), RFC 6455 4.2.2; `out` gets 28 bytes, no NUL. */
void ws_accept_key(struct str key, char out[28]);
