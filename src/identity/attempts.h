/*
 * attempts - how often somebody failed lately, so that guessing ends in a 429
 *
 * Failures are counted per key (client and address) in windows of fixed length. The
 * table is bounded: when full, a key with few failures goes, of these the one whose last is
 * longest ago. So nobody can make it forget what was tried often by trying many others once.
 *
 * Threads  any; a mutex guards it. Between the question and the failure others may
 *          slip through, at most as many as there are workers.
 */
#pragma once
#include "base/str.h"

#define ATTEMPTS_KEYS_MAX 10000

struct attempts;

struct attempts *attempts_new(unsigned failures_max, int64_t window_ms, size_t keys_max);
/* NULL-safe, sets *a to NULL. */
void attempts_free(struct attempts **a);

/* 0 = go on; else milliseconds until the key may try again. */
int64_t attempts_wait_ms(struct attempts *a, struct str key, int64_t now_ms);
void attempts_failed(struct attempts *a, struct str key, int64_t now_ms);
/* Forgets the key's failures. */
void attempts_succeeded(struct attempts *a, struct str key);
