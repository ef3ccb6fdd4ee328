#include "app/text_file.h"

#include "base/buf.h"

#include <errno.h>
#include <stdio.h>

#define STEP 65536

static const char *reason(int why, char *out, size_t n)
{
	return strerror_r(why, out, n);
}

static enum err read_all(FILE *file, size_t max, struct buf *out)
{
	for (;;) {
		size_t n = fread(buf_reserve(out, STEP), 1, STEP, file);

		if (n == 0) {
			return ferror(file) ? ERR_IO : ERR_OK;
		}
		buf_commit(out, n);
		if (out->n > max) {
			return ERR_LIMIT;
		}
	}
}

enum err text_file_read(struct arena *a, struct str path, size_t max, struct str *out,
			struct fault *f)
{
	bool is_stdin = str_eq(path, STR("-"));
	FILE *file = is_stdin ? stdin : fopen(str_cstr(a, path), "rbe");
	struct buf text = {0};
	char why[128];
	enum err e;

	if (!file) {
		return fault_set(f, ERR_INVALID, "%.*s: %s", STR_ARG(path),
				 reason(errno, why, sizeof(why)));
	}
	e = read_all(file, max, &text);
	if (e == ERR_IO) {
		e = fault_set(f, ERR_INVALID, "%.*s: %s", STR_ARG(path),
			      reason(errno, why, sizeof(why)));
	} else if (e == ERR_LIMIT) {
		e = fault_set(f, ERR_INVALID, "%.*s: larger than %zu MiB", STR_ARG(path),
			      max >> 20);
	} else {
		*out = text.n ? str_dup(a, buf_str(&text)) : STR("");
	}
	buf_free(&text);
	if (!is_stdin) {
		(void)fclose(file);
	}
	return e;
}
