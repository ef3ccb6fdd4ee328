/* The records of any answer: stay inside of it, and end. */
#include "net/dns_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct dns_reader r;
	struct dns_rr rr;
	size_t records = 0;

	if (dns_reader_init(&r, p, n) != ERR_OK) {
		return 0;
	}
	while (dns_reader_next(&r, &rr)) {
		struct str target = dns_name_str(&rr.target);
		bool named = rr.type == DNS_TYPE_CNAME || rr.type == DNS_TYPE_SRV;

		/* A record has eleven bytes at least. */
		ASSERT(++records <= n / 11);
		ASSERT(r.at <= n);
		for (size_t i = 0; named && i < target.n; i++) {
			ASSERT(target.p[i] > ' ' && target.p[i] < 0x7f);
		}
	}
	return 0;
}
