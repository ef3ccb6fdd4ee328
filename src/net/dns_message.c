#include "net/dns_message.h"

#define HEADER_BYTES 12
#define JUMPS_MAX 32
#define CLASS_IN 1

static unsigned u16_at(const struct dns_reader *r, size_t at)
{
	return (unsigned)r->p[at] << 8 | r->p[at + 1];
}

static bool has(const struct dns_reader *r, size_t at, size_t n)
{
	return at <= r->n && n <= r->n - at;
}

static bool is_host_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/* Appends a label and the dot before it. False: too long; `*odd` when it is no host name. */
static bool put_label(struct dns_name *out, const uint8_t *p, size_t n, bool *odd)
{
	size_t dot = out->n > 0;

	if (out->n + dot + n > DNS_NAME_MAX) {
		return false;
	}
	if (dot) {
		out->text[out->n++] = '.';
	}
	for (size_t i = 0; i < n; i++) {
		*odd = *odd || !is_host_char(p[i]);
		out->text[out->n++] = ascii_lower((char)p[i]);
	}
	return true;
}

/*
 * A name at `*at`, which moves behind it; pointers (RFC 1035 4.1.4) only go backwards here, so
 * that they end. False when broken.
 */
static bool read_name(const struct dns_reader *r, size_t *at, struct dns_name *out, bool *odd)
{
	size_t pos = *at, limit = r->n;
	bool jumped = false;

	out->n = 0;
	for (unsigned steps = 0; steps < 128 + JUMPS_MAX; steps++) {
		if (!has(r, pos, 1)) {
			return false;
		}
		uint8_t c = r->p[pos];

		if (c >= 0xc0) {
			if (!has(r, pos, 2)) {
				return false;
			}
			size_t to = u16_at(r, pos) & 0x3fff;

			if (!jumped) {
				*at = pos + 2;
			}
			jumped = true;
			if (to >= pos || to >= limit) {
				return false;
			}
			pos = limit = to;
			continue;
		}
		if (c >= 0x40 || !has(r, pos + 1, c)) {
			return false;
		}
		if (c == 0) {
			*at = jumped ? *at : pos + 1;
			return true;
		}
		if (!put_label(out, r->p + pos + 1, c, odd)) {
			return false;
		}
		pos += 1u + c;
	}
	return false;
}

enum err dns_reader_init(struct dns_reader *r, const void *p, size_t n)
{
	struct dns_name name;
	bool odd = false;

	*r = (struct dns_reader){.p = p, .n = n, .at = HEADER_BYTES};
	if (n < HEADER_BYTES) {
		return ERR_PROTO;
	}
	for (unsigned i = 0; i < 3; i++) {
		r->left[i] = u16_at(r, 6 + 2 * (size_t)i);
	}
	for (unsigned questions = u16_at(r, 4); questions > 0; questions--) {
		if (!read_name(r, &r->at, &name, &odd) || !has(r, r->at, 4)) {
			return ERR_PROTO;
		}
		r->at += 4;
	}
	return ERR_OK;
}

/* The data of a record; false when it is to be passed over. */
static bool read_data(const struct dns_reader *r, size_t at, size_t n, struct dns_rr *out)
{
	bool odd = false;

	switch (out->type) {
	case DNS_TYPE_A:
	case DNS_TYPE_AAAA:
		if (n != (out->type == DNS_TYPE_A ? 4 : 16)) {
			return false;
		}
		memcpy(out->ip, r->p + at, n);
		return true;
	case DNS_TYPE_SRV:
		if (n < 7) {
			return false;
		}
		out->priority = (uint16_t)u16_at(r, at);
		out->weight = (uint16_t)u16_at(r, at + 2);
		out->port = (uint16_t)u16_at(r, at + 4);
		at += 6;
		break;
	case DNS_TYPE_CNAME:
		break;
	}
	/* An empty target of SRV says that there is no such service. */
	return read_name(r, &at, &out->target, &odd) && !odd && out->target.n > 0;
}

static bool is_known(unsigned type)
{
	return type == DNS_TYPE_A || type == DNS_TYPE_CNAME || type == DNS_TYPE_AAAA ||
	       type == DNS_TYPE_SRV;
}

bool dns_reader_next(struct dns_reader *r, struct dns_rr *out)
{
	for (;;) {
		bool odd = false;

		while (r->section < 3 && r->left[r->section] == 0) {
			r->section++;
		}
		if (r->section == 3 || !read_name(r, &r->at, &out->owner, &odd) ||
		    !has(r, r->at, 10)) {
			r->section = 3;
			r->left[2] = 0;
			return false;
		}
		r->left[r->section]--;
		unsigned type = u16_at(r, r->at), class = u16_at(r, r->at + 2);
		size_t n = u16_at(r, r->at + 8), data = r->at + 10;
		uint32_t ttl = u16_at(r, r->at + 4) << 16 | u16_at(r, r->at + 6);

		if (!has(r, data, n)) {
			r->section = 3;
			r->left[2] = 0;
			return false;
		}
		r->at = data + n;
		if (odd || class != CLASS_IN || r->section == 1 || !is_known(type)) {
			continue;
		}
		out->type = (enum dns_type)type;
		out->additional = r->section == 2;
		out->ttl_s = ttl > INT32_MAX ? 0 : ttl; /* RFC 2181 8 */
		if (read_data(r, data, n, out)) {
			return true;
		}
	}
}
