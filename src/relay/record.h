/*
 * record - the framing of hub messages: JSON texts that each end in byte 0x1E
 *
 * Frames and posts cut the byte sequence anywhere: one may hold several records,
 * and a record may span several. Only a record that is not complete when its
 * frame ends is copied.
 *
 * Limits   a record of more than `max` bytes: ERR_LIMIT.
 * Threads  one owner.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define RECORD_END '\x1e'

struct record_reader {
	struct buf part;  /* start of a record whose end has not come */
	struct str input; /* of the current record_feed */
	bool shown;	  /* `part` was handed out and goes with the next call */
	size_t max;
};

void record_init(struct record_reader *r, size_t max);
void record_fini(struct record_reader *r);
/* `data` must stay valid until record_next said ERR_AGAIN. */
void record_feed(struct record_reader *r, struct str data);
/*
 * The next record without its end byte, valid until the next call. ERR_AGAIN: all
 * input is used up; ERR_LIMIT: too long, the conversation is over.
 */
enum err record_next(struct record_reader *r, struct str *out) MUST_USE;
