/*
 * listing - pages of a list, in the shape of RelayServer's management interface
 *
 *	{"results":[…],"totalCount":2,"offset":0,"pageSize":10}
 *
 * Threads  workers; the task's.
 */
#pragma once
#include "http/task.h"

#define LISTING_TAKE 10
#define LISTING_TAKE_MAX 1000

struct listing {
	int64_t skip, take;
	int64_t total; /* rows there are; set before listing_reply */
};

/* From ?skip=0&take=10; more than LISTING_TAKE_MAX are never taken. */
enum err listing_params(struct task *t, struct listing *out) MUST_USE;
/* `rows` is an array of `n` objects of `size` bytes. */
enum err listing_reply(struct task *t, const struct listing *page, const struct json_shape *shape,
		       const void *rows, size_t n, size_t size);
