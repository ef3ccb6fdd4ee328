/*
 * format - vsnprintf, and in builds with the address sanitizer a look at what "%.*s" reads
 *
 * That is how most texts are written here, and just what the sanitizer leaves out: of strings it
 * checks those that end in NUL.
 *
 * Threads  pure function.
 */
#pragma once
#include "base/attr.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

int format_print(char *to, size_t room, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));
