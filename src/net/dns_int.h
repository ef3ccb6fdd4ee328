/*
 * dns_int - what the files of the resolver share; and for tests: name servers other than
 * the system's
 */
#pragma once
#include "net/dns.h"
#include "net/dns_cache.h"
#include "net/dns_message.h"

/* "127.0.0.1:5353,…" instead of resolv.conf, and no hosts file. */
enum err dns_use_servers(struct loop *l, const char *csv) MUST_USE;

/* dns.c: `p` is the whole answer, empty unless `result` is ERR_OK. May call back at once. */
typedef void dns_raw_fn(void *arg, enum err result, const uint8_t *p, size_t n);
void dns_ask_raw(struct loop *l, struct str name, enum dns_type type, dns_raw_fn *fn, void *arg);

/* dns.c: the loop's, made with defaults on first use. NULL: no resolver could be made. */
struct dns_cache;
struct dns_cache *dns_cache_of(struct loop *l);
/* dns_cache.c */
struct dns_cache *dns_cache_new(struct loop *l, const struct dns_options *o);
void dns_cache_free(struct dns_cache **c);

/* dns_hosts.c: the hosts file, read again when it has changed. */
struct dns_hosts;
struct dns_hosts *dns_hosts_new(struct str path);
void dns_hosts_free(struct dns_hosts **h);
/*
 * The addresses of `name` (lower case): up to `max`, IPv4 ones if there are any, else IPv6.
 * Returns how many. "localhost" and names below it are 127.0.0.1 when the file says nothing.
 */
size_t dns_hosts_find(struct dns_hosts *h, struct str name, struct addr *out, size_t max);
