/*
 * body_send - a stored body as the body of an answer
 *
 * Files go out by sendfile and bodies in one piece of memory without a copy, both in one
 * step. What stands in several pieces is sent as the client takes it.
 */
#pragma once
#include "blob/blob.h"
#include "http/server.h"

struct body_send;

/*
 * Answers `x` with the whole body; takes `*reader`. NULL: done. Else the role calls
 * body_send_more from on_drained and body_send_stop from on_abort.
 */
struct body_send *body_send_start(struct exchange *x, int status, const struct http_header *headers,
				  size_t n_headers, struct blob_reader **reader);
/* False when it has ended (then it is gone, and so is the exchange). */
bool body_send_more(struct body_send *b);
void body_send_stop(struct body_send *b);
