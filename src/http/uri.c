#include "http/uri.h"

#include "http/chars.h"

#include <arpa/inet.h>

#define HOST_BYTES_MAX 255
#define URI_BYTES_MAX 8192

/* Parts of "host:port"; the port is absent when its p is NULL. */
struct authority {
	struct str host;
	struct str port;
	bool is_ipv6;
};

static bool is_ipv6(struct str s)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr unused;

	if (s.n == 0 || s.n >= sizeof(text)) {
		return false;
	}
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return inet_pton(AF_INET6, text, &unused) == 1;
}

/* Letters, digits and "-._~": the escapes and marks that a reg-name may have too are refused. */
static bool is_host(struct str s)
{
	if (s.n == 0 || s.n > HOST_BYTES_MAX || s.p[0] == '.' || !str_all_are(s, CHAR_HOST)) {
		return false;
	}
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '.' && s.p[i - 1] == '.') {
			return false;
		}
	}
	return true;
}

/* 1 to 65535. */
static bool parse_port(struct str s, uint16_t *out)
{
	unsigned port = 0;

	if (s.n == 0 || s.n > 5 || !str_all_are(s, CHAR_DIGIT)) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		port = port * 10 + (unsigned)(s.p[i] - '0');
	}
	*out = (uint16_t)port;
	return port >= 1 && port <= 65535;
}

static bool parse_authority(struct str s, struct authority *out)
{
	size_t end, host_end;

	*out = (struct authority){0};
	if (s.n > 0 && s.p[0] == '[') {
		end = str_find_char(s, 1, ']');
		out->is_ipv6 = true;
		out->host = str_slice(s, 1, end - 1);
		host_end = end + 1;
		if (end == s.n || !is_ipv6(out->host)) {
			return false;
		}
	} else {
		host_end = str_find_char(s, 0, ':');
		out->host = str_slice(s, 0, host_end);
		if (!is_host(out->host)) {
			return false;
		}
	}
	if (host_end < s.n) {
		out->port = str_of(s.p + host_end + 1, s.n - host_end - 1);
		return s.p[host_end] == ':';
	}
	return true;
}

bool uri_is_authority(struct str s)
{
	struct authority a;
	uint16_t port;

	return parse_authority(s, &a) && (!a.port.p || parse_port(a.port, &port));
}

static bool parse_scheme(struct str text, struct uri *out, struct str *out_rest)
{
	static const struct {
		struct str prefix;
		bool tls;
	} schemes[] = {
		{STR_INIT("http://"), false},
		{STR_INIT("https://"), true},
		{STR_INIT("ws://"), false},
		{STR_INIT("wss://"), true},
	};

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (str_starts_nocase(text, schemes[i].prefix)) {
			out->tls = schemes[i].tls;
			out->port = out->tls ? 443 : 80;
			*out_rest = str_skip(text, schemes[i].prefix.n);
			return true;
		}
	}
	return false;
}

static enum err set_authority(struct str s, struct uri *u, struct fault *f)
{
	ptrdiff_t at = str_index(s, '@');
	struct authority a;

	if (at >= 0) {
		u->userinfo = str_slice(s, 0, (size_t)at);
		s = str_skip(s, (size_t)at + 1);
	}
	if (!parse_authority(s, &a)) {
		return fault_set(f, ERR_INVALID, "bad host in URL");
	}
	if (a.port.p) {
		u->has_port = true;
		if (!parse_port(a.port, &u->port)) {
			return fault_set(f, ERR_INVALID, "bad port in URL: 1 to 65535");
		}
	}
	u->host = a.host;
	u->host_is_ipv6 = a.is_ipv6;
	return ERR_OK;
}

static bool is_escape(struct str s, size_t i)
{
	return i + 2 < s.n && s.p[i] == '%' && char_is(s.p[i + 1], CHAR_HEX) &&
	       char_is(s.p[i + 2], CHAR_HEX);
}

static bool has_broken_escape(struct str s)
{
	for (size_t i = 0; (i = str_find_char(s, i, '%')) < s.n; i += 3) {
		if (!is_escape(s, i)) {
			return true;
		}
	}
	return false;
}

static size_t path_start(struct str rest)
{
	size_t i = 0;

	while (i < rest.n && rest.p[i] != '/' && rest.p[i] != '?') {
		i++;
	}
	return i;
}

static struct str without_fragment(struct str s)
{
	return str_slice(s, 0, str_find_char(s, 0, '#'));
}

/* Visible ASCII; a backslash is a slash to some and a letter to others. */
static bool has_url_bytes(struct str s)
{
	return str_all_are(s, CHAR_TARGET) && str_index(s, '\\') < 0;
}

enum err uri_parse(struct str text, struct uri *out, struct fault *f)
{
	struct uri u = {0};
	struct str rest;
	size_t at, q;

	text = without_fragment(text);
	if (text.n > URI_BYTES_MAX) {
		return fault_set(f, ERR_INVALID, "URL longer than %d bytes", URI_BYTES_MAX);
	}
	if (!has_url_bytes(text)) {
		return fault_set(f, ERR_INVALID, "URL with blanks, controls or non-ASCII bytes");
	}
	if (!parse_scheme(text, &u, &rest)) {
		return fault_set(f, ERR_INVALID, "URL does not start with http:// or https://");
	}
	at = path_start(rest);
	TRY(set_authority(str_slice(rest, 0, at), &u, f));
	rest = str_skip(rest, at);
	q = str_find_char(rest, 0, '?');
	u.path = q > 0 ? str_slice(rest, 0, q) : STR("/");
	u.query = q < rest.n ? str_of(rest.p + q + 1, rest.n - q - 1) : STR_NULL;
	if (has_broken_escape(u.path)) {
		return fault_set(f, ERR_INVALID, "URL with a broken %%-escape");
	}
	*out = u;
	return ERR_OK;
}

struct str uri_authority(struct arena *a, const struct uri *u)
{
	const char *open = u->host_is_ipv6 ? "[" : "", *close = u->host_is_ipv6 ? "]" : "";

	if (u->port == (u->tls ? 443 : 80)) {
		return str_fmt(a, "%s%.*s%s", open, STR_ARG(u->host), close);
	}
	return str_fmt(a, "%s%.*s%s:%u", open, STR_ARG(u->host), close, u->port);
}

struct str uri_origin(struct arena *a, const struct uri *u)
{
	struct str authority = uri_authority(a, u);

	return str_fmt(a, "%s://%.*s", u->tls ? "https" : "http", STR_ARG(authority));
}

int uri_eager_byte(struct str s, size_t *i)
{
	unsigned v;

	if (s.p[*i] != '%') {
		char c = s.p[(*i)++];

		return char_is(c, CHAR_TARGET) && c != '\\' ? c : -1;
	}
	if (!is_escape(s, *i)) {
		return -1;
	}
	v = char_hex(s.p[*i + 1]) << 4 | char_hex(s.p[*i + 2]);
	*i += 3;
	while (v == '%' && *i + 1 < s.n && char_is(s.p[*i], CHAR_HEX) &&
	       char_is(s.p[*i + 1], CHAR_HEX)) {
		v = char_hex(s.p[*i]) << 4 | char_hex(s.p[*i + 1]);
		*i += 2;
	}
	if ((v & 0xfe) == 0xc0 && is_escape(s, *i) && (char_hex(s.p[*i + 1]) & 0xc) == 8) {
		v = (v & 1) << 6 | ((char_hex(s.p[*i + 1]) & 3) << 4) | char_hex(s.p[*i + 2]);
		*i += 3;
	}
	return v < 0x20 || v == 0x7f ? -1 : (int)v;
}

/* What a path segment has shown so far. */
struct segment {
	unsigned dots;
	bool has_other;	 /* anything but dots and blanks before a ';' */
	bool has_params; /* ';' seen: some servers drop the rest */
};

static bool is_dots(const struct segment *g)
{
	return !g->has_other && (g->dots == 1 || g->dots == 2);
}

static void segment_add(struct segment *g, int c)
{
	if (c == ';') {
		g->has_params = true;
	} else if (c == '.' && !g->has_params) {
		g->dots++;
	} else if (c != ' ' && !g->has_params) {
		g->has_other = true;
	}
}

static bool is_separator(int c)
{
	return c == '/' || c == '\\' || c == '?' || c == '#';
}

static bool path_is_safe(struct str path)
{
	struct segment g = {0};
	size_t i = 0;

	if (path.n > 0 && path.p[0] == '/') {
		return false;
	}
	while (i < path.n) {
		bool is_double = i > 0 && path.p[i] == '/' && path.p[i - 1] == '/';
		int c = uri_eager_byte(path, &i);

		if (c < 0 || is_double) {
			return false;
		}
		if (!is_separator(c)) {
			segment_add(&g, c);
			continue;
		}
		if (is_dots(&g)) {
			return false;
		}
		g = (struct segment){0};
	}
	return !is_dots(&g);
}

/* Length of "scheme:" at the front; 0 when there is none. */
static size_t scheme_len(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = ascii_lower(s.p[i]);

		if (c == ':') {
			return i > 0 ? i + 1 : 0;
		}
		if (!(c >= 'a' && c <= 'z') &&
		    (i == 0 || (!char_is(c, CHAR_DIGIT) && c != '+' && c != '-' && c != '.'))) {
			return 0;
		}
	}
	return 0;
}

bool uri_rest_is_safe(struct str rest)
{
	size_t q = str_find_char(rest, 0, '?'), scheme = scheme_len(rest);

	if (!str_all_are(str_skip(rest, q), CHAR_TARGET)) {
		return false;
	}
	if (scheme > 0 && scheme < rest.n && rest.p[scheme] == '/') {
		return false;
	}
	return path_is_safe(str_slice(rest, 0, q));
}

/* RFC 3986 4.2: "./" before a first segment that holds a colon only says that it is no scheme. */
static struct str without_guard(struct str rest)
{
	struct str bare = str_skip(rest, 2);
	size_t end = path_start(bare);

	return str_starts(rest, STR("./")) && str_index(str_slice(bare, 0, end), ':') >= 0 ? bare
											   : rest;
}

enum err uri_append(struct arena *a, const struct uri *base, struct str rest,
		    struct str *out_path_query)
{
	rest = without_guard(rest);
	bool needs_slash = rest.n > 0 && rest.p[0] != '?' && !str_ends(base->path, STR("/"));

	if (!uri_rest_is_safe(rest)) {
		return ERR_INVALID;
	}
	if (rest.n == 0 && base->query.p) {
		*out_path_query =
			str_fmt(a, "%.*s?%.*s", STR_ARG(base->path), STR_ARG(base->query));
	} else {
		*out_path_query = str_fmt(a, "%.*s%s%.*s", STR_ARG(base->path),
					  needs_slash ? "/" : "", STR_ARG(rest));
	}
	return ERR_OK;
}

/* RFC 3986 5.2.4 for a path that starts with '/'; `out` holds as many bytes. */
static size_t remove_dot_segments(struct str path, char *out)
{
	size_t n = 0, i = 0;

	while (i < path.n) {
		size_t end = str_find_char(path, i + 1, '/');
		struct str segment = str_slice(path, i + 1, end - i - 1);
		bool up = str_eq(segment, STR("..")), here = str_eq(segment, STR("."));

		if (up) {
			while (n > 0 && out[--n] != '/') {
			}
		} else if (!here) {
			memcpy(out + n, path.p + i, end - i);
			n += end - i;
		}
		if ((up || here) && end == path.n) {
			out[n++] = '/';
		}
		i = end;
	}
	return n;
}

/* RFC 3986 5.2.3: `path` in place of what follows the base's last slash. */
static struct str merge_paths(struct arena *a, struct str base, struct str path)
{
	size_t dir = (size_t)(str_rindex(base, '/') + 1);
	struct str all =
		path.p[0] == '/' ? path : str_fmt(a, "%.*s%.*s", (int)dir, base.p, STR_ARG(path));
	char *out = arena_alloc(a, all.n + 1);

	return str_of(out, remove_dot_segments(all, out));
}

static struct str resolve_path(struct arena *a, const struct uri *base, struct str ref)
{
	struct str origin = uri_origin(a, base), path;
	size_t q = str_find_char(ref, 0, '?');

	if (ref.n == 0 && base->query.p) {
		return str_fmt(a, "%.*s%.*s?%.*s", STR_ARG(origin), STR_ARG(base->path),
			       STR_ARG(base->query));
	}
	path = q > 0 ? merge_paths(a, base->path, str_slice(ref, 0, q)) : base->path;
	ref = str_skip(ref, q);
	return str_fmt(a, "%.*s%.*s%.*s", STR_ARG(origin), STR_ARG(path), STR_ARG(ref));
}

enum err uri_resolve(struct arena *a, struct str base, struct str ref, struct str *out)
{
	struct uri b = {0}, checked;
	struct str text;

	ref = without_fragment(ref);
	if (ref.n > URI_BYTES_MAX || !has_url_bytes(ref)) {
		return ERR_INVALID;
	}
	TRY(uri_parse(base, &b, NULL));
	if (scheme_len(ref) > 0) {
		text = str_dup(a, ref);
	} else if (str_starts(ref, STR("//"))) {
		text = str_fmt(a, "%s:%.*s", b.tls ? "https" : "http", STR_ARG(ref));
	} else {
		text = resolve_path(a, &b, ref);
	}
	TRY(uri_parse(text, &checked, NULL));
	*out = text;
	return ERR_OK;
}
