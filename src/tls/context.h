/*
 * context - what TLS connections of one kind have in common
 *
 * A tls_server is shared by the connections of a listener, a tls_client by those to
 * an upstream. Both are immutable: to change a certificate or a CA, make another one
 * and hand it to the listener (http_server_set_tls) or the next call; connections
 * keep what they began with.
 *
 * Session tickets are sealed with keys of the process (tickets.h), so a client may
 * resume on any loop and after a reload, but only where the same client certificates
 * are demanded.
 *
 * Ownership  counted.
 * Threads    any; `pick` is called on the loop of the connection.
 */
#pragma once
#include "tls/cert.h"
#include "tls/sni.h"

struct tls_server;
struct tls_client;

enum tls_version { TLS_DEFAULT, TLS_V1_2, TLS_V1_3 };

struct tls_limits {
	enum tls_version min, max; /* TLS_DEFAULT: 1.2, 1.3 */
	struct str ciphers; /* of TLS 1.2, OpenSSL's list; n 0 or "intermediate": Mozilla's */
};

/* What is offered or accepted by ALPN, the better first; without any, no ALPN. */
enum { TLS_ALPN_HTTP1 = 1, TLS_ALPN_H2 = 2 };

enum tls_ask {
	TLS_ASK_NONE,
	TLS_ASK_ANY,	  /* ask, take any or none: the owner judges by tls_info.verify */
	TLS_ASK_OPTIONAL, /* ask; one that is given must be good */
	TLS_ASK_REQUIRED,
};

/*
 * The certificate for a name ("" without SNI), or NULL. With `or_default` one for whatever name
 * will do: without any the handshake fails. Borrowed.
 */
typedef const struct tls_cert *tls_pick_fn(void *arg, struct str sni, bool or_default);

struct tls_server_options {
	struct tls_limits limits;
	unsigned alpn;
	bool no_tickets;
	enum tls_ask ask;     /* for client certificates */
	struct str client_ca; /* PEM; whom to trust for them */
	unsigned depth;	      /* of their chains; 0 = 9 */
	/* one of these, or both: then `certs` is for names that `pick` does not know */
	struct tls_sni_map *certs; /* counted: the server takes a reference */
	tls_pick_fn *pick;
	void *arg;
};

enum err tls_server_new(const struct tls_server_options *o, struct tls_server **out,
			struct fault *f) MUST_USE;
struct tls_server *tls_server_ref(struct tls_server *s);
void tls_server_unref(struct tls_server **s);
/* Of TLS_ALPN_*: what it offers. */
unsigned tls_server_alpn(const struct tls_server *s);

struct tls_client_options {
	struct tls_limits limits;
	unsigned alpn;
	bool insecure;		     /* take any certificate */
	struct str ca;		     /* PEM; n 0 = the system's */
	bool system;		     /* the system's besides `ca` */
	unsigned depth;		     /* of chains; 0 = 9 */
	const struct tls_cert *cert; /* shown when asked; may be NULL */
};

enum err tls_client_new(const struct tls_client_options *o, struct tls_client **out,
			struct fault *f) MUST_USE;
struct tls_client *tls_client_ref(struct tls_client *c);
void tls_client_unref(struct tls_client **c);
