/*
 * h2_floods - what a peer of HTTP/2 may do for nothing, before it hears ENHANCE_YOUR_CALM
 *
 * CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27316, CVE-2025-8671: each connection has a
 * credit. What a client may do for nothing costs it: a reset, of either side, soon after the
 * request; a frame that carries no request and no body. Time refills it, and so does what clients
 * come for: requests answered, bodies sent and received. Who has used it up is cut off. Windows may
 * be given back as often as a client reads, but not by crumbs, and no more than it was sent.
 *
 * A header block has its limits in bytes, fields and (in nghttp2) CONTINUATION frames. Those that
 * nghttp2 decodes, for its HPACK table, and tells nobody of have none of these, and it announces
 * neither their CONTINUATION frames nor DATA that it ignores. So frames are counted before it sees
 * them, and such blocks have an allowance of their own, in bytes, which only time refills.
 *
 * A connection to a service is shared by many clients. What a single one of them can bring about
 * there, by giving up or by what it asks for, does not cost the connection; only what the service
 * does by itself.
 *
 * Threads  those of the session: its loop.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct h2;
struct h2_stream;

enum { H2_COST_RESET = 2, H2_COST_SETTINGS = 3, H2_COST_CONTROL = 1, H2_COST_EMPTY = 1 };

struct h2_budget {
	int32_t credit;
	uint64_t at_ms;
};

/* What was sent of bodies and whose windows were not given back, in bytes. */
struct h2_owed {
	uint64_t connection;
	uint64_t streams; /* all together, also those that are over */
};

/* Where in a frame (RFC 9113 4.1) the input is, and what nobody has taken of a header block. */
struct h2_input {
	uint32_t before; /* bytes of the preface to come */
	uint8_t head[9];
	uint8_t n_head;
	uint32_t left;	  /* of the payload */
	uint32_t untaken; /* bytes of the block that nobody has taken yet */
	uint32_t silence; /* of these, behind the last field that somebody took */
	struct h2_budget allowance;
};

void h2_floods_init(struct h2 *h);

/* Costs `n` of the budget; false: it is used up and the session will end. */
bool h2_charge(struct h2 *h, int32_t n);
/* Useful work was done. */
void h2_earn(struct h2 *h, int32_t n);
/* Of either side; `s` may be NULL. */
void h2_charge_reset(struct h2 *h, const struct h2_stream *s);
/* By a WINDOW_UPDATE; `n` bytes, 0 = we do not hear how much, as the stream is over. */
void h2_given_back(struct h2 *h, int32_t id, uint64_t n);

/*
 * Server. Before nghttp2 reads: how many of the next `n` bytes it may, which are of one frame. The
 * session may end for it.
 */
size_t h2_input_next(struct h2 *h, const char *p, size_t n);
/* It has read them. */
void h2_input_read(struct h2 *h);
/* Meanwhile somebody took a field; a whole block. */
void h2_input_field(struct h2 *h);
void h2_input_block(struct h2 *h);
