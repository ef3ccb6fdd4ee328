/*
 * log_int - the layout of a log line, between log.c and log_format.c
 *
 * A line has a fixed size: it is built on the caller's stack. A value that is
 * too long ends in "…"; fields that do not fit are left out and the line says so.
 */
#pragma once
#include "base/log.h"

enum { LOG_LINE_MAX = 4096 };

struct log_line {
	size_t n;
	bool is_full; /* something did not fit */
	char p[LOG_LINE_MAX];
};

struct log_event {
	int64_t wall_ms;
	enum log_level level;
	const char *role;
	const char *message;
	const struct log_field *fields;
	size_t n_fields;
};

/* One line with its newline. */
void log_format_line(enum log_format format, const struct log_event *e, struct log_line *out);
