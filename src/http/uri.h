/*
 * uri - http and https URLs (RFC 3986), and paths that must stay below a base
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct uri {
	bool tls;	 /* https, wss */
	struct str host; /* without brackets */
	bool host_is_ipv6;
	uint16_t port; /* default filled in */
	bool has_port; /* written in the text */
	struct str userinfo;
	struct str path;  /* raw, at least "/" */
	struct str query; /* raw, without '?'; p NULL = none */
};

/*
 * http, https, ws, wss; strings point into `text`. A fragment is dropped. ERR_INVALID
 * for anything but visible ASCII, a backslash, a broken escape in the path, a host of
 * other than letters, digits and "-._~", or an IP address that is none.
 */
enum err uri_parse(struct str text, struct uri *out, struct fault *f) MUST_USE;
/* "host:port" or, with the scheme's default port, "host". */
struct str uri_authority(struct arena *a, const struct uri *u);
/* scheme://authority, no path, no userinfo; ws gives http and wss https. */
struct str uri_origin(struct arena *a, const struct uri *u);
/* "localhost", "10.0.0.5:80", "[::1]:80": reg-name or IP, optional port; what Host may hold. */
bool uri_is_authority(struct str s);

/*
 * Whether appending `rest` (path and query, as a client sent them) to a base
 * path ending in '/' stays below it: refuses a scheme, a leading "/" or "\",
 * "//", and dot segments in every spelling (%2e, %2E, ..;, backslashes, %2f and %5c beside dots,
 * each also escaped twice or as overlong UTF-8), controls and broken escapes. In the query only
 * controls, blanks, '#' and bytes outside ASCII are refused.
 */
bool uri_rest_is_safe(struct str rest);
/*
 * The byte of a path at `*i`, which moves behind it, as a server sees it that decodes eagerly:
 * escaped escapes ("%252e") and overlong UTF-8 ("%c0%ae"). -1 when broken or not allowed in a path.
 */
int uri_eager_byte(struct str s, size_t *i);
/*
 * base path + rest. The base gets a "/" at its end unless rest is empty or only
 * a query. The base's own query stays only when rest is empty (RFC 3986 5.2.2).
 * "./" before a first segment with a colon, as in "./ftp:x", is taken off.
 * ERR_INVALID when uri_rest_is_safe says no.
 */
enum err uri_append(struct arena *a, const struct uri *base, struct str rest,
		    struct str *out_path_query) MUST_USE;
/*
 * RFC 3986 5.2 resolution of a relative reference against a base, for discovery
 * documents and redirects; text of an absolute URL.
 */
enum err uri_resolve(struct arena *a, struct str base, struct str ref, struct str *out) MUST_USE;
