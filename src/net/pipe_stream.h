/*
 * pipe_stream - a connection inside the process: two streams, each the other's peer
 *
 * Two queues of bytes in memory take the place of a socket; no system call is made. To their
 * owners the ends are streams like any other: what one writes leaves at the turn's end and is
 * shown to the other later, never from within a call of the writer. A full queue blocks its
 * writer, so a pipe holds at most PIPE_STREAM_ROOM in each direction.
 *
 * Life       each end is closed by its owner and frees itself, in any order. stream_close ends
 *            the direction behind what was written; after stream_abort the other end is shown what
 *            has come and then ends with ERR_IO, so that no cut answer looks whole.
 * Threads    one loop for both. An end that is detached takes the pipe apart: both then are ends
 *            of a socket pair, with all that was on its way.
 */
#pragma once
#include "net/stream.h"

#define PIPE_STREAM_ROOM ((size_t)64 << 10)
/*
 * write_timeout_ms of who serves a peer in this process: that one stops reading while its own peer
 * is slow, and it is the latter's time which is limited, from the last byte that it took. Who gives
 * up breaks the pipe off. So this is no limit, but stream_close would take 0 for one.
 */
#define PIPE_STREAM_PATIENCE_MS ((uint32_t)24 * 60 * 60 * 1000)

/* The caller sets both handlers before returning to the loop. */
void pipe_stream_new(struct loop *l, struct stream *out[2]);
/*
 * Whom this end speaks for: what stream_peer tells at the other end from now on; NULL = nobody.
 * Ignored once the other end has gone, or the pipe is a socket pair.
 */
void pipe_stream_set_name(struct stream *s, const struct addr *name);
