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
/* What the transport takes of the output now, before an abort; nobody is told how much. */
void stream_send_what_fits(struct stream *s);
/* Output is blocked: from now on for at most write_timeout_ms. */
void stream_watch_blocked(struct stream *s);
void stream_drop_output(struct stream *s);
/*
 * Before either is counted. The shares are of a turn, not of a call: two streams of which one
 * drains as fast as the other fills call each other again and again within one.
 */
void stream_see_turn(struct stream *s);
/* A stream with no descriptor yet, on TCP's operations. */
struct stream *stream_make(struct loop *l, const struct stream_handler *h, void *user);
/* From now on it lives on `fd`, which becomes its own; -1 = it looks broken off. */
void stream_use_fd(struct stream *s, int fd);
