/*
 * stream - TLS under a stream, for whoever accepted or connected it
 *
 * Called on a fresh stream, it puts TLS between the owner and the socket: on_data shows
 * plain bytes, what is queued leaves encrypted, and nothing else changes for the owner.
 * Bytes queued before the handshake is over wait for it.
 *
 * The end  close_notify is the peer's orderly end (on_eof); a connection that ends
 *          without it is broken (ERR_IO), since anybody on the way could have cut it.
 *          stream_close sends close_notify. A failed handshake sends its alert and then
 *          calls on_close(ERR_IO); one that is too slow, on_close(ERR_TIMEOUT).
 *
 * Ownership  the stream holds a reference to its context.
 * Threads    the loop of the stream. It may be moved (stream_detach) after the handshake.
 */
#pragma once
#include "base/arena.h"
#include "net/stream.h"
#include "tls/context.h"

/*
 * Once: ERR_OK when the handshake is over, before the first on_data; or what went wrong
 * and why (words for the log), right before on_close. May close the stream.
 */
typedef void tls_done_fn(struct stream *s, enum err result, const char *why);

struct tls_accept {
	struct tls_server *server;
	uint32_t timeout_ms;  /* of the handshake; 0 = none */
	tls_done_fn *on_done; /* may be NULL */
	/*
	 * The first byte says that the client speaks no TLS but a text protocol such as
	 * HTTP: the stream is a plain one now, its input is lost, and the owner answers and
	 * closes it. NULL: fails as any other garbage.
	 */
	void (*on_plain)(struct stream *s);
};
void tls_stream_accept(struct stream *s, const struct tls_accept *a);

struct tls_connect {
	struct tls_client *client;
	struct str host; /* for SNI (unless an address), and what the certificate must be for */
	uint32_t timeout_ms;
	tls_done_fn *on_done; /* may be NULL */
};
void tls_stream_connect(struct stream *s, const struct tls_connect *c);

struct tls_info {
	struct str sni;	    /* as the client sent it; n 0 = none */
	struct str alpn;    /* n 0 = none */
	struct str version; /* "TLSv1.3" */
	struct str cipher;  /* "TLS_AES_256_GCM_SHA384" */
	struct str verify;  /* "NONE" (no certificate), "SUCCESS", or what is wrong with it */
	bool resumed;
	bool has_peer_cert;
};

/* After the handshake. False for a plain stream. Strings live as long as the stream, or static. */
bool tls_stream_info(const struct stream *s, struct tls_info *out);
bool tls_stream_is(const struct stream *s);
/* The peer's certificate; STR_NULL without one. */
struct str tls_stream_peer_pem(const struct stream *s, struct arena *a);
/* Its distinguished name, RFC 2253. */
struct str tls_stream_peer_subject(const struct stream *s, struct arena *a);
