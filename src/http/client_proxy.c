#include "http/client_proxy.h"

#include "base/enc.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/addr.h"

#include <stdlib.h>

struct exception {
	struct exception *next;
	bool all;
	bool is_net;
	struct addr_net net;
	struct str host; /* without leading dot */
	uint16_t port;	 /* 0 = any */
};

struct http_proxy_env {
	struct arena arena;
	struct http_proxy *http, *https; /* NULL = none */
	struct exception *exceptions;
};

/* ---- reading ---- */

static struct str basic_authorization(struct arena *a, struct str userinfo)
{
	struct buf plain = {0}, text = {0};
	struct str out = STR_NULL;

	if (percent_decode(&plain, userinfo) == ERR_OK) {
		buf_puts(&text, "Basic ");
		base64_encode(&text, buf_str(&plain));
		out = str_dup(a, buf_str(&text));
	}
	if (plain.p) {
		mem_wipe(plain.p, plain.cap);
	}
	if (text.p) {
		mem_wipe(text.p, text.cap);
	}
	buf_free(&plain);
	buf_free(&text);
	return out;
}

/* "proxy:3128" is read as "http://proxy:3128". */
static struct http_proxy *proxy_new(struct arena *a, struct str text)
{
	struct http_proxy *p = ARENA_NEW(a, struct http_proxy);
	struct uri u;

	text = str_find(text, STR("://")) < 0 ? str_fmt(a, "http://%.*s", STR_ARG(text))
					      : str_dup(a, text);
	if (!str_starts_nocase(text, STR("http://")) || uri_parse(text, &u, NULL) != ERR_OK) {
		log_warn("http", "only http:// proxies are supported: calls through it will fail");
		return p;
	}
	p->usable = true;
	p->host = u.host;
	p->port = u.port;
	if (u.userinfo.n > 0) {
		p->authorization = basic_authorization(a, u.userinfo);
	}
	return p;
}

/* Splits ":8080" off a host name; an IPv6 address stands in brackets then. */
static struct str take_port(struct str s, uint16_t *out_port)
{
	ptrdiff_t colon = str_rindex(s, ':');
	uint64_t port;

	if (colon >= 0 && str_index(s, ':') == colon &&
	    str_to_u64(str_skip(s, (size_t)colon + 1), &port) && port <= UINT16_MAX) {
		*out_port = (uint16_t)port;
		return str_slice(s, 0, (size_t)colon);
	}
	return s;
}

static void add_exception(struct http_proxy_env *e, struct str s)
{
	struct exception *x = ARENA_NEW(&e->arena, struct exception);

	if (str_eq(s, STR("*"))) {
		x->all = true;
	} else if (addr_net_parse(s, &x->net) == ERR_OK) {
		x->is_net = true;
	} else {
		s = take_port(s, &x->port);
		if (addr_net_parse(s, &x->net) == ERR_OK) {
			x->is_net = true;
		} else if (str_starts(s, STR("*."))) {
			s = str_skip(s, 2);
		} else if (str_starts(s, STR("."))) {
			s = str_skip(s, 1);
		}
		x->host = str_dup(&e->arena, s);
	}
	x->next = e->exceptions;
	e->exceptions = x;
}

struct http_proxy_env *http_proxy_env_new(const struct http_proxy_vars *vars)
{
	struct str http = str_trim(vars->http.n > 0 ? vars->http : vars->all);
	struct str https = str_trim(vars->https.n > 0 ? vars->https : vars->all);
	struct str rest = vars->none, list, part;
	struct http_proxy_env *e = MEM_NEW(struct http_proxy_env);

	arena_init(&e->arena, 0);
	if (http.n > 0) {
		e->http = proxy_new(&e->arena, http);
	}
	if (https.n > 0) {
		e->https = proxy_new(&e->arena, https);
	}
	while (str_split(&rest, ',', &list)) {
		while (str_split(&list, ' ', &part)) {
			part = str_trim(part);
			if (part.n > 0) {
				add_exception(e, part);
			}
		}
	}
	return e;
}

static struct str env(const char *lower, const char *upper)
{
	const char *v = getenv(lower);

	return str_c(v && *v ? v : getenv(upper));
}

struct http_proxy_env *http_proxy_env_read(void)
{
	struct http_proxy_vars vars = {
		.http = env("http_proxy", "HTTP_PROXY"),
		.https = env("https_proxy", "HTTPS_PROXY"),
		.all = env("all_proxy", "ALL_PROXY"),
		.none = env("no_proxy", "NO_PROXY"),
	};

	if (vars.http.n == 0 && vars.https.n == 0 && vars.all.n == 0) {
		return NULL;
	}
	return http_proxy_env_new(&vars);
}

void http_proxy_env_free(struct http_proxy_env **ep)
{
	if (*ep) {
		arena_fini(&(*ep)->arena);
		mem_free(*ep);
		*ep = NULL;
	}
}

/* ---- choosing ---- */

static bool is_or_below(struct str host, struct str domain)
{
	size_t n = domain.n;

	if (n == 0 || host.n < n || !str_eq_nocase(str_skip(host, host.n - n), domain)) {
		return false;
	}
	return host.n == n || host.p[host.n - n - 1] == '.';
}

static bool is_loopback(const struct addr *a)
{
	static const char *const nets[] = {"127.0.0.0/8", "::1/128", "::ffff:127.0.0.0/104"};
	struct addr_net net;

	for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
		if (addr_net_parse(str_c(nets[i]), &net) == ERR_OK && addr_net_has(&net, a)) {
			return true;
		}
	}
	return false;
}

static bool is_excepted(const struct exception *x, const struct uri *u, const struct addr *ip)
{
	if (x->port != 0 && x->port != u->port) {
		return false;
	}
	if (x->is_net) {
		return ip && addr_net_has(&x->net, ip);
	}
	return x->all || is_or_below(u->host, x->host);
}

const struct http_proxy *http_proxy_for(const struct http_proxy_env *e, const struct uri *u)
{
	struct addr a;
	const struct addr *ip = NULL;

	if (!e) {
		return NULL;
	}
	if (addr_from_ip(u->host, u->port, &a) == ERR_OK) {
		ip = &a;
	}
	if (ip ? is_loopback(ip) : is_or_below(u->host, STR("localhost"))) {
		return NULL;
	}
	for (const struct exception *x = e->exceptions; x; x = x->next) {
		if (is_excepted(x, u, ip)) {
			return NULL;
		}
	}
	return u->tls ? e->https : e->http;
}
