/*
 * text_file - a whole file as text, for what people hand to commands and the start
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* Path "-" is stdin. At most `max` bytes. The fault names the file; ERR_INVALID. */
enum err text_file_read(struct arena *a, struct str path, size_t max, struct str *out,
			struct fault *f) MUST_USE;
