/*
 * Small requests are served from a pool that each thread fills with one system call:
 * a WebSocket client needs four bytes for every frame.
 */
#include "base/rand.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define POOL_BYTES 4096
#define SMALL_BYTES 64

struct rand_pool {
	unsigned char bytes[POOL_BYTES];
	size_t left;
};

static _Thread_local struct rand_pool pool;

static void from_kernel(void *out, size_t n)
{
	unsigned char *p = out;

	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0) {
			ASSERT(errno == EINTR);
			continue;
		}
		p += got;
		n -= (size_t)got;
	}
}

void rand_bytes(void *out, size_t n)
{
	if (n > SMALL_BYTES) {
		from_kernel(out, n);
		return;
	}
	if (pool.left < n) {
		from_kernel(pool.bytes, POOL_BYTES);
		pool.left = POOL_BYTES;
	}
	pool.left -= n;
	memcpy(out, pool.bytes + pool.left, n);
	/* What was handed out must not be found in memory later. */
	mem_wipe(pool.bytes + pool.left, n);
}

uint32_t rand_below(uint32_t bound)
{
	uint32_t threshold, v;

	ASSERT(bound > 0);
	threshold = -bound % bound; /* below it, results would be biased */
	do {
		rand_bytes(&v, sizeof(v));
	} while (v < threshold);
	return v % bound;
}
