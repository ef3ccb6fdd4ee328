#include "relay/about.h"

static const char *access_name(enum rest_access access)
{
	switch (access) {
	case REST_OPEN:
		return "";
	case REST_READ:
		return "read";
	case REST_WRITE:
		return "write";
	}
	return "";
}

/* Every text comes from tables of the program, but the name of the header. */
static void put_escaped(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		switch (s.p[i]) {
		case '<':
			buf_puts(b, "&lt;");
			break;
		case '&':
			buf_puts(b, "&amp;");
			break;
		case '"':
			buf_puts(b, "&quot;");
			break;
		default:
			buf_putc(b, s.p[i]);
		}
	}
}

static void put_head(struct buf *b, const struct about *about)
{
	struct str header = about->key_header.p ? about->key_header : STR("Api-Key");

	buf_printf(
		b,
		"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		"<title>%s</title><style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;"
		"max-width:60rem;padding:0 1rem}table{border-collapse:collapse;width:100%%}"
		"td,th{border-bottom:1px solid #ddd;padding:.4rem .6rem;text-align:left;"
		"vertical-align:top}code{white-space:nowrap}</style></head><body>\n"
		"<h1>%s</h1>\n<p>Send your key in the header <code>",
		about->title, about->title);
	put_escaped(b, header);
	buf_printf(b,
		   "</code>. For programs: <a href=\"%s\">OpenAPI document</a>.</p>\n<table>"
		   "<tr><th>Request</th><th>Key that may</th><th></th></tr>\n",
		   about->openapi_path);
}

static void put_route(struct buf *b, const struct rest_route *r)
{
	buf_printf(b, "<tr><td><code>%s %s</code></td><td>%s</td><td>", r->method, r->path,
		   access_name(r->access));
	put_escaped(b, str_c(r->doc));
	buf_puts(b, "</td></tr>\n");
}

enum err about_page(struct task *t, const struct about *about)
{
	struct buf *b = &t->reply.body;

	put_head(b, about);
	for (size_t i = 0; i < about->table->n; i++) {
		put_route(b, &about->table->routes[i]);
	}
	buf_puts(b, "</table></body></html>\n");
	t->reply.status = 200;
	t->reply.content_type = STR("text/html; charset=utf-8");
	http_header_set(&t->arena, &t->reply.headers, STR("Content-Security-Policy"),
			STR("default-src 'none'; style-src 'unsafe-inline'"));
	return ERR_OK;
}

enum err about_openapi(struct task *t, const struct about *about)
{
	struct json_writer w = task_reply_writer(t, 200);

	rest_openapi(about->table, str_c(about->title), about->key_header, w.out);
	return ERR_OK;
}
