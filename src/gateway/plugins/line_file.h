/*
 * line_file - batches of lines, appended to what a path names, without tearing a line
 *
 * The path may be a file, or a pipe as /dev/stdout of a container is. Nothing waits for it: what
 * a full pipe does not take stays, and goes on from there when it is writable again.
 *
 * Errors  All that waits is lost and counted, but for the rest of a line that is half written:
 *         it goes first when there are lines again, as long as the path is still that file. The
 *         path is opened anew then, so that a file that is gone is not written for ever.
 * Pipes   Lines go in pieces that the kernel keeps whole (PIPE_BUF), as others may write to the
 *         same pipe: the log of the process, another process.
 * Threads One, that of `waiting` and `lost` apart, which any may read and add to.
 */
#pragma once
#include "base/buf.h"
#include "base/list.h"
#include "base/str.h"

#include <sys/types.h>

struct line_batch {
	struct list_node node;
	struct buf lines; /* whole ones, each with its line feed */
	size_t at;	  /* what stands before is written */
};

struct line_file {
	_Atomic int64_t
		waiting;       /* bytes: added by who hands over, taken off when written or lost */
	_Atomic uint64_t lost; /* lines */
	const char *path;      /* outlives it */
	int fd;
	dev_t device;
	ino_t inode;
	bool is_pipe;
	bool is_stale;	/* to be opened anew */
	bool is_full;	/* wait until `fd` is writable */
	int last_error; /* errno; whoever reports it sets it to 0 */
	struct list batches;
	struct list done; /* batches for others to take */
};

void line_file_init(struct line_file *f, const char *path);
/* Takes all of them. */
void line_file_put(struct line_file *f, struct list *batches);
/* Opened anew by the next write; what is half written is ended in the old file. */
void line_file_reopen(struct line_file *f);
/* As far as it goes. */
void line_file_write(struct line_file *f);
/* What still waits is lost. */
void line_file_close(struct line_file *f);
