/*
 * health - when an address of an upstream counts as down, and when as up again
 *
 * Two sources feed the same counters of an address: what the proxy saw (passive) and
 * what a probe saw (active). Each source has its own lists of statuses and thresholds; a
 * threshold of 0 switches that check off. A success clears the failures and a
 * failure the successes; a change of state clears both.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define HEALTH_STATUS_MIN 100
#define HEALTH_STATUS_MAX 999

/* A set of HTTP statuses, 100 to 999. All-zero is empty. */
struct status_set {
	uint64_t bits[(HEALTH_STATUS_MAX - HEALTH_STATUS_MIN) / 64 + 1];
};

static inline bool status_set_has(const struct status_set *s, int status)
{
	unsigned i = (unsigned)(status - HEALTH_STATUS_MIN);

	return status >= HEALTH_STATUS_MIN && status <= HEALTH_STATUS_MAX &&
	       (s->bits[i / 64] >> i % 64 & 1);
}

/* Anything outside 100 to 999 is ignored. */
static inline void status_set_add(struct status_set *s, int status)
{
	unsigned i = (unsigned)(status - HEALTH_STATUS_MIN);

	if (status >= HEALTH_STATUS_MIN && status <= HEALTH_STATUS_MAX) {
		s->bits[i / 64] |= (uint64_t)1 << i % 64;
	}
}

/* What one source makes of what it sees. 0 = that check is off. */
struct health_rules {
	struct status_set healthy_statuses;
	struct status_set unhealthy_statuses;
	uint8_t successes;
	uint8_t tcp_failures;
	uint8_t timeouts;
	uint8_t http_failures;
};

enum probe_type { PROBE_HTTP, PROBE_HTTPS, PROBE_TCP, PROBE_GRPC, PROBE_GRPCS };

struct health_header {
	struct str name, value;
};

struct health_config {
	unsigned threshold; /* percent of the weight that must be more than available; 0..100 */
	struct health_rules passive;
	struct {
		struct health_rules rules;
		enum probe_type type;
		uint32_t healthy_interval_ms;	/* how often those that are up; 0 = never */
		uint32_t unhealthy_interval_ms; /* how often those that are down; 0 = never */
		uint32_t timeout_ms;
		unsigned concurrency;
		struct str http_path;
		struct str https_sni; /* p NULL = the target's name */
		bool https_verify;
		const struct health_header *headers;
		size_t n_headers;
	} active;
};

/* What happened to one request or probe. */
enum balancer_outcome {
	BALANCER_STATUS,      /* it answered, with `status` */
	BALANCER_TCP_FAILURE, /* no connection, or it broke */
	BALANCER_TIMEOUT,
	BALANCER_ABORTED, /* not the address's doing: the client went, we gave up */
};

/* The status of an answer that came and is refused: it breaks HTTP, or our limits. */
#define HEALTH_BAD_ANSWER 502

/*
 * What a call (http/client.h) that failed before there was a head says of its address.
 * BALANCER_STATUS is HEALTH_BAD_ANSWER then.
 */
enum balancer_outcome health_outcome(enum err why);

/* Whether anything can ever take an address down: the manual way does not count. */
bool health_config_is_on(const struct health_config *h);
