/*
 * file - bodies as files in one directory, which servers may share
 *
 *	req_{D}, res_{D}   a body; D = guid with hyphens
 *	tmp_{N}            being written; renamed on commit
 *	test_{D}           the check at start
 *
 * All access goes through the directory's descriptor, so a directory that is replaced under
 * the running server is noticed as missing files, not as files elsewhere.
 *
 * Every server that uses the directory holds a shared lock on it. One that at its start gets the
 * exclusive lock is alone: whatever bodies are there belonged to the dead and are removed. Only on
 * file systems of this machine: elsewhere a lock may not be seen by others, and leftovers wait
 * for blob_sweep.
 */
#include "blob/blob_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { NAME_SIZE = 48 };

#ifndef ZFS_MAGIC
#define ZFS_MAGIC 0x2fc12fc1
#endif

struct file_store {
	struct blob_store base;
	int dir;
};

struct file_writer {
	struct blob_writer base;
	int dir;
	int fd;
	char temp[NAME_SIZE];
	char name[NAME_SIZE];
};

struct file_reader {
	struct blob_reader base;
	int fd;
};

/* ---- names ---- */

static void body_name(struct blob_key key, char out[NAME_SIZE])
{
	char d[GUID_D_LEN];

	guid_d(&key.id, d);
	snprintf(out, NAME_SIZE, "%s_%.*s", key.kind == BLOB_REQUEST ? "req" : "res", GUID_D_LEN,
		 d);
}

static void temp_name(char out[NAME_SIZE])
{
	struct guid g = guid_new();
	char n[GUID_N_LEN];

	guid_n(&g, n);
	snprintf(out, NAME_SIZE, "tmp_%.*s", GUID_N_LEN, n);
}

/* Whether a file of that name is ours to sweep. */
static bool is_ours(const char *name)
{
	struct str s = str_c(name);
	struct guid g;
	bool is_body = str_starts(s, STR("req_")) || str_starts(s, STR("res_"));
	bool is_temp = str_starts(s, STR("tmp_"));

	if (!(is_body && s.n == 4 + GUID_D_LEN) && !(is_temp && s.n == 4 + GUID_N_LEN)) {
		return false;
	}
	return guid_parse(str_skip(s, 4), &g) == ERR_OK;
}

/* ---- failures ---- */

static enum err err_of(int err_no)
{
	return err_no == ENOENT ? ERR_NOT_FOUND : ERR_UNAVAILABLE;
}

/* What keeps a directory from being used, for the message at start. */
static const char *why(int err_no)
{
	switch (err_no) {
	case ENOENT:
		return "it does not exist";
	case ENOTDIR:
		return "it is not a directory";
	case EACCES:
	case EPERM:
		return "no permission";
	case EROFS:
		return "the file system is read-only";
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return "the disk is full";
	case EMFILE:
	case ENFILE:
		return "too many open files";
	default:
		return "input or output error";
	}
}

/* ---- writing ---- */

static enum err file_create(struct blob_store *store, struct blob_key key, struct blob_writer **out)
{
	int dir = container_of(store, struct file_store, base)->dir;
	char temp[NAME_SIZE];

	temp_name(temp);
	int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		return ERR_UNAVAILABLE; /* also when the directory has gone */
	}
	struct file_writer *w = MEM_NEW(struct file_writer);
	w->base.ops = store->ops;
	w->dir = dir;
	w->fd = fd;
	memcpy(w->temp, temp, sizeof(temp));
	body_name(key, w->name);
	*out = &w->base;
	return ERR_OK;
}

static enum err file_append(struct blob_writer *writer, struct str bytes)
{
	struct file_writer *w = container_of(writer, struct file_writer, base);
	uint64_t offset = writer->written;

	while (bytes.n) {
		ssize_t n = pwrite(w->fd, bytes.p, bytes.n, (off_t)offset);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return ERR_UNAVAILABLE;
		}
		bytes = str_skip(bytes, (size_t)n);
		offset += (uint64_t)n;
	}
	return ERR_OK;
}

static void file_abort(struct blob_writer *writer)
{
	struct file_writer *w = container_of(writer, struct file_writer, base);

	unlinkat(w->dir, w->temp, 0);
	close(w->fd);
	mem_free(w);
}

static enum err file_commit(struct blob_writer *writer)
{
	struct file_writer *w = container_of(writer, struct file_writer, base);

	/* Network file systems tell of a full disk only when the file is closed. */
	int rc = close(w->fd);
	if (rc == 0) {
		rc = renameat(w->dir, w->temp, w->dir, w->name);
	}
	if (rc != 0) {
		unlinkat(w->dir, w->temp, 0);
	}
	mem_free(w);
	return rc == 0 ? ERR_OK : ERR_UNAVAILABLE;
}

/* ---- reading ---- */

static enum err file_open(struct blob_store *store, struct blob_key key, struct blob_reader **out)
{
	int dir = container_of(store, struct file_store, base)->dir;
	char name[NAME_SIZE];
	struct stat st;

	body_name(key, name);
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		return err_of(errno);
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return ERR_UNAVAILABLE;
	}
	struct file_reader *r = MEM_NEW(struct file_reader);
	r->base = (struct blob_reader){.ops = store->ops, .size = (uint64_t)st.st_size};
	r->fd = fd;
	*out = &r->base;
	return ERR_OK;
}

static void file_end(struct blob_reader *reader)
{
	struct file_reader *r = container_of(reader, struct file_reader, base);

	close(r->fd);
	mem_free(r);
}

static int file_fd(const struct blob_reader *reader)
{
	return container_of(reader, struct file_reader, base)->fd;
}

/* A file has none: its reader is asked for the descriptor. */
static struct str file_span(struct blob_reader *reader, uint64_t offset UNUSED)
{
	ASSERT(blob_fd(reader) < 0);
	return STR_NULL;
}

static enum err file_read(struct blob_reader *reader, uint64_t offset, void *p, size_t n,
			  size_t *out_n)
{
	struct file_reader *r = container_of(reader, struct file_reader, base);
	ssize_t got;

	do {
		got = pread(r->fd, p, n, (off_t)offset);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		return ERR_UNAVAILABLE;
	}
	*out_n = (size_t)got;
	return ERR_OK;
}

/* ---- the store ---- */

static enum err file_stat(struct blob_store *store, struct blob_key key, uint64_t *out_size)
{
	int dir = container_of(store, struct file_store, base)->dir;
	char name[NAME_SIZE];
	struct stat st;

	body_name(key, name);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		return err_of(errno);
	}
	*out_size = (uint64_t)st.st_size;
	return ERR_OK;
}

static enum err file_remove(struct blob_store *store, struct blob_key key)
{
	int dir = container_of(store, struct file_store, base)->dir;
	char name[NAME_SIZE];

	body_name(key, name);
	return unlinkat(dir, name, 0) == 0 || errno == ENOENT ? ERR_OK : ERR_UNAVAILABLE;
}

static bool is_older(int dir, const char *name, int64_t max_age_ms)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) {
		return false;
	}
	int64_t changed_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	return clock_wall_ms() - changed_ms >= max_age_ms;
}

static enum err file_sweep(struct blob_store *store, int64_t max_age_ms, size_t *out_removed)
{
	int dir = container_of(store, struct file_store, base)->dir;
	/* An own descriptor: a duplicate would share the position between threads. */
	int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	const struct dirent *entry;
	size_t removed = 0;

	if (!d) {
		if (own >= 0) {
			close(own);
		}
		return ERR_UNAVAILABLE;
	}
	while ((entry = readdir(d))) {
		if (is_ours(entry->d_name) && is_older(dir, entry->d_name, max_age_ms)) {
			removed += unlinkat(dir, entry->d_name, 0) == 0;
		}
	}
	closedir(d);
	*out_removed = removed;
	return ERR_OK;
}

static void file_close(struct blob_store *store)
{
	struct file_store *s = container_of(store, struct file_store, base);

	close(s->dir);
	mem_free(s);
}

static const struct blob_ops file_ops = {
	.close = file_close,
	.create = file_create,
	.open = file_open,
	.stat = file_stat,
	.remove = file_remove,
	.sweep = file_sweep,
	.append = file_append,
	.commit = file_commit,
	.abort = file_abort,
	.end = file_end,
	.fd = file_fd,
	.span = file_span,
	.read = file_read,
};

/* ---- start ---- */

/* 0, or the errno of the step that failed. */
static int try_out(int dir)
{
	struct guid g = guid_new();
	char d[GUID_D_LEN], name[NAME_SIZE], back[4];

	guid_d(&g, d);
	snprintf(name, sizeof(name), "test_%.*s", GUID_D_LEN, d);
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		return errno;
	}
	errno = EIO; /* for short counts, which set none */
	bool is_fine = pwrite(fd, "test", 4, 0) == 4 && pread(fd, back, 4, 0) == 4 &&
		       memcmp(back, "test", 4) == 0;
	int err_no = is_fine ? 0 : errno;
	close(fd);
	if (unlinkat(dir, name, 0) != 0 && err_no == 0) {
		err_no = errno;
	}
	return err_no;
}

static bool is_local(int dir)
{
	static const unsigned long kinds[] = {
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,	 BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,
		TMPFS_MAGIC,	  OVERLAYFS_SUPER_MAGIC, ZFS_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(dir, &fs) != 0) {
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if ((unsigned long)fs.f_type == kinds[i]) {
			return true;
		}
	}
	return false;
}

/*
 * The lock lives as long as the descriptor, so it ends with the process, however that ends.
 * Going over from the exclusive to the shared lock is not atomic, but we have no bodies before.
 */
static void bury_the_dead(struct file_store *s)
{
	size_t removed = 0;
	bool is_alone = flock(s->dir, LOCK_EX | LOCK_NB) == 0;

	if (is_alone && is_local(s->dir) && file_sweep(&s->base, INT64_MIN, &removed) == ERR_OK &&
	    removed > 0) {
		log_info("blob", "bodies of a server that died were removed",
			 LOG_INT("bodies", removed));
	}
	if (flock(s->dir, LOCK_SH) != 0) {
		log_warn("blob", "the directory of bodies cannot be locked");
	}
}

enum err blob_file_open(struct str path, struct blob_store **out, struct fault *f)
{
	char cpath[4096];

	if (path.n >= sizeof(cpath) || memchr(path.p, '\0', path.n)) {
		return fault_set(f, ERR_INVALID, "bodies: the directory's name is too long");
	}
	memcpy(cpath, path.p, path.n);
	cpath[path.n] = '\0';
	int dir = open(cpath, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err_no = dir < 0 ? errno : try_out(dir);
	if (err_no) {
		if (dir >= 0) {
			close(dir);
		}
		return fault_set(f, ERR_UNAVAILABLE, "bodies: cannot use the directory %s: %s",
				 cpath, why(err_no));
	}
	struct file_store *s = MEM_NEW(struct file_store);
	s->base.ops = &file_ops;
	s->dir = dir;
	bury_the_dead(s);
	*out = &s->base;
	return ERR_OK;
}
