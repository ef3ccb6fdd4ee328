/*
 * file_sink - lines from all loops into files, by one writer thread
 *
 * Each loop collects lines for a path in a lane of its own, without a lock. A lane is handed
 * to the writer when it holds 64 KiB, or 100 ms after its first line. The writer appends whole
 * batches (line_file), so lines are never torn, and lines of one loop stay in order.
 *
 * Slow or full disk   A path has at most 8 MiB waiting; what comes on top is dropped, counted,
 *                     and named in the log at most once in ten seconds, like errors. A pipe
 *                     that takes no more holds up no other path.
 * Life                Paths are kept for the life of the process; the file is closed when
 *                     nobody has it open any more. It is opened anew for each batch if any that
 *                     has it open wants that.
 * Threads   open, close, reopen: any. line: a loop. free: after the loops have ended; it writes
 *           what is left, and waits two seconds at most for pipes that take no more.
 */
#pragma once
#include "base/buf.h"
#include "base/str.h"

struct file_sinks;
struct file_sink;
struct loop;
struct loops;

enum file_sink_mode {
	FILE_SINK_KEEP,
	FILE_SINK_REOPEN, /* for every batch: for rotation by rename */
};

struct file_sinks *file_sinks_new(struct loops *loops);
void file_sinks_free(struct file_sinks **s);

struct file_sink *file_sink_open(struct file_sinks *s, struct str path, enum file_sink_mode mode);
/* With the mode that it was opened with. */
void file_sink_close(struct file_sink *sink, enum file_sink_mode mode);
/* All files are opened anew, those that lie idle as well. */
void file_sinks_reopen(struct file_sinks *s);

/*
 * Where to append one line: the lane's buffer, or NULL when the line is to be dropped. Then
 * file_sink_end_line, which adds the line feed.
 */
struct buf *file_sink_begin_line(struct file_sink *sink, struct loop *l);
void file_sink_end_line(struct file_sink *sink, struct loop *l);

/* Dropped lines of all paths. */
uint64_t file_sinks_dropped(const struct file_sinks *s);
