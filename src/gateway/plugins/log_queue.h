/*
 * log_queue - records from all loops to an HTTP server, in batches, with patience
 *
 * Each loop has a lane of its own, without a lock: records wait there, go out as one call at a
 * time through the loop's HTTP client, and are sent again with growing delays until
 * `max_retry_time_ms` after the first attempt. An answer below 400 is success.
 *
 *	idle -> collecting (max_coalescing_delay_ms) -> sending -> idle
 *	                          waiting (back-off) <-> sending
 *
 * Limits  `max_entries` and `max_bytes` of each lane count what waits and what is under way.
 *         The oldest that waits makes room; what is dropped is counted, and named in the log
 *         at most once in ten seconds.
 * Life    A queue is found by the id of its plugin and outlives the versions of its
 *         configuration, so that changes lose nothing; the newest settings hold for all
 *         that it has. When nobody has it open any more it goes with its last record. Calls
 *         end with the loop's client; what is left then is lost, and the log says how much.
 * Threads open, close, settings: any. put, flush: a loop. free: after the loops have ended.
 */
#pragma once
#include "base/buf.h"
#include "base/guid.h"
#include "http/message.h"
#include "http/uri.h"

struct log_queues;
struct log_queue;
struct log_queue_settings;
struct loop;

/* Of a plugin's configuration; what it points to is copied. */
struct log_queue_options {
	struct str url, method, content_type;
	const struct http_header *headers;
	size_t n_headers;
	uint32_t timeout_ms;
	bool keep_alive;
	bool insecure;	       /* https: take any certificate */
	struct str ca;	       /* https: PEM; n 0 = those of the system */
	size_t max_batch_size; /* at least 1; above it the body is an array */
	uint64_t max_coalescing_delay_ms;
	size_t max_entries;
	size_t max_bytes; /* 0 = a part of the 32 MiB that all lanes have */
	uint64_t max_retry_time_ms;
	uint64_t initial_retry_delay_ms, max_retry_delay_ms;
};

struct log_queues *log_queues_new(unsigned n_loops);
void log_queues_free(struct log_queues **s);

/* ERR_INVALID: not a URL, or no CA. */
enum err log_queue_settings_new(const struct log_queue_options *o, struct log_queue_settings **out,
				struct fault *f) MUST_USE;
void log_queue_settings_unref(struct log_queue_settings **s);

/* Close it once for each time; no put comes after the last. */
struct log_queue *log_queue_open(struct log_queues *s, const struct guid *id);
void log_queue_close(struct log_queue **q);
/* Takes a reference to `settings` when they are new to the lane. */
void log_queue_put(struct log_queue *q, struct loop *l, struct log_queue_settings *settings,
		   struct str record);

/*
 * The process ends: what is collected on this loop goes out at once, what waits for another
 * attempt has it now. True when nothing is left; ask again until then.
 */
bool log_queues_flush(struct log_queues *s, struct loop *l);

struct log_queues_stats {
	unsigned queues;
	uint64_t sent, dropped, failures; /* records, records, calls */
};
void log_queues_stats(struct log_queues *s, struct log_queues_stats *out);
