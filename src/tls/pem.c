/* PEM text out of files. */
#include "base/buf.h"
#include "base/mem.h"
#include "tls/cert.h"

#include <errno.h>
#include <stdio.h>

#define PEM_FILE_MAX ((size_t)1 << 20)

static enum err read_all(FILE *file, struct buf *out)
{
	while (out->n <= PEM_FILE_MAX) {
		char *to = buf_reserve(out, 4096);
		size_t n = fread(to, 1, 4096, file);

		if (n == 0) {
			return ferror(file) ? ERR_IO : ERR_OK;
		}
		buf_commit(out, n);
	}
	errno = EFBIG;
	return ERR_LIMIT;
}

static enum err read_file(struct arena *a, const char *path, struct str *out, struct fault *f)
{
	FILE *file = fopen(path, "rbe");
	struct buf text = {0};
	enum err e;

	if (!file) {
		return fault_set(f, ERR_INVALID, "cannot read %s: %s", path,
				 strerrordesc_np(errno));
	}
	(void)setvbuf(file, NULL, _IONBF, 0); /* no copy of a key in a buffer of stdio */
	e = read_all(file, &text);
	if (e == ERR_OK) {
		*out = text.n > 0 ? str_dup(a, buf_str(&text)) : STR("");
	} else {
		e = fault_set(f, ERR_INVALID, "cannot read %s: %s", path, strerrordesc_np(errno));
	}
	if (text.p) {
		mem_wipe(text.p, text.cap);
	}
	buf_free(&text);
	(void)fclose(file);
	return e;
}

enum err tls_pem_load(struct arena *a, struct str dir, struct str text_or_path, struct str *out,
		      struct fault *f)
{
	struct str path = text_or_path;

	if (str_find(path, STR("-----BEGIN ")) >= 0) {
		*out = path;
		return ERR_OK;
	}
	if (path.n > 0 && path.p[0] != '/') {
		path = str_fmt(a, "%.*s%.*s", STR_ARG(dir), STR_ARG(path));
	}
	return read_file(a, str_cstr(a, path), out, f);
}
