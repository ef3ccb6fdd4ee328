/*
 * backlog - invocations that the server may not have got, oldest first
 *
 * One ring of bytes, no allocation for each entry. There is one for each connection
 * (sent, arrival not confirmed) and one for the connector (not sent yet). When it is
 * full, the oldest entry is forgotten.
 */
#pragma once
#include "base/buf.h"

struct backlog {
	struct buf bytes;
	size_t n;
	size_t max;	  /* entries */
	size_t max_bytes; /* of text */
	uint64_t forgotten;
};

struct backlog_entry {
	uint64_t seq;
	uint64_t expires_ms; /* monotonic */
	struct str text;     /* valid until the backlog changes */
};

void backlog_init(struct backlog *b, size_t max, size_t max_bytes);
void backlog_fini(struct backlog *b);
/* Copies the text, which must not be part of this backlog. */
void backlog_put(struct backlog *b, const struct backlog_entry *e);
/* False when empty. */
bool backlog_first(const struct backlog *b, struct backlog_entry *out);
void backlog_drop_first(struct backlog *b);
/* Drops all up to that number; numbers grow from entry to entry. */
void backlog_confirm(struct backlog *b, uint64_t seq);
/* The entry that this record was made of counts as expired. */
void backlog_expire(struct backlog *b, struct str record);
/* Moves everything to the end of `to`. */
void backlog_move(struct backlog *from, struct backlog *to);
