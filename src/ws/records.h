/*
 * records - a byte sequence cut into records that each end in byte 0x1E
 *
 * The framing of the SignalR hub protocol. Messages and polls cut the sequence
 * anywhere: one may hold several records, and a record may span several. Only a
 * record that is not complete when its input ends is copied.
 *
 * Limits   a record of more than `max` bytes: ERR_LIMIT, the conversation is over.
 * Threads  one owner.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define RECORDS_END '\x1e'

struct records {
	struct buf part;  /* start of a record whose end has not come */
	struct str input; /* not looked at yet */
	bool shown;	  /* `part` was handed out and goes with the next call */
	size_t max;
};

void records_init(struct records *r, size_t max);
/* Forgets what came; ready for another sequence. */
void records_reset(struct records *r);
void records_fini(struct records *r);
/* `data` stays valid until records_next said ERR_AGAIN. */
void records_feed(struct records *r, struct str data);
/* A record without its end byte, valid until the next call; ERR_AGAIN when input is used up. */
enum err records_next(struct records *r, struct str *out) MUST_USE;
/*
 * How much of `s`, which is whole records, to send at once: those that fit into `max` bytes
 * together, the first in any case.
 */
size_t records_fit(struct str s, size_t max);
