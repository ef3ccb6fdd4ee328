#include "relay/forwarded.h"

#include "relay/config.h"

#define XFF STR("X-Forwarded-For")
#define XFH STR("X-Forwarded-Host")
#define XFP STR("X-Forwarded-Proto")
#define XFPORT STR("X-Forwarded-Port")
#define FWD STR("Forwarded")

static const struct str x_names[] = {STR_INIT("X-Forwarded-For"), STR_INIT("X-Forwarded-Host"),
				     STR_INIT("X-Forwarded-Proto"), STR_INIT("X-Forwarded-Port")};

static bool is_alias(struct str name)
{
	if (str_index(name, '_') < 0 || name.n > 32) {
		return false;
	}
	char folded[32];

	for (size_t i = 0; i < name.n; i++) {
		folded[i] = name.p[i] == '_' ? '-' : name.p[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(x_names); i++) {
		if (str_eq_nocase(str_of(folded, name.n), x_names[i])) {
			return true;
		}
	}
	return false;
}

static void drop_aliases(struct http_headers *h)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->n; i++) {
		if (!is_alias(h->v[i].name)) {
			h->v[kept++] = h->v[i];
		}
	}
	h->n = kept;
}

/* All lines of a list header as one value. */
static struct str joined(struct arena *a, const struct http_headers *h, struct str name)
{
	struct str all = STR_NULL;

	for (size_t i = 0; i < h->n; i++) {
		if (!str_eq_nocase(h->v[i].name, name) || h->v[i].value.n == 0) {
			continue;
		}
		all = all.p ? str_fmt(a, "%.*s, %.*s", STR_ARG(all), STR_ARG(h->v[i].value))
			    : h->v[i].value;
	}
	return all;
}

static void append(struct arena *a, struct http_headers *h, struct str name, struct str value,
		   bool keep)
{
	struct str before = keep ? joined(a, h, name) : STR_NULL;

	if (before.p) {
		value = str_fmt(a, "%.*s, %.*s", STR_ARG(before), STR_ARG(value));
	}
	http_header_set(a, h, name, value);
}

static void set_unless(struct arena *a, struct http_headers *h, struct str name, struct str value,
		       bool keep)
{
	if (!keep || http_header_get(h, name).n == 0) {
		http_header_set(a, h, name, value);
	}
}

/* Splits "[::1]:80" and "name:80"; `port` p NULL when there is none. */
static void split_host(struct str host, struct str *out_name, struct str *out_port)
{
	ptrdiff_t colon = str_rindex(host, ':');
	ptrdiff_t bracket = str_rindex(host, ']');

	*out_name = host;
	*out_port = STR_NULL;
	if (colon > bracket) {
		*out_name = str_slice(host, 0, (size_t)colon);
		*out_port = str_skip(host, (size_t)colon + 1);
	}
}

static void apply_x(struct arena *a, const struct forwarded *f, struct http_headers *h,
		    struct str ip)
{
	struct str name, port;
	bool keep = f->peer_is_trusted;

	split_host(f->host, &name, &port);
	append(a, h, XFF, ip, keep);
	set_unless(a, h, XFH, name, keep);
	set_unless(a, h, XFPORT, port.n > 0 ? port : f->is_tls ? STR("443") : STR("80"), keep);
	set_unless(a, h, XFP, f->is_tls ? STR("https") : STR("http"), keep);
}

static void remove_x(struct http_headers *h)
{
	for (size_t i = 0; i < ARRAY_LEN(x_names); i++) {
		(void)http_header_remove(h, x_names[i]);
	}
}

/* What the client asked for: the gateway may have changed Host. */
static struct str host_of(struct arena *a, const struct forwarded *f, const struct http_headers *h)
{
	struct str name = http_header_get(h, XFH), port = http_header_get(h, XFPORT);
	struct str usual = str_eq(forwarded_scheme(f, h), STR("https")) ? STR("443") : STR("80");

	if (!f->by_gateway || name.n == 0) {
		return f->host;
	}
	return port.n == 0 || str_eq(port, usual)
		       ? name
		       : str_fmt(a, "%.*s:%.*s", STR_ARG(name), STR_ARG(port));
}

static void apply_rfc7239(struct arena *a, const struct forwarded *f, struct http_headers *h,
			  struct str ip)
{
	bool v6 = str_index(ip, ':') >= 0;
	struct str proto = f->by_gateway ? forwarded_scheme(f, h)
			   : f->is_tls	 ? STR("https")
					 : STR("http");
	struct str element =
		str_fmt(a, "for=%s%.*s%s;host=\"%.*s\";proto=%.*s", v6 ? "\"[" : "", STR_ARG(ip),
			v6 ? "]\"" : "", STR_ARG(host_of(a, f, h)), STR_ARG(proto));

	append(a, h, FWD, element, f->peer_is_trusted);
}

void forwarded_apply(struct arena *a, const struct forwarded *f, struct http_headers *h)
{
	char text[ADDR_TEXT_MAX];
	struct str ip = str_dup(a, str_of(text, addr_format_ip(&f->peer, text)));

	if (f->mode == FORWARDED_NONE) {
		return;
	}
	drop_aliases(h);
	if (!f->by_gateway && f->mode != FORWARDED_RFC7239) {
		apply_x(a, f, h, ip);
	} else if (!f->by_gateway && !f->peer_is_trusted) {
		remove_x(h);
	}
	if (f->mode != FORWARDED_X) {
		apply_rfc7239(a, f, h, ip);
	} else if (!f->peer_is_trusted) {
		(void)http_header_remove(h, FWD);
	}
}

const struct addr *forwarded_client(struct arena *a, const struct addr *peer,
				    struct addr_nets trusted, const struct http_headers *h)
{
	struct addr told;

	if (!addr_nets_have(trusted, peer) || !addr_told(joined(a, h, XFF), trusted, true, &told)) {
		return peer;
	}
	return memcpy(ARENA_NEW(a, struct addr), &told, sizeof(told));
}

struct str forwarded_scheme(const struct forwarded *f, const struct http_headers *h)
{
	bool believed = f->peer_is_trusted || f->by_gateway;
	struct str said = believed ? http_header_get(h, XFP) : STR_NULL;

	if (str_eq_nocase(said, STR("https")) || str_eq_nocase(said, STR("http"))) {
		return str_eq_nocase(said, STR("https")) ? STR("https") : STR("http");
	}
	return f->is_tls ? STR("https") : STR("http");
}
