/*
 * base64_simd - the long middle part of base64 with SSSE3, where the processor has it
 *
 * Standard alphabet only. Both do whole blocks from the front and say how many units they
 * did, perhaps none; the caller does the rest. After W. Mula and D. Lemire, "Faster
 * Base64 Encoding and Decoding using AVX2 Instructions" (2018).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Triples of bytes encoded; `w` takes four characters for each. */
size_t base64_simd_encode(char *w, const uint8_t *r, size_t triples);
/* Quadruples decoded; stops before a block with a foreign character. `w` holds 3 * quads bytes. */
size_t base64_simd_decode(uint8_t *w, const uint8_t *r, size_t quads);
