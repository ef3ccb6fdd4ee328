/*
 * tickets - the keys that session tickets are sealed with
 *
 * One ring for the process: whichever loop, listener or reload meets the client again can
 * open its ticket. A key seals for TLS_TICKET_LIFETIME_MS and opens for as long again;
 * a ticket opened with the former key is renewed. The keys never leave the memory, so a
 * restart ends all sessions.
 *
 * Threads  any.
 */
#pragma once
#include "base/str.h"

#define TLS_TICKET_LIFETIME_MS (INT64_C(2) * 3600 * 1000)
#define TLS_TICKET_NAME_LEN 16

struct tls_ticket_key {
	uint8_t name[TLS_TICKET_NAME_LEN];
	uint8_t aes[32];
	uint8_t mac[32];
};

/* Visible for tests; the times are those of clock_mono_ms. */
struct tls_ticket_ring {
	struct tls_ticket_key current, former;
	uint64_t made_ms; /* of `current`; 0 = none yet */
	bool has_former;
};

/* The key to seal with; makes a new one when it is due. */
const struct tls_ticket_key *tls_tickets_seal(struct tls_ticket_ring *r, uint64_t now_ms);
/* The key of that name, or NULL when it is unknown or too old. `*renew`: not the current one. */
const struct tls_ticket_key *tls_tickets_open(struct tls_ticket_ring *r, uint64_t now_ms,
					      const uint8_t name[TLS_TICKET_NAME_LEN], bool *renew);

/* SSL_CTX_set_tlsext_ticket_key_evp_cb with the ring of the process. */
struct ssl_ctx_st;
void tls_tickets_use(struct ssl_ctx_st *ctx);
