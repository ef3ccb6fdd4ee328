/*
 * cert - certificates with their private keys, and what PEM text says
 *
 * A tls_cert is what a server shows (or a client, when asked): a leaf with its chain and
 * key, and optionally a second one with a key of the other type, so that old and new
 * peers both get what they can verify.
 *
 * Ownership  counted, immutable.
 * Threads    any.
 * Failure    ERR_INVALID with a text fit for whoever sent the PEM:
 *            "invalid certificate: …", "invalid key: …", "certificate does not match key".
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct tls_cert;

/* PEM text. `cert`: the leaf first, then its chain. Keys are never encrypted. */
struct tls_pem {
	struct str cert, key;
};

/*
 * The PEM text that a configuration gives: itself, or the file of that name, which is
 * relative to `dir`. Blocks; the text is the arena's.
 */
enum err tls_pem_load(struct arena *a, struct str dir, struct str text_or_path, struct str *out,
		      struct fault *f) MUST_USE;

/* `n` is 1, or 2 with keys of different types. */
enum err tls_cert_new(const struct tls_pem *pairs, size_t n, struct tls_cert **out,
		      struct fault *f) MUST_USE;
struct tls_cert *tls_cert_ref(struct tls_cert *c);
void tls_cert_unref(struct tls_cert **c);

enum tls_key_kind { TLS_KEY_RSA, TLS_KEY_EC, TLS_KEY_OTHER };

#define TLS_DIGEST_LEN 64
struct tls_cert_info {
	char sha256[TLS_DIGEST_LEN + 1]; /* of the leaf's DER, hex */
	size_t count;			 /* certificates in the text */
	enum tls_key_kind key;
	bool is_ca;
	int64_t not_before_ms, not_after_ms; /* wall clock */
};

/* Reads the text as tls_cert_new does; the facts are those of its first certificate. */
enum err tls_pem_inspect(struct str cert, struct tls_cert_info *out, struct fault *f) MUST_USE;
/* Whether the text is a private key that can be used. */
enum err tls_pem_check_key(struct str key, enum tls_key_kind *out, struct fault *f) MUST_USE;

/*
 * A certificate that nobody vouches for, for `name` and its address or DNS name: what a
 * server shows as long as it was given none. RSA 2048 takes a noticeable time to make.
 */
enum err tls_self_signed(struct arena *a, enum tls_key_kind kind, struct str name, unsigned days,
			 struct tls_pem *out, struct fault *f) MUST_USE;
