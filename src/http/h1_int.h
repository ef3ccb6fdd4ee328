/*
 * h1_int - shared by the two head parsers
 *
 * h1_scan_head finds the end of a head and vouches for its bytes: every line
 * ends in CR LF and holds no other control but HTAB. h1_parse_fields may
 * therefore look for CR alone.
 */
#pragma once
#include "http/h1.h"

enum h1_lead { H1_NO_EMPTY_LINE, H1_ONE_EMPTY_LINE /* allowed before the first line */ };

/* What the header lines say about the connection and the body; still to be judged. */
struct h1_framing {
	struct str host, length, coding;
	unsigned hosts, lengths, codings; /* lines of that name */
	bool close, keep_alive, upgrade;  /* in Connection */
	bool websocket;			  /* in Upgrade */
	bool expect_continue;
	bool te_trailers;
};

/* ERR_OK, ERR_AGAIN, ERR_PROTO, ERR_LIMIT. `*out_len` counts the final empty line. */
enum err h1_scan_head(struct str in, const struct h1_limits *limits, enum h1_lead lead,
		      struct h1_scan *scan, size_t *out_len) MUST_USE;

/* The line at `at` of a scanned head, without CR LF; `*out_next` is the start of the one after. */
struct str h1_line(struct str head, size_t at, size_t *out_next);

/* Room for the lines that the scan has counted, and some that the caller may add. */
struct http_headers h1_headers_new(struct arena *a, size_t lines);

/* Header lines from `at` to the empty line, into an empty array with room for all. */
enum err h1_parse_fields(struct str head, size_t at, struct http_headers *h,
			 struct h1_framing *out) MUST_USE;

/* Plain digits, no leading zero, at most 18 of them: wider values wrap in somebody's parser. */
bool h1_parse_length(struct str s, uint64_t *out);

/* The minor version of "HTTP/1.0" or "HTTP/1.1"; -1 otherwise. */
int h1_parse_version(struct str s);
