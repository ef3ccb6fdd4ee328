#include "net/descriptors.h"

#include "base/attr.h"

#include <errno.h>
#include <sys/resource.h>

#define RESERVE_PART 8
#define RESERVE_MIN 16
#define RESERVE_MAX 4096

bool descriptors_are_out(int e)
{
	return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM || e == EADDRNOTAVAIL;
}

/* Asked each time, for an operator may change it while we run. */
bool descriptor_is_reserve(int fd)
{
	struct rlimit limit;
	rlim_t reserve;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return false;
	}
	reserve = MIN(MAX(limit.rlim_cur / RESERVE_PART, RESERVE_MIN), RESERVE_MAX);
	return (rlim_t)fd + reserve >= limit.rlim_cur;
}
