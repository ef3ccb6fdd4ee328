#include "gateway/plugins/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0644

static struct line_batch *first_batch(const struct line_file *f)
{
	struct list_node *node = list_first(&f->batches);

	return node ? container_of(node, struct line_batch, node) : NULL;
}

static struct str left_of(const struct line_batch *b)
{
	return str_skip(buf_str(&b->lines), b->at);
}

/* With its line feed. */
static struct str first_line(struct str lines)
{
	return str_slice(lines, 0, (size_t)(str_index(lines, '\n') + 1));
}

static uint64_t count_lines(struct str s)
{
	uint64_t n = 0;

	for (; s.n > 0; n++) {
		s = str_skip(s, first_line(s).n);
	}
	return n;
}

/* A line is half written. */
static bool is_torn(const struct line_file *f)
{
	const struct line_batch *b = first_batch(f);

	return b && b->at > 0 && !str_ends(str_slice(buf_str(&b->lines), 0, b->at), STR("\n"));
}

static void drop_if_done(struct line_file *f, struct line_batch *b)
{
	if (b->at == b->lines.n) {
		list_remove(&b->node);
		list_push(&f->done, &b->node);
	}
}

static void advance(struct line_file *f, size_t n)
{
	struct line_batch *b = first_batch(f);

	b->at += n;
	atomic_fetch_sub(&f->waiting, (int64_t)n);
	drop_if_done(f, b);
}

/* ---- what is lost ---- */

static void lose_end(struct line_file *f, struct line_batch *b, struct str end)
{
	b->lines.n -= end.n;
	atomic_fetch_sub(&f->waiting, (int64_t)end.n);
	atomic_fetch_add(&f->lost, count_lines(end));
	drop_if_done(f, b);
}

/* All that waits, but for the rest of a line that is half written. */
static void give_up(struct line_file *f)
{
	const struct line_batch *torn = is_torn(f) ? first_batch(f) : NULL;

	LIST_EACH (&f->batches, node) {
		struct line_batch *b = container_of(node, struct line_batch, node);
		struct str left = left_of(b);

		lose_end(f, b, b == torn ? str_skip(left, first_line(left).n) : left);
	}
}

static void fail(struct line_file *f, int error)
{
	f->last_error = error;
	f->is_stale = true;
	give_up(f);
}

/* ---- the file ---- */

/* The file gets no other chance. */
static void end_line(struct line_file *f)
{
	struct str rest = first_line(left_of(first_batch(f)));

	if (write(f->fd, rest.p, rest.n) != (ssize_t)rest.n) {
		atomic_fetch_add(&f->lost, 1);
	}
	advance(f, rest.n);
}

static bool is_other_file(const struct line_file *f, const struct stat *st)
{
	return st->st_dev != f->device || st->st_ino != f->inode;
}

/* The former one stays open until then: for its half line, and to keep its inode from others. */
static bool open_anew(struct line_file *f)
{
	/* O_NONBLOCK: neither a FIFO without a reader nor a full one may hold up other files. */
	int fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, FILE_MODE);
	struct stat st = {0};

	if (fd < 0) {
		return false;
	}
	(void)fstat(fd, &st);
	if (is_torn(f) && is_other_file(f, &st)) {
		end_line(f);
	}
	if (f->fd >= 0) {
		(void)close(f->fd);
	}
	f->fd = fd;
	f->device = st.st_dev;
	f->inode = st.st_ino;
	f->is_pipe = S_ISFIFO(st.st_mode);
	f->is_stale = false;
	return true;
}

/* What one write is to take: of a pipe whole lines up to PIPE_BUF, or one that is longer. */
static struct str piece_of(const struct line_file *f, struct str left)
{
	ptrdiff_t end;

	if (!f->is_pipe || left.n <= PIPE_BUF) {
		return left;
	}
	end = str_rindex(str_slice(left, 0, PIPE_BUF), '\n');
	return end < 0 ? first_line(left) : str_slice(left, 0, (size_t)end + 1);
}

static void write_piece(struct line_file *f)
{
	struct str piece = piece_of(f, left_of(first_batch(f)));
	ssize_t n = write(f->fd, piece.p, piece.n);

	if (n >= 0) {
		advance(f, (size_t)n);
	} else if (errno == EAGAIN) {
		f->is_full = true;
	} else if (errno != EINTR) {
		fail(f, errno);
	}
}

/* ---- life ---- */

void line_file_init(struct line_file *f, const char *path)
{
	*f = (struct line_file){.path = path, .fd = -1};
	list_init(&f->batches);
	list_init(&f->done);
}

void line_file_put(struct line_file *f, struct list *batches)
{
	list_splice(&f->batches, batches);
}

void line_file_reopen(struct line_file *f)
{
	f->is_stale = f->fd >= 0;
}

void line_file_write(struct line_file *f)
{
	bool is_due = f->fd < 0 ? !list_is_empty(&f->batches) : f->is_stale;

	f->is_full = false;
	if (is_due && !open_anew(f)) {
		fail(f, errno);
	}
	while (!list_is_empty(&f->batches) && !f->is_stale && !f->is_full) {
		write_piece(f);
	}
}

void line_file_close(struct line_file *f)
{
	if (is_torn(f)) {
		end_line(f);
	}
	give_up(f);
	if (f->fd >= 0) {
		(void)close(f->fd);
	}
	f->fd = -1;
	f->is_stale = false;
	f->is_full = false;
}
