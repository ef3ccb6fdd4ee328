/*
 * h1 - HTTP/1.1 messages: strict parsing and writing (RFC 9112), no I/O
 *
 * Parsing a head is resumable at any byte: call again with a longer input that
 * starts at the same place. Every line must end in CR LF; anything that peers
 * have been seen to disagree about is refused, never guessed:
 *   Content-Length with Transfer-Encoding, more than one of either, either spelt
 *   with '_'; a length that is not plain digits or has a leading zero;
 *   Transfer-Encoding other than exactly "chunked", or in HTTP/1.0; blank before
 *   the colon or at the start of a line (obs-fold), an empty or invalid name, bare
 *   CR or LF, NUL and other controls; a missing, repeated or invalid Host; an
 *   absolute-form target whose authority differs from Host; bytes outside visible
 *   ASCII or a '#' in the target; another version. docs/internals/http.md says why.
 * Tolerated: one empty line (CR LF) before a request line (RFC 9112 2.2); no Host in
 * HTTP/1.0 (`authority` is STR_NULL then, unless the target has one); a status line
 * that ends after its code.
 *
 * Threads  pure functions.
 */
#pragma once
#include "http/message.h"

struct h1_limits {
	size_t line_bytes; /* request or status line, and each header line */
	size_t head_bytes; /* the whole head */
	size_t headers;	   /* header lines */
};

/* Of requests: 8 KiB line, 64 KiB head, 100 headers. */
extern const struct h1_limits h1_limits_default;
/*
 * Of answers, which may repeat a request in longer lines (Location) and with more of them: a line
 * as long as the head, 200 headers.
 */
extern const struct h1_limits h1_limits_answer;
/* Twice that: between roles of a process, where what is told of a client comes on top. */
extern const struct h1_limits h1_limits_in_process;

/* Zero before the first byte of each message. */
struct h1_scan {
	size_t at;    /* bytes already looked at */
	size_t line;  /* start of the current line */
	size_t lines; /* complete lines seen */
	size_t head;  /* length of the head with its final empty line, once it is whole */
};

/*
 * ERR_OK: `out` is filled (strings point into `in`, the header array is in the
 * arena) and `scan->head` is set.
 * ERR_AGAIN: more bytes are needed. Otherwise `*out_status` is the answer the
 * client gets before the connection closes: 400, 414, 431, 501 or 505.
 */
enum err h1_parse_request(struct arena *a, struct str in, const struct h1_limits *limits,
			  struct h1_scan *scan, struct http_request *out, int *out_status) MUST_USE;

/* `method` is that of the request: HEAD has no body. 1xx heads are returned like others. */
enum err h1_parse_response(struct arena *a, struct str in, const struct h1_limits *limits,
			   enum http_method method, struct h1_scan *scan,
			   struct http_response *out) MUST_USE;

/*
 * Chunked coding. Extensions are checked for their characters and dropped, at
 * most 256 bytes a chunk and 16 KiB a message (a flood of them has been an attack).
 * Trailers are checked like headers and limited to H1_TRAILER_BYTES_MAX and H1_TRAILERS_MAX;
 * framing names in them are refused. They are dropped unless there is an arena to keep them in.
 */
struct h1_chunked {
	int state; /* private, see h1_chunked.c */
	uint64_t left;
	uint32_t line_n; /* bytes of the current size line or trailer */
	uint32_t ext_n;	 /* bytes of extensions in all chunks */
	uint32_t trailer_n;
	uint32_t name_n;  /* trailer: length of the name kept below */
	uint32_t line_at; /* trailers kept: where in `text` this one begins */
	char name[24];
	bool done;
	struct arena *keep; /* set before the first byte; NULL = trailers are dropped */
	char *text;
	struct http_headers trailers; /* complete once done */
};

#define H1_TRAILER_BYTES_MAX 8192
#define H1_TRAILERS_MAX 100
#define H1_PIECE_MOVED_BELOW 1024

/*
 * Decodes from the front of `in`: `*out_used` bytes are done with, `*out_data`
 * is body inside them (may be empty). Call until `used` is 0 or d->done. ERR_PROTO
 * on anything malformed, once what came before it was handed over.
 *
 * Writes to `in`, inside of those bytes: a piece that is shorter than
 * H1_PIECE_MOVED_BELOW is moved up to the one before it, so that chunks of a byte
 * each do not cost their reader a call each.
 */
enum err h1_chunked_next(struct h1_chunked *d, struct str in, size_t *out_used,
			 struct str *out_data) MUST_USE;

/*
 * Writers append to a buf. Names and values must have been checked
 * (http_is_token, http_is_field_value): they assert.
 */
/* ERR_INVALID, and nothing is written: not a token, or no target. */
enum err h1_write_request_line(struct buf *out, struct str method, struct str target) MUST_USE;
void h1_write_status_line(struct buf *out, int status);
void h1_write_header(struct buf *out, struct str name, struct str value);
/*
 * Many at once, for heads made of what a peer sent and a role changed: room is taken and
 * controls are looked for once. A line with a control in it is left out.
 */
void h1_write_headers(struct buf *out, const struct http_header *v, size_t n);
void h1_write_header_u64(struct buf *out, struct str name, uint64_t value);
/* The empty line. */
void h1_write_end(struct buf *out);
/* "1a2b\r\n"; the data and "\r\n" follow. */
void h1_write_chunk_head(struct buf *out, size_t n);
