#include "app/takeover.h"

#include "base/buf.h"
#include "base/mem.h"
#include "net/inherit.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char variable[] = "POSTHOUSE_TAKEOVER";

void takeover_begin(struct takeover *t)
{
	const char *former = getenv(variable);
	ssize_t n = readlink("/proc/self/exe", t->program, sizeof(t->program) - 1);

	t->program[MAX(n, 0)] = 0;
	t->heir = 0;
	t->former = former ? (pid_t)strtol(former, NULL, 10) : 0;
	if (former) {
		inherit_begin();
		(void)unsetenv(variable);
	}
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

static void write_environment(struct buf *out)
{
	for (char **e = environ; *e; e++) {
		buf_append(out, *e, strlen(*e) + 1);
	}
	buf_printf(out, "%s=%d", variable, (int)getpid());
	buf_append(out, "", 1);
}

/* To duplicate a descriptor onto itself takes its close-on-exec away in the new process only. */
static int spawn(const char *program, char **argv, char **envp, pid_t *out)
{
	posix_spawn_file_actions_t actions;
	int *fds;
	size_t n;
	int e = posix_spawn_file_actions_init(&actions);

	if (e != 0) {
		return e;
	}
	n = inherit_listening(&fds);
	for (size_t i = 0; i < n && e == 0; i++) {
		e = posix_spawn_file_actions_adddup2(&actions, fds[i], fds[i]);
	}
	mem_free(fds);
	if (e == 0) {
		e = posix_spawn(out, program, &actions, NULL, argv, envp);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return e;
}

enum err takeover_start(struct takeover *t, struct fault *f)
{
	struct buf arguments = {0}, environment = {0};
	char **argv, **envp;
	int e;

	if (t->heir > 0) {
		return fault_set(f, ERR_CONFLICT, "process %d starts already", (int)t->heir);
	}
	if (read_arguments(&arguments) != ERR_OK) {
		buf_free(&arguments);
		return fault_set(f, ERR_IO, "cannot read /proc/self/cmdline");
	}
	write_environment(&environment);
	argv = pointers(arguments.p, arguments.n);
	envp = pointers(environment.p, environment.n);
	e = spawn(t->program, argv, envp, &t->heir);
	mem_free(argv);
	mem_free(envp);
	buf_free(&arguments);
	buf_free(&environment);
	if (e != 0) {
		t->heir = 0;
		return fault_set(f, ERR_IO, "cannot start %s: %s", t->program, strerrordesc_np(e));
	}
	return ERR_OK;
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
