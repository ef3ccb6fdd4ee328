/*
 * Plain scalars: the core schema of YAML 1.2 with what people still write from 1.1.
 */
#include "gateway/yaml_int.h"

#include <inttypes.h>

static bool is_one_of(struct str s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(s, str_c(words[i]))) {
			return true;
		}
	}
	return false;
}

static bool is_null(struct str s)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};

	return is_one_of(s, words, ARRAY_LEN(words));
}

static bool is_true(struct str s)
{
	static const char *const words[] = {"true", "True", "TRUE", "yes", "Yes",
					    "YES",  "on",   "On",   "ON"};

	return is_one_of(s, words, ARRAY_LEN(words));
}

static bool is_false(struct str s)
{
	static const char *const words[] = {"false", "False", "FALSE", "no", "No",
					    "NO",    "off",   "Off",   "OFF"};

	return is_one_of(s, words, ARRAY_LEN(words));
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static unsigned digit_value(char c)
{
	return is_digit(c) ? (unsigned)(c - '0') : (unsigned)(ascii_lower(c) - 'a') + 10;
}

/* Digits of `base`, with underscores between; false on anything else or overflow. */
static bool parse_base(struct str s, unsigned base, uint64_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '_' && i > 0) {
			continue;
		}
		if (!is_digit(c) && !(ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f')) {
			return false;
		}
		if (digit_value(c) >= base || v > (UINT64_MAX - digit_value(c)) / base) {
			return false;
		}
		v = v * base + digit_value(c);
	}
	*out = v;
	return s.n > 0;
}

/* 0x1f, 0o17, 017 */
static bool parse_based(struct arena *a, struct str sign, struct str s, struct str *out)
{
	uint64_t v;
	bool ok = false;

	if (s.n > 2 && s.p[0] == '0' && s.p[1] == 'x') {
		ok = parse_base(str_skip(s, 2), 16, &v);
	} else if (s.n > 2 && s.p[0] == '0' && s.p[1] == 'o') {
		ok = parse_base(str_skip(s, 2), 8, &v);
	} else if (s.n > 1 && s.p[0] == '0') {
		ok = parse_base(str_skip(s, 1), 8, &v);
	}
	if (ok) {
		*out = str_fmt(a, "%.*s%" PRIu64, STR_ARG(v ? sign : STR("")), v);
	}
	return ok;
}

/* Takes digits (and, if there is one first, underscores) off the front. */
static struct str take_digits(struct str *s)
{
	size_t n = 0;

	while (n < s->n && (is_digit(s->p[n]) || (n > 0 && s->p[n] == '_'))) {
		n++;
	}
	struct str digits = str_slice(*s, 0, n);

	*s = str_skip(*s, n);
	return digits;
}

static void put_digits(char *p, size_t *n, struct str digits)
{
	for (size_t i = 0; i < digits.n; i++) {
		if (digits.p[i] != '_') {
			p[(*n)++] = digits.p[i];
		}
	}
}

static void put_whole(char *p, size_t *n, struct str digits)
{
	size_t from = *n;

	while (digits.n > 0 && (digits.p[0] == '0' || digits.p[0] == '_')) {
		digits = str_skip(digits, 1);
	}
	put_digits(p, n, digits);
	if (*n == from) {
		p[(*n)++] = '0';
	}
}

/* `*s` stands at "e+3"; the end of the text must follow. */
static bool take_exponent(struct str *s, struct str *sign, struct str *digits)
{
	*sign = *digits = STR_NULL;
	if (s->n == 0 || ascii_lower(s->p[0]) != 'e') {
		return s->n == 0;
	}
	*s = str_skip(*s, 1);
	if (s->n > 0 && (s->p[0] == '+' || s->p[0] == '-')) {
		*sign = str_slice(*s, 0, 1);
		*s = str_skip(*s, 1);
	}
	*digits = take_digits(s);
	return digits->n > 0 && s->n == 0;
}

/* [digits][.digits][e[sign]digits], digits before or behind the point. */
static bool parse_decimal(struct arena *a, struct str sign, struct str s, struct str *out)
{
	struct str whole = take_digits(&s), fraction = STR_NULL, exp_sign, exp_digits;
	bool has_point = s.n > 0 && s.p[0] == '.';
	char *p;
	size_t n = 0;

	if (has_point) {
		s = str_skip(s, 1);
		fraction = take_digits(&s);
	}
	if (whole.n + fraction.n == 0 || !take_exponent(&s, &exp_sign, &exp_digits)) {
		return false;
	}
	p = arena_alloc(a, whole.n + fraction.n + exp_digits.n + 8);
	if (sign.n) {
		p[n++] = '-';
	}
	put_whole(p, &n, whole);
	if (has_point) {
		p[n++] = '.';
		put_digits(p, &n, fraction.n ? fraction : STR("0"));
	}
	if (exp_digits.n) {
		p[n++] = 'e';
		if (exp_sign.n) {
			p[n++] = exp_sign.p[0];
		}
		put_digits(p, &n, exp_digits);
	}
	*out = str_of(p, n);
	return true;
}

static bool parse_number(struct arena *a, struct str s, struct str *out)
{
	struct str sign = STR_NULL;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
		sign = s.p[0] == '-' ? STR("-") : STR_NULL;
		s = str_skip(s, 1);
	}
	if (s.n == 0 || !(is_digit(s.p[0]) || s.p[0] == '.')) {
		return false;
	}
	return parse_based(a, sign, s, out) || parse_decimal(a, sign, s, out);
}

enum json_type yaml_plain_type(struct arena *a, struct str s, bool *out_boolean,
			       struct str *out_number)
{
	if (is_null(s)) {
		return JSON_NULL;
	}
	if (is_true(s) || is_false(s)) {
		*out_boolean = is_true(s);
		return JSON_BOOL;
	}
	return parse_number(a, s, out_number) ? JSON_NUMBER : JSON_STRING;
}
