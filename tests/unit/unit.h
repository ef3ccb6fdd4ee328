/*
 * unit - what every cmocka test includes, in the order cmocka wants
 */
#pragma once
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "base/err.h"
#include "base/str.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)
#define assert_err(expr, want) assert_int_equal((expr), (want))
#define assert_str(got, want)                                                                      \
	do {                                                                                       \
		struct str got_ = (got), want_ = (want);                                           \
		assert_int_equal(got_.n, want_.n);                                                 \
		assert_memory_equal(got_.p, want_.p, want_.n);                                     \
	} while (0)
