/*
 * dns_int - for tests: name servers other than the system's
 */
#pragma once
#include "net/dns.h"

/* "127.0.0.1:5353,…" instead of resolv.conf, and no hosts file. */
enum err dns_use_servers(struct loop *l, const char *csv) MUST_USE;
