#include "tls/tickets.h"

#include "base/clock.h"
#include "base/mem.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>

/* ---- the ring ---- */

static void rotate(struct tls_ticket_ring *r, uint64_t now_ms)
{
	uint64_t age = now_ms - r->made_ms;

	if (r->made_ms != 0 && age < TLS_TICKET_LIFETIME_MS) {
		return;
	}
	/* One that nobody renewed for two lifetimes has sealed nothing that is still valid. */
	r->has_former = r->made_ms != 0 && age < 2 * TLS_TICKET_LIFETIME_MS;
	r->former = r->current;
	ASSERT(RAND_bytes((unsigned char *)&r->current, sizeof(r->current)) == 1);
	r->made_ms = now_ms;
}

const struct tls_ticket_key *tls_tickets_seal(struct tls_ticket_ring *r, uint64_t now_ms)
{
	rotate(r, now_ms);
	return &r->current;
}

const struct tls_ticket_key *tls_tickets_open(struct tls_ticket_ring *r, uint64_t now_ms,
					      const uint8_t name[TLS_TICKET_NAME_LEN], bool *renew)
{
	rotate(r, now_ms);
	if (memcmp(name, r->current.name, TLS_TICKET_NAME_LEN) == 0) {
		*renew = false;
		return &r->current;
	}
	if (r->has_former && memcmp(name, r->former.name, TLS_TICKET_NAME_LEN) == 0) {
		*renew = true;
		return &r->former;
	}
	return NULL;
}

/* ---- in OpenSSL ---- */

/*
 * Process-wide on purpose: contexts come and go with reloads, tickets must not. Taken
 * at most three times a handshake, beside two asymmetric operations.
 */
static struct tls_ticket_ring ring;
static pthread_mutex_t ring_mutex = PTHREAD_MUTEX_INITIALIZER;

static bool find_key(unsigned char name[TLS_TICKET_NAME_LEN], bool seal, bool *renew,
		     struct tls_ticket_key *out)
{
	const struct tls_ticket_key *k;
	uint64_t now = clock_mono_ms();

	(void)pthread_mutex_lock(&ring_mutex);
	k = seal ? tls_tickets_seal(&ring, now) : tls_tickets_open(&ring, now, name, renew);
	if (k) {
		*out = *k;
	}
	(void)pthread_mutex_unlock(&ring_mutex);
	return k != NULL;
}

static bool use_mac(EVP_MAC_CTX *mac, struct tls_ticket_key *k)
{
	char sha256[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->mac, sizeof(k->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 1 = go on, 2 = go on and renew the ticket, 0 = a full handshake, -1 = fail. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int seal)
{
	struct tls_ticket_key k;
	bool renew = false, ok;

	(void)ssl;
	if (!find_key(name, seal, &renew, &k)) {
		return 0;
	}
	if (seal) {
		memcpy(name, k.name, TLS_TICKET_NAME_LEN);
		ok = RAND_bytes(iv, 16) == 1 &&
		     EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.aes, iv) == 1;
	} else {
		ok = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.aes, iv) == 1;
	}
	ok = ok && use_mac(mac, &k);
	mem_wipe(&k, sizeof(k));
	if (!ok) {
		return -1;
	}
	return renew ? 2 : 1;
}

void tls_tickets_use(SSL_CTX *ctx)
{
	(void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
	(void)SSL_CTX_set_timeout(ctx, TLS_TICKET_LIFETIME_MS / 1000);
}
