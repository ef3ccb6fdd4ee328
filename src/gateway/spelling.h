/*
 * spelling - names of headers as servers of the CGI kind read them
 *
 * These make X-Real-IP the variable HTTP_X_REAL_IP, some of them (lighttpd, PHP) whatever stands in
 * place of '-'. So a name that the gateway keeps for itself has many spellings.
 */
#pragma once
#include "base/str.h"

/* Whether `name` is one of `lower`, which has as many characters. */
static inline bool is_spelling(struct str name, const char *lower)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = ascii_lower(name.p[i]);
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if ((is_plain ? c : '-') != lower[i]) {
			return false;
		}
	}
	return true;
}
