/*
 * dns_message - reads the records of an answer (RFC 1035 4, RFC 2782)
 *
 * Bytes in, records out; nothing is allocated and nothing outside of the message is read.
 * Records of other types than those below are passed over, and so are names that are
 * no host names: they would end in a Host header.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum dns_type { DNS_TYPE_A = 1, DNS_TYPE_CNAME = 5, DNS_TYPE_AAAA = 28, DNS_TYPE_SRV = 33 };

#define DNS_NAME_MAX 255

struct dns_name {
	uint8_t n;
	char text[DNS_NAME_MAX]; /* lower case, no dot at the end */
};

static inline struct str dns_name_str(const struct dns_name *n)
{
	return str_of(n->text, n->n);
}

struct dns_rr {
	enum dns_type type;
	bool additional; /* in the additional section, else in the answer */
	uint32_t ttl_s;
	struct dns_name owner;
	uint8_t ip[16];		/* A: 4 bytes; AAAA: 16 */
	struct dns_name target; /* CNAME, SRV */
	uint16_t priority, weight, port;
};

struct dns_reader {
	const uint8_t *p;
	size_t n, at;
	unsigned left[3]; /* records of the answer, authority and additional sections */
	unsigned section;
};

/* ERR_PROTO when header or question are cut. */
enum err dns_reader_init(struct dns_reader *r, const void *p, size_t n) MUST_USE;
/* False at the end, or where the message is broken: what came before stands. */
bool dns_reader_next(struct dns_reader *r, struct dns_rr *out);
