/*
 * rand - random bytes from the kernel, see rand.h
 */
#include "base/rand.h"

#include "base/attr.h"

#include <errno.h>
#include <sys/random.h>

void rand_bytes(void *out, size_t n)
{
	char *p = out;

	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		ASSERT(got > 0 || (got < 0 && errno == EINTR));
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
}

/* Lemire, "Fast random integer generation in an interval". */
uint32_t rand_below(uint32_t bound)
{
	uint32_t x, threshold;
	uint64_t product;

	ASSERT(bound > 0);
	threshold = (0 - bound) % bound;
	do {
		rand_bytes(&x, sizeof(x));
		product = (uint64_t)x * bound;
	} while ((uint32_t)product < threshold);
	return (uint32_t)(product >> 32);
}
