/*
 * names - header names that the server knows: their usual spelling, and those
 * that end at the next hop
 */
#include "http/chars.h"
#include "http/message.h"

static const struct str names_2[] = {STR_INIT("TE")};
static const struct str names_3[] = {STR_INIT("Age"), STR_INIT("DNT"), STR_INIT("Via")};
static const struct str names_4[] = {STR_INIT("Host"), STR_INIT("Date"), STR_INIT("ETag"),
				     STR_INIT("Vary"), STR_INIT("From"), STR_INIT("Link")};
static const struct str names_5[] = {STR_INIT("Allow"), STR_INIT("Range")};
static const struct str names_6[] = {STR_INIT("Accept"), STR_INIT("Cookie"), STR_INIT("Server"),
				     STR_INIT("Origin"), STR_INIT("Expect"), STR_INIT("Pragma")};
static const struct str names_7[] = {STR_INIT("Upgrade"), STR_INIT("Expires"), STR_INIT("Trailer"),
				     STR_INIT("Referer"), STR_INIT("Warning"), STR_INIT("Alt-Svc")};
static const struct str names_8[] = {STR_INIT("If-Range"), STR_INIT("If-Match"),
				     STR_INIT("Location")};
static const struct str names_9[] = {STR_INIT("Forwarded"), STR_INIT("X-Real-IP")};
static const struct str names_10[] = {STR_INIT("Connection"), STR_INIT("User-Agent"),
				      STR_INIT("Set-Cookie"), STR_INIT("Keep-Alive"),
				      STR_INIT("Tracestate")};
static const struct str names_11[] = {STR_INIT("Traceparent"), STR_INIT("Retry-After")};
static const struct str names_12[] = {STR_INIT("Content-Type"), STR_INIT("Max-Forwards"),
				      STR_INIT("X-Powered-By"), STR_INIT("X-Request-ID")};
static const struct str names_13[] = {STR_INIT("Accept-Ranges"), STR_INIT("Authorization"),
				      STR_INIT("Cache-Control"), STR_INIT("Last-Modified"),
				      STR_INIT("Content-Range"), STR_INIT("If-None-Match")};
static const struct str names_14[] = {STR_INIT("Content-Length"), STR_INIT("Accept-Charset")};
static const struct str names_15[] = {STR_INIT("Accept-Encoding"), STR_INIT("Accept-Language"),
				      STR_INIT("X-Frame-Options"), STR_INIT("X-Forwarded-For")};
static const struct str names_16[] = {STR_INIT("Content-Encoding"), STR_INIT("Content-Language"),
				      STR_INIT("Content-Location"), STR_INIT("WWW-Authenticate"),
				      STR_INIT("X-Requested-With"), STR_INIT("X-Correlation-ID"),
				      STR_INIT("X-Forwarded-Host"), STR_INIT("X-Forwarded-Port"),
				      STR_INIT("X-XSS-Protection"), STR_INIT("Proxy-Connection")};
static const struct str names_17[] = {STR_INIT("Transfer-Encoding"), STR_INIT("If-Modified-Since"),
				      STR_INIT("X-Forwarded-Proto"), STR_INIT("Sec-WebSocket-Key"),
				      STR_INIT("X-RateLimit-Limit"), STR_INIT("X-RateLimit-Reset")};
static const struct str names_18[] = {STR_INIT("Proxy-Authenticate"),
				      STR_INIT("X-Forwarded-Prefix")};
static const struct str names_19[] = {STR_INIT("Content-Disposition"),
				      STR_INIT("If-Unmodified-Since"),
				      STR_INIT("Proxy-Authorization")};
static const struct str names_20[] = {STR_INIT("Sec-WebSocket-Accept")};
static const struct str names_21[] = {STR_INIT("Sec-WebSocket-Version"),
				      STR_INIT("X-RateLimit-Remaining")};
static const struct str names_22[] = {STR_INIT("Sec-WebSocket-Protocol"),
				      STR_INIT("X-Content-Type-Options")};
static const struct str names_23[] = {STR_INIT("Content-Security-Policy")};
static const struct str names_24[] = {STR_INIT("Sec-WebSocket-Extensions")};
static const struct str names_25[] = {STR_INIT("Strict-Transport-Security"),
				      STR_INIT("Upgrade-Insecure-Requests")};
static const struct str names_27[] = {STR_INIT("Access-Control-Allow-Origin")};
static const struct str names_28[] = {STR_INIT("Access-Control-Allow-Headers"),
				      STR_INIT("Access-Control-Allow-Methods")};
static const struct str names_29[] = {STR_INIT("Access-Control-Expose-Headers"),
				      STR_INIT("Access-Control-Request-Method")};
static const struct str names_30[] = {STR_INIT("Access-Control-Request-Headers")};
static const struct str names_32[] = {STR_INIT("Access-Control-Allow-Credentials")};

#define NAMES(n) [n] = {names_##n, ARRAY_LEN(names_##n)}

/* By length, so that a look-up compares a handful of names at most. */
static const struct {
	const struct str *v;
	size_t n;
} names_by_length[] = {
	NAMES(2),  NAMES(3),  NAMES(4),	 NAMES(5),  NAMES(6),  NAMES(7),  NAMES(8),  NAMES(9),
	NAMES(10), NAMES(11), NAMES(12), NAMES(13), NAMES(14), NAMES(15), NAMES(16), NAMES(17),
	NAMES(18), NAMES(19), NAMES(20), NAMES(21), NAMES(22), NAMES(23), NAMES(24), NAMES(25),
	NAMES(27), NAMES(28), NAMES(29), NAMES(30), NAMES(32),
};

struct str http_canonical_name(struct str name)
{
	char first;

	if (name.n == 0 || name.n >= ARRAY_LEN(names_by_length)) {
		return name;
	}
	first = ascii_lower(name.p[0]);
	for (size_t i = 0; i < names_by_length[name.n].n; i++) {
		struct str known = names_by_length[name.n].v[i];

		if (ascii_lower(known.p[0]) == first && str_eq_nocase(known, name)) {
			return known;
		}
	}
	return name;
}

bool http_is_hop_by_hop(struct str name)
{
	switch (name.n) {
	case 2:
		return TOKEN_IS(name, "te");
	case 7:
		return TOKEN_IS(name, "trailer") || TOKEN_IS(name, "upgrade");
	case 10:
		return TOKEN_IS(name, "connection") || TOKEN_IS(name, "keep-alive");
	case 16:
		return TOKEN_IS(name, "proxy-connection");
	case 17:
		return TOKEN_IS(name, "transfer-encoding");
	case 18:
		return TOKEN_IS(name, "proxy-authenticate");
	case 19:
		return TOKEN_IS(name, "proxy-authorization");
	default:
		return false;
	}
}

/* `lower` with any '_' for '-'. */
static bool is_alias(struct str name, const char *lower)
{
	for (size_t i = 0; i < name.n; i++) {
		if ((name.p[i] == '_' ? '-' : ascii_lower(name.p[i])) != lower[i]) {
			return false;
		}
	}
	return true;
}

bool http_is_no_trailer(struct str name)
{
	switch (name.n) {
	case 2:
		return TOKEN_IS(name, "te");
	case 4:
		return TOKEN_IS(name, "host");
	case 6:
		return TOKEN_IS(name, "expect");
	case 7:
		return TOKEN_IS(name, "trailer") || TOKEN_IS(name, "upgrade");
	case 10:
		return TOKEN_IS(name, "connection") || TOKEN_IS(name, "keep-alive");
	case 14:
		return is_alias(name, "content-length");
	case 17:
		return is_alias(name, "transfer-encoding");
	default:
		return false;
	}
}

/*
 * Fields that say what the message is or who sent it: RFC 9110 7.6.1 forbids to list them, and a
 * sender that does wants the next hop to misread it.
 */
static bool is_end_to_end(struct str name)
{
	switch (name.n) {
	case 4:
		return TOKEN_IS(name, "host");
	case 6:
		return TOKEN_IS(name, "cookie");
	case 12:
		return TOKEN_IS(name, "content-type");
	case 13:
		return TOKEN_IS(name, "authorization") || TOKEN_IS(name, "content-range");
	case 14:
		return TOKEN_IS(name, "content-length");
	case 16:
		return TOKEN_IS(name, "content-encoding");
	default:
		return false;
	}
}

/* More names in Connection lines than this are no longer looked at: each costs a pass. */
#define LISTED_MAX 64

static void blank_listed(struct http_headers *h, struct str list, size_t *budget)
{
	struct str part;

	if (TOKEN_IS(list, "keep-alive")) { /* as most say: it goes anyway */
		return;
	}
	while (*budget > 0 && str_split(&list, ',', &part)) {
		part = str_trim(part);
		/* The usual ones name no field, or one that goes anyway. */
		if (part.n == 0 || TOKEN_IS(part, "close") || http_is_hop_by_hop(part) ||
		    is_end_to_end(part)) {
			continue;
		}
		(*budget)--;
		for (size_t i = 0; i < h->n; i++) {
			struct str name = h->v[i].name;

			if (name.n == part.n && str_eq_nocase(name, part)) {
				h->v[i].name = STR_NULL;
			}
		}
	}
}

/* Names to drop are blanked first: the Connection lines must stay until all are read. */
void http_strip_hop_by_hop(struct http_headers *h)
{
	size_t kept = 0, budget = LISTED_MAX;

	for (size_t i = 0; i < h->n; i++) {
		if (TOKEN_IS(h->v[i].name, "connection")) {
			blank_listed(h, h->v[i].value, &budget);
		}
	}
	for (size_t i = 0; i < h->n; i++) {
		if (h->v[i].name.n == 0 || http_is_hop_by_hop(h->v[i].name)) {
			continue;
		}
		if (kept != i) {
			h->v[kept] = h->v[i];
		}
		kept++;
	}
	h->n = kept;
}
