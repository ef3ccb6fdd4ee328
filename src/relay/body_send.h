/*
 * body_send - a stored body as the body of an answer
 *
 * Files go out by sendfile and bodies in one piece of memory without a copy, both in one
 * step. What stands in several pieces is sent as the client takes it.
 *
 * However it ends, the body is held, and counts, until its last byte was taken. A client that takes
 * less than relay.answer_rate_min for longer than relay.endpoint_timeout is cut off.
 */
#pragma once
#include "blob/blob.h"
#include "http/server.h"
#include "relay/body_count.h"

struct body_send;

struct body_source {
	struct blob_reader *reader;
	struct body_count *count; /* NULL = it does not count */
};

/*
 * Answers `x`, of this loop, with status and headers of `head` and the whole body; takes what is
 * in `from`. NULL: done. Else the role calls body_send_more from on_drained and body_send_stop from
 * on_abort.
 */
struct body_send *body_send_start(struct exchange *x, struct relay_loop *rl,
				  const struct exchange_answer *head,
				  const struct body_source *from);
/* False when it has ended (then it is gone, and so is the exchange). */
bool body_send_more(struct body_send *b);
void body_send_stop(struct body_send *b);
