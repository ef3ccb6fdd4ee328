/*
 * log - one structured line per handled error or event
 *
 * Message constant, data in key=value fields. Formats: text (a terminal), JSON,
 * CLEF (Seq). Lines are built on the caller's stack, put into a bounded ring and
 * written by one thread; when the ring is full lines are counted and dropped, so
 * logging never blocks a loop. Untrusted text is escaped. Secrets are not passed.
 * A line has at most 4 KiB: long values are cut, fields that do not fit left out.
 *
 *	log_warn("relay", "connection dropped", LOG_STR("tenant", name),
 *		 LOG_INT("in_flight", n));
 *
 * Threads  any.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_CLEF };

struct log_field {
	const char *key;
	enum { LOG_FIELD_STR, LOG_FIELD_INT } type;
	union {
		struct str s;
		int64_t i;
	};
};

#define LOG_STR(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_STR, .s = (v)})
#define LOG_CSTR(k, v) LOG_STR(k, str_c(v))
#define LOG_INT(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_INT, .i = (int64_t)(v)})
#define LOG_FAULT(f) LOG_STR("error", str_c((f)->text))

/*
 * Writes to stderr. Starts the writer thread; log_stop flushes and joins it.
 * Before and after, log_write writes directly, as text or in the last format.
 */
void log_start(enum log_level min_level, enum log_format format);
void log_stop(void);
void log_set_level(enum log_level min_level);
enum log_level log_get_level(void);
bool log_is_on(enum log_level level);
/* Lines dropped since the start, for metrics. */
uint64_t log_dropped(void);
bool log_level_parse(struct str s, enum log_level *out);

void log_write(enum log_level level, const char *role, const char *message,
	       const struct log_field *fields, size_t n_fields);

#define LOG_AT(level, role, message, ...)                                                          \
	do {                                                                                       \
		if (log_is_on(level)) {                                                            \
			const struct log_field log_f_[] = {{0}, ##__VA_ARGS__};                    \
			log_write(level, role, message, log_f_ + 1, ARRAY_LEN(log_f_) - 1);        \
		}                                                                                  \
	} while (0)
#define log_trace(role, message, ...) LOG_AT(LOG_TRACE, role, message, ##__VA_ARGS__)
#define log_debug(role, message, ...) LOG_AT(LOG_DEBUG, role, message, ##__VA_ARGS__)
#define log_info(role, message, ...) LOG_AT(LOG_INFO, role, message, ##__VA_ARGS__)
#define log_warn(role, message, ...) LOG_AT(LOG_WARN, role, message, ##__VA_ARGS__)
#define log_error(role, message, ...) LOG_AT(LOG_ERROR, role, message, ##__VA_ARGS__)
