/*
 * listen - key `listen` of every role
 *
 * One address, several with commas, or a list whose members are an address or
 *
 *   address: 0.0.0.0:8443
 *   http2: true             default false
 *   proxy_protocol: true    default false
 *   tls:
 *     cert: FILE            PEM, with the chain; relative to the configuration's directory
 *     key: FILE
 *     cert_alt, key_alt     a second pair of the other key type
 *     certificates:         by name, before `cert`: [{names: […], cert, key, cert_alt, key_alt}]
 *     min_version, max_version, ciphers, session_tickets
 *     client_ca: FILE, client_certificates: none|optional|required, client_depth
 *
 * Reading checks keys and addresses; the files are looked at when the server listens and again at
 * each reload, which swaps certificates, demands on clients and `http2`. Addresses, whether
 * there is TLS, and `proxy_protocol` are those of the start.
 *
 * Ownership  strings live in the arena of the settings.
 * Threads    the main thread.
 */
#pragma once
#include "base/conf.h"
#include "http/server.h"

struct listen_entry {
	struct str address;
	bool http2;
	bool proxy_protocol;
	const struct conf_node *tls; /* NULL = plain */
	const char *section;
	const struct conf_node *node; /* where it is configured; NULL = nowhere */
};

struct listen_set {
	struct listen_entry *v;
	size_t n;
};

/* `section` is for faults; static. */
enum err listen_read(struct arena *a, const char *section, const struct conf_node *node,
		     struct listen_set *out, struct fault *f) MUST_USE;

/*
 * Reads the files. `*out` is NULL for a plain entry. With `pick` no certificate needs to
 * be configured, and it is asked with `arg` instead.
 */
enum err listen_tls(const struct listen_entry *e, tls_pick_fn *pick, void *arg,
		    struct tls_server **out, struct fault *f) MUST_USE;
/* As of listen_tls; all-zero = certificates are configured. */
struct listen_pick {
	tls_pick_fn *fn;
	void *arg;
};
enum err listen_open(const struct listen_entry *e, const struct listen_pick *pick,
		     struct http_server *server, struct loops *loops, struct fault *f) MUST_USE;

#define LISTEN_MAX 8 /* addresses of one role */

/* A reload in two steps, so that nothing changes unless all can. */
struct listen_change {
	struct {
		bool named; /* in the new configuration; others stay as they are */
		bool http2;
		struct tls_server *tls; /* NULL = plain, or no longer as it was */
	} v[LISTEN_MAX];
};
enum err listen_prepare(const struct listen_set *now, const struct listen_set *next,
			const struct listen_pick *pick, struct listen_change *out,
			struct fault *f) MUST_USE;
/* NULL: drops the change. */
void listen_commit(struct listen_change *c, struct http_server *server);
