#include "http/message.h"

#include "http/chars.h"

#define HEADERS_GROW 8

static bool is_text(struct str s, const char *text)
{
	return memcmp(s.p, text, s.n) == 0;
}

enum http_method http_method_parse(struct str s)
{
	switch (s.n) {
	case 3:
		return is_text(s, "GET") ? HTTP_GET : is_text(s, "PUT") ? HTTP_PUT : HTTP_OTHER;
	case 4:
		return is_text(s, "POST") ? HTTP_POST : is_text(s, "HEAD") ? HTTP_HEAD : HTTP_OTHER;
	case 5:
		return is_text(s, "PATCH")   ? HTTP_PATCH
		       : is_text(s, "TRACE") ? HTTP_TRACE
					     : HTTP_OTHER;
	case 6:
		return is_text(s, "DELETE") ? HTTP_DELETE : HTTP_OTHER;
	case 7:
		return is_text(s, "OPTIONS")   ? HTTP_OPTIONS
		       : is_text(s, "CONNECT") ? HTTP_CONNECT
					       : HTTP_OTHER;
	default:
		return HTTP_OTHER;
	}
}

bool http_method_is_idempotent(enum http_method m)
{
	switch (m) {
	case HTTP_GET:
	case HTTP_HEAD:
	case HTTP_PUT:
	case HTTP_DELETE:
	case HTTP_OPTIONS:
	case HTTP_TRACE:
		return true;
	case HTTP_POST:
	case HTTP_PATCH:
	case HTTP_CONNECT:
	case HTTP_OTHER:
		break;
	}
	return false;
}

/* IANA registry of status codes, and 499 as proxies log a client that left. */
static const struct str reasons[] = {
	[100] = STR_INIT("Continue"),
	[101] = STR_INIT("Switching Protocols"),
	[102] = STR_INIT("Processing"),
	[103] = STR_INIT("Early Hints"),
	[200] = STR_INIT("OK"),
	[201] = STR_INIT("Created"),
	[202] = STR_INIT("Accepted"),
	[203] = STR_INIT("Non-Authoritative Information"),
	[204] = STR_INIT("No Content"),
	[205] = STR_INIT("Reset Content"),
	[206] = STR_INIT("Partial Content"),
	[207] = STR_INIT("Multi-Status"),
	[208] = STR_INIT("Already Reported"),
	[226] = STR_INIT("IM Used"),
	[300] = STR_INIT("Multiple Choices"),
	[301] = STR_INIT("Moved Permanently"),
	[302] = STR_INIT("Found"),
	[303] = STR_INIT("See Other"),
	[304] = STR_INIT("Not Modified"),
	[305] = STR_INIT("Use Proxy"),
	[307] = STR_INIT("Temporary Redirect"),
	[308] = STR_INIT("Permanent Redirect"),
	[400] = STR_INIT("Bad Request"),
	[401] = STR_INIT("Unauthorized"),
	[402] = STR_INIT("Payment Required"),
	[403] = STR_INIT("Forbidden"),
	[404] = STR_INIT("Not Found"),
	[405] = STR_INIT("Method Not Allowed"),
	[406] = STR_INIT("Not Acceptable"),
	[407] = STR_INIT("Proxy Authentication Required"),
	[408] = STR_INIT("Request Timeout"),
	[409] = STR_INIT("Conflict"),
	[410] = STR_INIT("Gone"),
	[411] = STR_INIT("Length Required"),
	[412] = STR_INIT("Precondition Failed"),
	[413] = STR_INIT("Content Too Large"),
	[414] = STR_INIT("URI Too Long"),
	[415] = STR_INIT("Unsupported Media Type"),
	[416] = STR_INIT("Range Not Satisfiable"),
	[417] = STR_INIT("Expectation Failed"),
	[418] = STR_INIT("I'm a teapot"),
	[421] = STR_INIT("Misdirected Request"),
	[422] = STR_INIT("Unprocessable Content"),
	[423] = STR_INIT("Locked"),
	[424] = STR_INIT("Failed Dependency"),
	[425] = STR_INIT("Too Early"),
	[426] = STR_INIT("Upgrade Required"),
	[428] = STR_INIT("Precondition Required"),
	[429] = STR_INIT("Too Many Requests"),
	[431] = STR_INIT("Request Header Fields Too Large"),
	[451] = STR_INIT("Unavailable For Legal Reasons"),
	[499] = STR_INIT("Client Closed Request"),
	[500] = STR_INIT("Internal Server Error"),
	[501] = STR_INIT("Not Implemented"),
	[502] = STR_INIT("Bad Gateway"),
	[503] = STR_INIT("Service Unavailable"),
	[504] = STR_INIT("Gateway Timeout"),
	[505] = STR_INIT("HTTP Version Not Supported"),
	[506] = STR_INIT("Variant Also Negotiates"),
	[507] = STR_INIT("Insufficient Storage"),
	[508] = STR_INIT("Loop Detected"),
	[510] = STR_INIT("Not Extended"),
	[511] = STR_INIT("Network Authentication Required"),
};

struct str http_reason(int status)
{
	if (status < 0 || (size_t)status >= ARRAY_LEN(reasons) || !reasons[status].p) {
		return STR("Unknown");
	}
	return reasons[status];
}

void http_headers_grow(struct arena *a, struct http_headers *h)
{
	size_t cap = h->cap * 2 + HEADERS_GROW;
	struct http_header *v = arena_alloc(a, cap * sizeof(*v));

	if (h->n) {
		memcpy(v, h->v, h->n * sizeof(*v));
	}
	h->v = v;
	h->cap = cap;
}

struct str http_header_get(const struct http_headers *h, struct str name)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->v[i].name.n == name.n && str_eq_nocase(h->v[i].name, name)) {
			return h->v[i].value.p ? h->v[i].value : STR("");
		}
	}
	return STR_NULL;
}

size_t http_header_remove(struct http_headers *h, struct str name)
{
	size_t kept = 0, n = h->n;

	for (size_t i = 0; i < n; i++) {
		if (h->v[i].name.n == name.n && str_eq_nocase(h->v[i].name, name)) {
			continue;
		}
		if (kept != i) {
			h->v[kept] = h->v[i];
		}
		kept++;
	}
	h->n = kept;
	return n - kept;
}

void http_header_set(struct arena *a, struct http_headers *h, struct str name, struct str value)
{
	(void)http_header_remove(h, name);
	http_header_add(a, h, name, value);
}

bool http_is_token(struct str s)
{
	return s.n > 0 && str_all_are(s, CHAR_TOKEN);
}

bool http_is_request_line(struct str method, struct str target)
{
	return http_is_token(method) && target.n > 0 && str_all_are(target, CHAR_TARGET);
}

bool http_is_field_value(struct str s)
{
	size_t i = 0;

	while ((i = str_find_control(s, i)) < s.n) {
		if (s.p[i] != '\t') {
			return false;
		}
		i++;
	}
	return true;
}

bool http_list_has(struct str list, struct str token)
{
	struct str part;

	while (str_split(&list, ',', &part)) {
		if (str_eq_nocase(str_trim(part), token)) {
			return true;
		}
	}
	return false;
}
