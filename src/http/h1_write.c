/*
 * h1_write - writing messages. What a peer could split a message with is a bug
 * of the caller here, and asserted.
 */
#include "http/chars.h"
#include "http/h1.h"

static char *put(char *at, struct str s)
{
	if (s.n > 0) {
		memcpy(at, s.p, s.n);
	}
	return at + s.n;
}

enum err h1_write_request_line(struct buf *out, struct str method, struct str target)
{
	size_t n = method.n + target.n + sizeof("  HTTP/1.1\r\n") - 1;
	char *at;

	if (!http_is_request_line(method, target)) {
		return ERR_INVALID;
	}
	at = put(buf_reserve(out, n), method);
	*at++ = ' ';
	at = put(at, target);
	(void)put(at, STR(" HTTP/1.1\r\n"));
	buf_commit(out, n);
	return ERR_OK;
}

void h1_write_status_line(struct buf *out, int status)
{
	struct str reason = http_reason(status);
	size_t n = sizeof("HTTP/1.1 200 \r\n") - 1 + reason.n;
	char *at;

	ASSERT(status >= 100 && status <= 999);
	at = put(buf_reserve(out, n), STR("HTTP/1.1 000 ")) - 4;
	at[0] = (char)('0' + status / 100);
	at[1] = (char)('0' + status / 10 % 10);
	at[2] = (char)('0' + status % 10);
	(void)put(put(at + 4, reason), STR("\r\n"));
	buf_commit(out, n);
}

void h1_write_header(struct buf *out, struct str name, struct str value)
{
	size_t n = name.n + value.n + 4;
	char *at;

	ASSERT(http_is_token(name));
	ASSERT(http_is_field_value(value));
	at = put(buf_reserve(out, n), name);
	*at++ = ':';
	*at++ = ' ';
	(void)put(put(at, value), STR("\r\n"));
	buf_commit(out, n);
}

static char *put_line(char *at, const struct http_header *h, byte_marks *controls)
{
	at = str_copy_marking(at, h->name, mark_controls, controls);
	*at++ = ':';
	*at++ = ' ';
	at = str_copy_marking(at, h->value, mark_controls, controls);
	*at++ = '\r';
	*at++ = '\n';
	return at;
}

/* One by one, without those that would end a line of their own. */
static size_t put_clean_lines(char *start, const struct http_header *v, size_t n)
{
	char *at = start;
	byte_marks none = {0};

	for (size_t i = 0; i < n; i++) {
		if (http_is_token(v[i].name) && http_is_field_value(v[i].value)) {
			at = put_line(at, &v[i], &none);
		}
	}
	return (size_t)(at - start);
}

void h1_write_headers(struct buf *out, const struct http_header *v, size_t n)
{
	byte_marks controls = {0};
	size_t total = 0;
	char *start, *at;

	for (size_t i = 0; i < n; i++) {
		ASSERT(v[i].name.n > 0);
		total += v[i].name.n + v[i].value.n + 4;
	}
	start = at = buf_reserve(out, total);
	for (size_t i = 0; i < n; i++) {
		at = put_line(at, &v[i], &controls);
	}
	if (UNLIKELY(marks_any(controls))) {
		total = put_clean_lines(start, v, n);
	}
	buf_commit(out, total);
}

void h1_write_header_u64(struct buf *out, struct str name, uint64_t value)
{
	char text[20], *start = str_put_digits(text + sizeof(text), value);

	h1_write_header(out, name, str_of(start, (size_t)(text + sizeof(text) - start)));
}

void h1_write_end(struct buf *out)
{
	buf_puts(out, "\r\n");
}

void h1_write_chunk_head(struct buf *out, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	char text[18], *end = text + sizeof(text), *at = end - 2;

	at[0] = '\r';
	at[1] = '\n';
	do {
		*--at = hex[n & 15];
		n >>= 4;
	} while (n > 0);
	buf_append(out, at, (size_t)(end - at));
}
