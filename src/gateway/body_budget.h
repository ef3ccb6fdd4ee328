/*
 * body_budget - memory for bodies that plugins look at, of all requests together
 *
 * Each loop has a share. It draws from what is left of the whole in steps and keeps a little of
 * what it gets back, so that small bodies touch no memory that other loops write.
 *
 * Threads  a share: its loop; body_share_stats: any. A budget: none is used but by its shares.
 */
#pragma once
#include "base/attr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct body_budget {
	size_t step; /* what a share draws at once, and keeps */
	_Atomic size_t left;
};

struct body_share {
	struct body_budget *of;
	size_t spare; /* drawn, and not taken */
	/* written by the loop alone, read by any thread */
	_Atomic uint64_t held;
	_Atomic uint64_t refused;
};

struct body_share_stats {
	uint64_t held;	  /* bytes, now */
	uint64_t refused; /* times */
};

void body_budget_init(struct body_budget *b, size_t max, unsigned n_shares);

/* False: there is no room for `n` bytes more, and the refusal was counted. */
bool body_share_take(struct body_share *s, size_t n) MUST_USE;
void body_share_give(struct body_share *s, size_t n);
/* Adds to `sum`. */
void body_share_stats_add(const struct body_share *s, struct body_share_stats *sum);
