/*
 * client_proxy - proxies named in the environment
 *
 * As curl and most others read them: http_proxy, https_proxy, all_proxy and no_proxy, in lower or
 * upper case. NO_PROXY is a list of "*", host names (which also stand for their subdomains, with
 * or without a leading dot), IP addresses and networks; each but networks may have a port.
 *
 * Threads  immutable once made.
 */
#pragma once
#include "base/str.h"
#include "http/uri.h"

struct http_proxy {
	struct str host;
	uint16_t port;
	struct str authorization; /* "Basic …" or empty */
	bool usable;		  /* an http:// proxy; calls through any other fail */
};

/* As in the environment; empty = not set. */
struct http_proxy_vars {
	struct str http, https, all, none;
};

struct http_proxy_env;

struct http_proxy_env *http_proxy_env_new(const struct http_proxy_vars *vars);
/* http_proxy, HTTP_PROXY, ...: the lower-case name comes first, as with curl. */
struct http_proxy_env *http_proxy_env_read(void);
void http_proxy_env_free(struct http_proxy_env **e);
/* NULL = connect directly. Loopback addresses and what NO_PROXY names are direct. */
const struct http_proxy *http_proxy_for(const struct http_proxy_env *e, const struct uri *u);
