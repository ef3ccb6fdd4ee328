/*
 * stream_int - what stream.c, stream_out.c and stream_tcp.c share
 */
#pragma once
#include "net/stream.h"

/* Sending failed; the peer may have answered before it left. */
void stream_write_failed(struct stream *s);
/* All output of a closing stream is sent. */
void stream_finish_closing(struct stream *s);
/* Sends until empty, blocked or the turn's share is used up. */
void stream_send_queued(struct stream *s);
/* Output is blocked: from now on for at most write_timeout_ms. */
void stream_watch_blocked(struct stream *s);
void stream_drop_output(struct stream *s);
