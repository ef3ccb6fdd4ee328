/*
 * tls_int - what the files of this room share: the OpenSSL side of its objects
 *
 * OpenSSL keeps failures in a queue of the thread. Whoever calls it either takes
 * the queue with tls_reason or drops it with ERR_clear_error, so that no failure
 * is mistaken for one of the next call.
 */
#pragma once
#include "tls/cert.h"
#include "tls/context.h"

#include <openssl/ssl.h>

/* Empties the queue; the text of its latest failure, or "unknown reason". Static text. */
const char *tls_reason(void);

/* Puts the pairs into a handshake or a context; false when OpenSSL refuses one. */
bool tls_cert_apply(const struct tls_cert *c, SSL *ssl);
bool tls_cert_apply_context(const struct tls_cert *c, SSL_CTX *ctx);

/* Adds all certificates of the PEM text to the trust of `ctx`. */
enum err tls_trust_pem(SSL_CTX *ctx, struct str pem, struct fault *f) MUST_USE;

/* Protocol limits, ciphers and the modes that every context has. */
enum err tls_context_basics(SSL_CTX *ctx, const struct tls_limits *limits,
			    struct fault *f) MUST_USE;

SSL_CTX *tls_server_context(const struct tls_server *s);
SSL_CTX *tls_client_context(const struct tls_client *c);
bool tls_client_verifies(const struct tls_client *c);
