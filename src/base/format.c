#include "base/format.h"

#include <stdio.h>

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <string.h>

struct directive {
	int precision; /* -1 = none, or a constant */
	unsigned longs;
	bool is_size;
};

/* Of so many bytes at most, up to a NUL. Reads the bad one, so that the report says where. */
static void check_read(const char *p, int n)
{
	const char *bad = n > 0 ? __asan_region_is_poisoned((void *)p, (size_t)n) : NULL;

	if (bad && !memchr(p, 0, (size_t)(bad - p))) {
		(void)*(const volatile char *)bad;
	}
}

/* From behind the '%' to the letter of the conversion. */
static const char *read_directive(const char *f, struct directive *d, va_list *args)
{
	*d = (struct directive){.precision = -1};
	for (; *f && strchr("-+ #0123456789.*lhz", *f); f++) {
		if (*f == '*') {
			d->precision = va_arg(*args, int);
		}
		d->longs += *f == 'l';
		d->is_size |= *f == 'z';
	}
	return f;
}

static void pass_integer(const struct directive *d, va_list *args)
{
	if (d->is_size) {
		(void)va_arg(*args, size_t);
	} else if (d->longs == 2) {
		(void)va_arg(*args, long long);
	} else if (d->longs == 1) {
		(void)va_arg(*args, long);
	} else {
		(void)va_arg(*args, int);
	}
}

static void pass_argument(char conversion, const struct directive *d, va_list *args)
{
	switch (conversion) {
	case '%':
		break;
	case 's':
		check_read(va_arg(*args, const char *), d->precision);
		break;
	case 'p':
		(void)va_arg(*args, void *);
		break;
	case 'e':
	case 'f':
	case 'g':
		(void)va_arg(*args, double);
		break;
	default:
		pass_integer(d, args);
	}
}

static void check(const char *fmt, va_list *args)
{
	struct directive d;

	for (const char *f = strchr(fmt, '%'); f; f = strchr(f + 1, '%')) {
		f = read_directive(f + 1, &d, args);
		pass_argument(*f, &d, args);
	}
}
#else
static inline void check(const char *fmt, va_list *args)
{
	(void)fmt;
	(void)args;
}
#endif

int format_print(char *to, size_t room, const char *fmt, va_list args)
{
	va_list again;

	va_copy(again, args);
	check(fmt, &again);
	va_end(again);
	return vsnprintf(to, room, fmt, args);
}
