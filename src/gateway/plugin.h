/*
 * plugin - the frame in which plugins run
 *
 * One file a plugin: a schema, a `struct plugin` with the phases it takes part in, and its
 * code. The list is in plugins.c. `posthouse` refuses to create one that is not listed.
 *
 * An instance is one configured plugin entity. The compiled configuration is immutable and
 * lives as long as the entity's item; requests in flight keep it alive. What must survive a
 * change of the configuration (counters, open files, queues) is state of the plugin, found by
 * a key of the plugin's choice (the instance's id, a path).
 *
 * Order    within a phase, higher priority first (kong-gateway §12). One instance a plugin
 *          name runs: the most specific one.
 * Threads  check, compile: a worker. Phases: any loop, several at once; no lock, no blocking
 *          call, no allocation outside the call's arena where it can be avoided.
 */
#pragma once
#include "gateway/call.h"
#include "gateway/entity.h"
#include "loop/job.h"

enum plugin_verdict {
	PLUGIN_NEXT,
	PLUGIN_ANSWERED, /* call_error or call_answer was called */
};

enum plugin_needs {
	PLUGIN_NEEDS_BODY = 1,	      /* the client's body, in memory: of what wants_body says */
	PLUGIN_NEEDS_ANSWER_BODY = 2, /* the service's body, in memory: of what wants_answer says */
};

enum plugin_side {
	PLUGIN_TO_SERVICE,
	PLUGIN_TO_CLIENT,
};

enum plugin_scopes {
	PLUGIN_NO_CONSUMER = 1, /* `consumer`: "value must be null" */
	PLUGIN_NO_ROUTE = 2,
	PLUGIN_NO_SERVICE = 4,
};

struct plugin;

struct plugin_instance {
	const struct plugin *plugin;
	size_t index; /* of the plugin in `plugins` */
	struct guid id;
	char id_text[GUID_D_LEN];
	void *config;	/* plugin->config_size bytes, decoded by the schema, then compiled */
	unsigned needs; /* enum plugin_needs */
	bool global;	/* no route, service or consumer */
	bool enabled;
	bool broken;	    /* could not be compiled: requests that it stands before are refused */
	unsigned protocols; /* enum gw_protocol */
	struct guid route, service, consumer; /* zero = none */
	struct plugin_host *host;
	struct arena *arena; /* of the item */
	void *state;	     /* of the plugin, process-wide; NULL if it has none */
};

#define PLUGINS_MAX 64

/* What a plugin gets from the process. */
struct plugin_host {
	struct loops *loops;
	struct pool *slow;		     /* workers that may block: files, outbound */
	struct balancer_set *balancers;	     /* NULL: there are none, or no more */
	_Atomic(void *) states[PLUGINS_MAX]; /* of each plugin, in the order of `plugins` */
};

/* Makes it on first use. Where instances are compiled. */
void *plugin_host_state(struct plugin_host *h, const struct plugin *p);
/* That of plugins[i]; NULL when there is none yet. Any thread. */
static inline void *plugin_host_state_at(const struct plugin_host *h, size_t i)
{
	return atomic_load_explicit(&h->states[i], memory_order_acquire);
}
/* After the last instance was released. */
void plugin_host_fini(struct plugin_host *h);

struct plugin {
	const char *name;
	int priority;
	unsigned scopes;     /* enum plugin_scopes that are refused */
	const char *version; /* as Kong 3.10 reports: "3.10.0" */
	const struct schema *config;
	size_t config_size;
	const char *doc;     /* first sentence of its page */
	const char *example; /* worked example of its page: Markdown */

	/* After decoding; may keep memory in `p->arena`. Faults are "config.x: …" texts. May be
	 * NULL. */
	enum err (*compile)(struct plugin_host *h, struct plugin_instance *p, struct fault *f);
	/* The instance ends: its item goes, on whatever thread let go of it last. May be NULL. */
	void (*release)(struct plugin_host *h, struct plugin_instance *p);

	enum plugin_verdict (*rewrite)(struct gw_call *c,
				       const struct plugin_instance *p); /* global only */
	/*
	 * Whether a request with that head has a body for `access`: only then it is collected.
	 * Asked of instances with PLUGIN_NEEDS_BODY. NULL = any.
	 */
	bool (*wants_body)(const struct plugin_instance *p, const struct http_headers *head);
	enum plugin_verdict (*access)(struct gw_call *c, const struct plugin_instance *p);
	void (*response_head)(struct gw_call *c, const struct plugin_instance *p);
	/*
	 * Whether an answer with that head, as it is after response_head, is for response_body:
	 * only then it is collected. Asked of instances with PLUGIN_NEEDS_ANSWER_BODY, also where
	 * no body comes with the head. Not NULL if response_body is not.
	 */
	bool (*wants_answer)(const struct plugin_instance *p, const struct http_headers *head);
	void (*response_body)(struct gw_call *c, const struct plugin_instance *p);
	void (*log)(struct gw_call *c, const struct plugin_instance *p);
	/*
	 * Whether this instance writes or removes headers of that name on their way to that side:
	 * no trailer has it then. Names given to call_add_ or call_set_answer_header need not be
	 * told. Asked only where there are trailers. May be NULL.
	 */
	bool (*edits)(const struct plugin_instance *p, enum plugin_side to, struct str name);

	/* Process-wide state: made before the first instance, freed after the last request of the
	 * process. May be NULL. */
	void *(*state_new)(struct plugin_host *h);
	void (*state_free)(void *state);
	/*
	 * On a loop, when no request is left: what waits to be sent goes now. True when
	 * nothing is left; asked again until then, for a few seconds. May be NULL.
	 */
	bool (*flush)(void *state, struct loop *l);
	/* Files were rotated: all are opened anew. Any thread. May be NULL. */
	void (*reopen)(void *state);
	/* Text for /metrics of status and Admin listeners. May be NULL. */
	void (*metrics)(void *state, struct buf *out);
};

/* All that are built, highest priority first. */
extern const struct plugin *const plugins[];
extern const size_t n_plugins;
const struct plugin *plugin_find(struct str name);
/* Names of Kong 3.10 that are not built: their refusal says so. */
bool plugin_is_known_elsewhere(struct str name);
