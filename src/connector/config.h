/*
 * config - section `connect`: which server, as whom, and the targets
 *
 * The same keys can come from a configuration of the original connector: section
 * `RelayConnector` of its appsettings.json, variables RelayConnector__TenantName=…
 * and words RelayConnector:TenantName=… of the command line. connect_config_import
 * turns them into section `connect`, so that everything is checked by one table.
 *
 * Ownership  strings live in the arena given.
 */
#pragma once
#include "base/conf.h"
#include "connector/target.h"

enum { CONNECT_PROXY_ENVIRONMENT, CONNECT_PROXY_NONE };

/* Bits of connect_config.transports, in the order in which they are tried. */
enum link_kind { LINK_WEBSOCKETS, LINK_SERVER_SENT_EVENTS, LINK_LONG_POLLING, LINK_KINDS };

struct connect_config {
	struct str server_ca;
	struct str server; /* with a '/' at the end of its path */
	struct str tenant;
	struct str secret;
	const struct conf_node *targets_node;
	struct conf_strs transport_names;
	int64_t connections;
	int64_t loops;
	int64_t max_concurrent; /* 0 = no limit but requests_max */
	int64_t requests_max;
	int64_t undelivered_max;
	int64_t undelivered_max_size;
	int64_t drain_timeout_ms;
	bool negotiate;
	bool use_http_keep_alive;
	int proxy;
	struct str health_file;
	int log_level, log_format;
	/* derived */
	enum link_kind transports[LINK_KINDS];
	size_t n_transports;
	struct target_set *targets; /* counted: connect_config_fini */
	struct tls_client *tls;	    /* for the server, likewise; NULL = the system's CAs only */
};

extern const struct conf_section connect_conf;
extern const char *const connect_log_formats[];

/* Where the original's names can stand, beside the file. */
struct connect_original {
	const char *const *env; /* "NAME=value", NULL-terminated; may be NULL */
	const struct str *words;
	size_t n_words;
};

/*
 * Adds to section `connect` of `root` what the original's names say: section
 * RelayConnector, then the environment, then the words. Faults are those of the
 * original: targets without or with an unknown Type, a target named twice.
 * `*out_any` tells whether there was anything.
 */
enum err connect_config_import(struct arena *a, struct conf_node *root,
			       const struct connect_original *from, bool *out_any,
			       struct fault *f) MUST_USE;

/* Sets one key of section `connect`, making the section when it is missing. */
void connect_config_set(struct arena *a, struct conf_node *root, struct str key, struct str value,
			struct str source);
/* connect.targets.ID.url */
void connect_config_set_target(struct arena *a, struct conf_node *root, struct str id,
			       struct str url, struct str source);

/* Reads and checks the section. On success `out` holds references. */
enum err connect_config_read(struct arena *a, const struct conf_node *root,
			     struct connect_config *out, struct fault *f) MUST_USE;
void connect_config_fini(struct connect_config *c);
