/*
 * log - one structured line per handled error or event, see log.h
 */
#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>

static atomic_int level_min = LOG_INFO;

void log_start(enum log_level min_level, enum log_format format)
{
	(void)format;
	log_set_level(min_level);
}

void log_stop(void)
{
}

void log_set_level(enum log_level min_level)
{
	atomic_store_explicit(&level_min, (int)min_level, memory_order_relaxed);
}

bool log_is_on(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&level_min, memory_order_relaxed);
}

uint64_t log_dropped(void)
{
	return 0;
}

bool log_level_parse(struct str s, enum log_level *out)
{
	static const char *const names[] = {"trace", "debug", "info", "warn", "error", "off"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_eq_nocase(s, str_c(names[i]))) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_write(enum log_level level, const char *role, const char *message,
	       const struct log_field *fields, size_t n_fields)
{
	(void)level;
	(void)fields;
	(void)n_fields;
	(void)fprintf(stderr, "%s: %s\n", role, message);
}
