/*
 * hash - xxHash32, the same on every node
 *
 * Not keyed: whoever chooses the input can choose the target of a consistent hash, which is
 * what sticky means. Never for tables (base/map).
 */
#pragma once
#include "base/str.h"

uint32_t hash_xx32(struct str s, uint32_t seed);
