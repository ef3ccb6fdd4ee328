/*
 * death - expects that an assertion stops the process
 */
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static inline void die_quietly(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)dup2(null, STDERR_FILENO);
	(void)signal(SIGABRT, SIG_DFL);
}

/* Runs `statement` in a child, which must abort. */
#define assert_dies(statement)                                                                     \
	do {                                                                                       \
		int death_status_;                                                                 \
		pid_t death_pid_ = fork();                                                         \
		if (death_pid_ == 0) {                                                             \
			die_quietly();                                                             \
			statement;                                                                 \
			_exit(0);                                                                  \
		}                                                                                  \
		assert_int_equal(waitpid(death_pid_, &death_status_, 0), death_pid_);              \
		assert_true(WIFSIGNALED(death_status_));                                           \
		assert_int_equal(WTERMSIG(death_status_), SIGABRT);                                \
	} while (0)
