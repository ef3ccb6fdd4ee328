/*
 * err - failures and their text, see err.h
 */
#include "base/err.h"

#include "base/format.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum err fault_set(struct fault *f, enum err code, const char *fmt, ...)
{
	va_list args;

	if (f && f->code == ERR_OK) {
		f->code = code;
		va_start(args, fmt);
		(void)format_print(f->text, sizeof(f->text), fmt, args);
		va_end(args);
	}
	return code;
}

const char *err_name(enum err e)
{
	switch (e) {
	case ERR_OK:
		return "ok";
	case ERR_AGAIN:
		return "try again";
	case ERR_CLOSED:
		return "closed";
	case ERR_IO:
		return "input/output error";
	case ERR_TIMEOUT:
		return "timeout";
	case ERR_CANCELED:
		return "canceled";
	case ERR_PROTO:
		return "protocol error";
	case ERR_LIMIT:
		return "limit exceeded";
	case ERR_INVALID:
		return "invalid";
	case ERR_UNAUTHENTICATED:
		return "unauthenticated";
	case ERR_DENIED:
		return "denied";
	case ERR_NOT_FOUND:
		return "not found";
	case ERR_CONFLICT:
		return "conflict";
	case ERR_UNAVAILABLE:
		return "unavailable";
	case ERR_EXHAUSTED:
		return "out of descriptors, ports or memory";
	case ERR_INTERNAL:
		return "internal error";
	}
	return "unknown";
}

void assert_failed(const char *expr, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expr);
	abort();
}
