/*
 * rand - random bytes from the kernel, good enough for keys
 *
 * Threads  any. Never fails: aborts where the kernel has no entropy source.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *out, size_t n);
/* 0 <= result < bound, without bias. */
uint32_t rand_below(uint32_t bound);
