/*
 * target - what a connector can reach, by name
 *
 * A set is immutable; a reload makes another. Counted, because requests under way
 * keep the one that they started with. `$ping` and `$echo` are in every set unless
 * the configuration uses their names otherwise.
 *
 * Threads  a set may be shared by loops; its count is atomic.
 */
#pragma once
#include "base/conf.h"
#include "http/uri.h"
#include "tls/context.h"

enum target_type { TARGET_WEB, TARGET_PING, TARGET_ECHO };

#define TARGET_TIMEOUT_MS 100000
#define TARGET_ID_MAX 200
#define TARGET_CATCH_ALL "** CATCH-ALL **"

struct target {
	struct str id; /* as configured */
	enum target_type type;
	struct uri uri;	      /* TARGET_WEB: the base address */
	struct str authority; /* its Host */
	uint32_t timeout_ms;  /* to the head of the answer, and longest silence in its body */
	bool follow_redirects;
	struct tls_client *tls;	      /* for the target's own host; TARGET_WEB */
	struct tls_client *tls_other; /* for where it redirects to: the system's CAs */
};

struct target_set;

/*
 * From a map {ID: URL} or {ID: {type, url, timeout, follow_redirects, ca, verify, …}};
 * NULL = only the built-in ones. Names are compared without case: two that differ
 * only so are refused.
 */
enum err target_set_new(const struct conf_node *node, struct target_set **out,
			struct fault *f) MUST_USE;
struct target_set *target_set_ref(struct target_set *s);
void target_set_unref(struct target_set **s);

/* That of the name, else the catch-all, else NULL. */
const struct target *target_find(const struct target_set *s, struct str id);
/* Configured ones; the built-in are not counted. */
size_t target_set_count(const struct target_set *s);
