#include "app/takeover.h"

#include "base/mem.h"
#include "net/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* "PID", or "PID DESCRIPTOR" when something is left beside the sockets. */
static const char variable[] = "POSTHOUSE_TAKEOVER";

void takeover_begin(struct takeover *t)
{
	const char *former = getenv(variable);
	ssize_t n = readlink("/proc/self/exe", t->program, sizeof(t->program) - 1);
	char *rest;

	t->program[MAX(n, 0)] = 0;
	t->heir = t->former = 0;
	t->left = -1;
	if (former) {
		t->former = (pid_t)strtol(former, &rest, 10);
		if (*rest) {
			t->left = (int)strtol(rest, NULL, 10);
			(void)fcntl(t->left, F_SETFD, FD_CLOEXEC);
		}
		inherit_begin();
		(void)unsetenv(variable);
	}
}

/* Sealed, so it is what was left to us and nothing that happens to have its number. */
static bool read_left(int fd, struct buf *out)
{
	struct stat st;
	size_t size;
	ssize_t n;

	if (fcntl(fd, F_GET_SEALS) != SEALS || fstat(fd, &st) != 0) {
		return false;
	}
	size = (size_t)st.st_size;
	while (out->n < size) {
		n = pread(fd, buf_reserve(out, size - out->n), size - out->n, (off_t)out->n);
		if (n <= 0) {
			return false;
		}
		buf_commit(out, (size_t)n);
	}
	return true;
}

enum err takeover_saved(struct takeover *t, struct buf *out, struct fault *f)
{
	bool read;

	if (t->left < 0) {
		return ERR_OK;
	}
	read = read_left(t->left, out);
	(void)close(t->left);
	t->left = -1;
	return read ? ERR_OK : fault_set(f, ERR_IO, "cannot read what the former process left");
}

void takeover_ready(struct takeover *t)
{
	inherit_end();
	/* Unless it has ended meanwhile and somebody else got its number. */
	if (t->former > 0 && t->former == getppid()) {
		(void)kill(t->former, SIGTERM);
	}
	t->former = 0;
}

/* "a\0b\0" as pointers into it, NULL at the end. */
static char **pointers(char *text, size_t n)
{
	size_t count = 0;
	char **v;

	for (size_t i = 0; i < n; i++) {
		count += text[i] == 0;
	}
	v = MEM_NEW_ARRAY(char *, count + 1);
	count = 0;
	for (size_t i = 0; i < n; i += strlen(text + i) + 1) {
		v[count++] = text + i;
	}
	return v;
}

/* The arguments of this process, each with its NUL. */
static enum err read_arguments(struct buf *out)
{
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	char piece[4096];
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, piece, sizeof(piece))) > 0) {
		buf_append(out, piece, (size_t)n);
	}
	if (fd >= 0) {
		(void)close(fd);
	}
	return n == 0 && out->n > 0 && out->p[out->n - 1] == 0 ? ERR_OK : ERR_IO;
}

static void write_environment(struct buf *out, int left)
{
	for (char **e = environ; *e; e++) {
		buf_append(out, *e, strlen(*e) + 1);
	}
	buf_printf(out, "%s=%d", variable, (int)getpid());
	if (left >= 0) {
		buf_printf(out, " %d", left);
	}
	buf_append(out, "", 1);
}

static bool write_all(int fd, struct str text)
{
	while (text.n > 0) {
		ssize_t n = write(fd, text.p, text.n);

		if (n <= 0) {
			return false;
		}
		text = str_skip(text, (size_t)n);
	}
	return true;
}

/* It has no name, and belongs to this process and whoever is given its descriptor. */
static enum err leave(struct str saved, int *out, struct fault *f)
{
	int fd;

	if (saved.n == 0) {
		*out = -1;
		return ERR_OK;
	}
	fd = memfd_create("posthouse-takeover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || !write_all(fd, saved) || fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
		(void)fault_set(f, ERR_IO, "cannot leave another process what is in force: %s",
				strerrordesc_np(errno));
		if (fd >= 0) {
			(void)close(fd);
		}
		return ERR_IO;
	}
	*out = fd;
	return ERR_OK;
}

/* To duplicate a descriptor onto itself takes its close-on-exec away in the new process only. */
static int pass(posix_spawn_file_actions_t *actions, int left)
{
	int *fds;
	size_t n = inherit_listening(&fds);
	int e = 0;

	for (size_t i = 0; i < n && e == 0; i++) {
		e = posix_spawn_file_actions_adddup2(actions, fds[i], fds[i]);
	}
	mem_free(fds);
	return e == 0 && left >= 0 ? posix_spawn_file_actions_adddup2(actions, left, left) : e;
}

static int spawn_with(struct takeover *t, char **argv, char **envp, int left)
{
	posix_spawn_file_actions_t actions;
	pid_t heir = 0;
	int e = posix_spawn_file_actions_init(&actions);

	if (e != 0) {
		return e;
	}
	e = pass(&actions, left);
	if (e == 0) {
		e = posix_spawn(&heir, t->program, &actions, NULL, argv, envp);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	t->heir = e == 0 ? heir : 0;
	return e;
}

static enum err spawn(struct takeover *t, struct buf *arguments, int left, struct fault *f)
{
	struct buf environment = {0};
	char **argv, **envp;
	int e;

	write_environment(&environment, left);
	argv = pointers(arguments->p, arguments->n);
	envp = pointers(environment.p, environment.n);
	e = spawn_with(t, argv, envp, left);
	mem_free(argv);
	mem_free(envp);
	buf_free(&environment);
	return e == 0 ? ERR_OK
		      : fault_set(f, ERR_IO, "cannot start %s: %s", t->program, strerrordesc_np(e));
}

enum err takeover_start(struct takeover *t, struct str saved, struct fault *f)
{
	struct buf arguments = {0};
	int left = -1;
	enum err e;

	if (t->heir > 0) {
		return fault_set(f, ERR_CONFLICT, "process %d starts already", (int)t->heir);
	}
	e = read_arguments(&arguments) == ERR_OK
		    ? leave(saved, &left, f)
		    : fault_set(f, ERR_IO, "cannot read /proc/self/cmdline");
	if (e == ERR_OK) {
		e = spawn(t, &arguments, left, f);
	}
	if (left >= 0) {
		(void)close(left);
	}
	buf_free(&arguments);
	return e;
}

bool takeover_is_heir(const struct takeover *t, pid_t from)
{
	return t->heir > 0 && from == t->heir;
}

void takeover_stop(const struct takeover *t)
{
	if (t->heir > 0) {
		(void)kill(t->heir, SIGTERM);
	}
}

bool takeover_failed(struct takeover *t, struct fault *f)
{
	int status = 0;

	if (t->heir <= 0 || waitpid(t->heir, &status, WNOHANG) != t->heir) {
		return false;
	}
	(void)fault_set(f, ERR_UNAVAILABLE, "process %d ended with %s %d", (int)t->heir,
			WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	t->heir = 0;
	return true;
}
