/*
 * How bytes move. OpenSSL sits on a BIO of ours over the socket:
 *
 *   recv   the BIO reads from the socket straight into OpenSSL's record buffer. With
 *          read-ahead that is one recv for up to 16 KiB, and the BIO remembers that a
 *          read came up short, so that a request costs one system call as with plain TCP.
 *          Memory BIOs would cost a copy of each byte more.
 *   send   the BIO never says "later": whole records go to the socket at once, small
 *          ones and what the socket did not take are collected in `wire` and leave by
 *          one send at the end of the operation. So OpenSSL never has to be called
 *          again with the same arguments, reading never waits for writing, and the
 *          stream's own "blocked" says all: while `wire` holds something, nothing
 *          more is encrypted.
 *
 * `owed` is the plain length of what `wire` holds: reported to the stream as sent when
 * the kernel has it, so that stream_pending tells the truth.
 *
 *   HANDSHAKE --done--> OPEN --close_notify--> EOF
 *        \_________________\________________\____--fault--> FAILED
 */
#include "tls/stream.h"

#include "base/mem.h"
#include "tls/tls_int.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define RECORD_MAX ((size_t)16384)
#define SENDV_MAX (4 * RECORD_MAX)
#define DIRECT_MIN 4096 /* from here on a copy costs more than a system call */
/*
 * Steps of OpenSSL: a handshake takes twenty or so, a KeyUpdate three, and the time of twenty small
 * records. Text and time pay for them; a peer that sends little else would make new keys of us for
 * as long as it likes.
 */
#define STEPS_MAX 100
#define STEP_BYTES 1024 /* of text pay for a step ... */
#define STEP_MS 100	/* ... or so much time */
/* In one read: with records of a byte each a whole buffer of text would be thousands. */
#define RECORDS_MAX 64

enum tls_state { TLS_HANDSHAKE, TLS_OPEN, TLS_EOF, TLS_FAILED, TLS_STATES };

struct transport {
	struct stream *stream;
	SSL *ssl;
	struct tls_server *server; /* one of the two */
	struct tls_client *client;
	tls_done_fn *on_done;
	void (*on_plain)(struct stream *s);
	struct timer timer; /* of the handshake */
	struct later turn;  /* to go on with it */
	struct buf wire;    /* encrypted, not with the kernel yet */
	size_t owed;
	unsigned steps;	  /* not paid for yet */
	size_t text;	  /* that pays for some */
	uint64_t paid_ms; /* until when time has paid */
	enum tls_state state;
	bool drained : 1;     /* the socket is empty, as far as this operation knows */
	bool seen : 1;	      /* the first bytes have come */
	bool plain : 1;	      /* and they are no TLS */
	bool has_turn : 1;    /* for a step of the handshake */
	bool recv_broken : 1; /* the socket gives no more */
	bool send_broken : 1; /* or takes no more: what it still gives is read */
};

static const uint8_t state_next[TLS_STATES] = {
	[TLS_HANDSHAKE] = 1u << TLS_OPEN | 1u << TLS_FAILED,
	[TLS_OPEN] = 1u << TLS_EOF | 1u << TLS_FAILED,
	[TLS_EOF] = 1u << TLS_FAILED,
	[TLS_FAILED] = 0,
};

static void enter(struct transport *t, enum tls_state to)
{
	ASSERT(state_next[t->state] & 1u << to);
	t->state = to;
}

/* ---- the BIO ---- */

/* Every TLS connection begins with a record of type handshake (22). */
static bool looks_plain(char first)
{
	return first >= 'A' && first <= 'Z';
}

static int bio_read(BIO *b, char *p, int n)
{
	struct transport *t = BIO_get_data(b);
	ptrdiff_t got;

	BIO_clear_retry_flags(b);
	if (t->steps > STEPS_MAX) {
		t->recv_broken = true;
		return -1;
	}
	if (t->drained) {
		BIO_set_retry_read(b);
		return -1;
	}
	got = stream_tcp_ops.recv(t->stream, p, (size_t)n);
	if (got > 0) {
		t->drained = got < n && !t->stream->hangup; /* then the end is behind it */
		t->plain = !t->seen && t->on_plain && looks_plain(p[0]);
		t->seen = true;
		return t->plain ? -1 : (int)got;
	}
	if (got == -1) {
		t->drained = true;
		BIO_set_retry_read(b);
		return -1;
	}
	t->recv_broken = true; /* 0: the socket ended, without a close_notify */
	return -1;
}

static int bio_write(BIO *b, const char *p, int n)
{
	struct transport *t = BIO_get_data(b);
	struct str rest = str_of(p, (size_t)n);
	ptrdiff_t sent = -1;

	BIO_clear_retry_flags(b);
	if (t->wire.n == 0 && rest.n >= DIRECT_MIN && t->stream->loop) {
		sent = stream_tcp_ops.sendv(t->stream, &rest, 1);
	}
	if (sent == -2 || t->send_broken) {
		t->send_broken = true;
		return n; /* OpenSSL would only ask again */
	}
	rest = str_skip(rest, sent > 0 ? (size_t)sent : 0);
	if (rest.n > 0) {
		if (!t->wire.p && t->stream->loop) {
			loop_buf_get(t->stream->loop, &t->wire);
		}
		buf_put(&t->wire, rest);
	}
	return n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)b;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP ? 1 : 0;
}

static CRYPTO_ONCE method_once = CRYPTO_ONCE_STATIC_INIT;
static BIO_METHOD *method; /* constant once made */

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
	ASSERT(method);
	(void)BIO_meth_set_read(method, bio_read);
	(void)BIO_meth_set_write(method, bio_write);
	(void)BIO_meth_set_ctrl(method, bio_ctrl);
}

static BIO *bio_new(struct transport *t)
{
	BIO *b;

	ASSERT(CRYPTO_THREAD_run_once(&method_once, make_method) == 1);
	b = BIO_new(method);
	ASSERT(b);
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	return b;
}

/* ---- the wire ---- */

/* As stream_ops.flush. */
static ptrdiff_t flush_wire(struct transport *t)
{
	while (t->wire.n > 0 && !t->send_broken) {
		struct str piece = buf_str(&t->wire);
		ptrdiff_t n = stream_tcp_ops.sendv(t->stream, &piece, 1);

		if (n == -1) {
			return -1;
		}
		if (n <= 0) {
			t->send_broken = true;
			break;
		}
		buf_consume(&t->wire, (size_t)n);
	}
	if (t->send_broken) {
		return -2;
	}
	if (t->wire.p && t->stream->loop) {
		loop_buf_put(t->stream->loop, &t->wire);
	}
	return 0;
}

static ptrdiff_t tls_flush(struct stream *s)
{
	return flush_wire(s->transport);
}

/* ---- handshake ---- */

/* "certificate verify failed: self-signed certificate", for the log. */
static const char *why_failed(const struct transport *t, char *out, size_t n)
{
	long verify = SSL_get_verify_result(t->ssl);
	const char *reason = ERR_peek_last_error() ? tls_reason() : "the connection was closed";
	struct buf b = {0};

	buf_printf(&b, "%s", reason);
	if (verify != X509_V_OK) {
		buf_printf(&b, ": %s", X509_verify_cert_error_string(verify));
	}
	b.n = MIN(b.n, n - 1);
	memcpy(out, buf_head(&b), b.n);
	out[b.n] = 0;
	buf_free(&b);
	return out;
}

/* Tells once. The owner may close the stream and with it `t`. */
static void tell_done(struct transport *t, enum err result, const char *why)
{
	tls_done_fn *fn = t->on_done;

	t->on_done = NULL;
	if (t->stream->loop) {
		timer_stop(t->stream->loop, &t->timer);
	}
	if (fn && !t->stream->closing) {
		fn(t->stream, result, why);
	}
}

static void on_slow_handshake(struct timer *timer)
{
	struct transport *t = container_of(timer, struct transport, timer);
	struct stream *s = t->stream;

	enter(t, TLS_FAILED);
	tell_done(t, ERR_TIMEOUT, "the handshake took too long");
	stream_fail(s, ERR_TIMEOUT);
}

static void on_step(const SSL *ssl, int where, int result)
{
	struct transport *t = BIO_get_data(SSL_get_rbio(ssl));

	(void)result;
	t->steps += (where & SSL_CB_LOOP) != 0;
}

static void on_turn(struct later *w)
{
	struct transport *t = container_of(w, struct transport, turn);

	t->has_turn = true;
	stream_readable(t->stream);
}

/*
 * A step takes as long as a hundred requests, and whoever connects may do so a thousand times:
 * those that are connected wait for one step at a time.
 */
static bool may_step(struct transport *t)
{
	bool may = t->has_turn;

	t->has_turn = false;
	if (!may) {
		loop_heavy(t->stream->loop, &t->turn, on_turn);
	}
	return may;
}

/* Looks whether OpenSSL has just finished; true once. */
static bool is_newly_open(struct transport *t)
{
	if (t->state != TLS_HANDSHAKE || !SSL_is_init_finished(t->ssl)) {
		return false;
	}
	enter(t, TLS_OPEN);
	t->steps = 0; /* of the handshake */
	return true;
}

/* ---- reading ---- */

/* The client speaks plain text: the stream becomes what it was. */
static ptrdiff_t become_plain(struct stream *s)
{
	struct transport *t = s->transport;
	void (*on_plain)(struct stream * s) = t->on_plain;

	s->ops->free(s);
	s->ops = &stream_tcp_ops;
	on_plain(s);
	return -1;
}

/* SSL_get_error needs an empty queue. Looking takes a third of the time of emptying it. */
static void forget_errors(void)
{
	if (UNLIKELY(ERR_peek_error() != 0)) {
		ERR_clear_error();
	}
}

/* `result` of a call that gave nothing: -1 later, 0 end, -2 failed. */
static ptrdiff_t outcome(struct transport *t, int result)
{
	if (t->recv_broken) {
		return -2;
	}
	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	}
	return -2;
}

static void pay_steps(struct transport *t)
{
	uint64_t by_time = (loop_now_ms(t->stream->loop) - t->paid_ms) / STEP_MS;

	t->steps -= (unsigned)MIN(t->steps, t->text / STEP_BYTES + by_time);
	t->text %= STEP_BYTES;
	t->paid_ms += by_time * STEP_MS;
}

/* After a record of text: whether there may be another one. */
static ptrdiff_t more_plain(struct transport *t)
{
	if (t->steps > STEPS_MAX) {
		t->recv_broken = true;
		return -2;
	}
	return t->drained && !SSL_has_pending(t->ssl) ? -1 : 1;
}

/*
 * Reads until `n` bytes are there, nothing more comes or others are to have their turn; `*end` says
 * why it stopped, 1 when there may be more.
 */
static size_t read_plain(struct transport *t, char *p, size_t n, ptrdiff_t *end)
{
	size_t total = 0, got;
	int result;

	t->drained = false;
	forget_errors();
	pay_steps(t);
	*end = t->recv_broken ? -2 : 1;
	for (unsigned i = 0; i < RECORDS_MAX && total < n && *end == 1; i++) {
		result = SSL_read_ex(t->ssl, p + total, n - total, &got);
		total += result == 1 ? got : 0;
		*end = result == 1 ? more_plain(t) : outcome(t, result);
	}
	t->text += total;
	return total;
}

/* A failed connection that is closing: what still comes is not looked at. */
static ptrdiff_t discard(struct stream *s, void *p, size_t n)
{
	return s->lingering ? stream_tcp_ops.recv(s, p, n) : s->closing ? -1 : -2;
}

/* The alert, if there is one, leaves, and the stream with it. */
static ptrdiff_t fail(struct stream *s, void *p, size_t n)
{
	struct transport *t = s->transport;
	char why[160];

	if (t->state == TLS_HANDSHAKE) {
		enter(t, TLS_FAILED);
		tell_done(t, ERR_IO, why_failed(t, why, sizeof(why)));
	} else if (t->state != TLS_FAILED) {
		enter(t, TLS_FAILED);
	}
	ERR_clear_error();
	if (s->dead) {
		return -1;
	}
	if (t->send_broken || t->wire.n == 0) {
		return -2;
	}
	stream_leave(s, ERR_IO);
	return s->dead ? -1 : discard(s, p, n);
}

static ptrdiff_t tls_recv(struct stream *s, void *p, size_t n)
{
	struct transport *t = s->transport;
	ptrdiff_t end;
	size_t got;

	if (t->state == TLS_FAILED) {
		return discard(s, p, n);
	}
	if (t->state == TLS_HANDSHAKE && !may_step(t)) {
		return -1; /* asked again by stream_readable */
	}
	got = read_plain(t, p, n, &end);
	s->more = end == 1;
	if (t->plain) {
		ERR_clear_error();
		if (s->closing) { /* nobody is there to be told */
			enter(t, TLS_FAILED);
			return discard(s, p, n);
		}
		return become_plain(s);
	}
	if (end == -2 && got == 0) {
		return fail(s, p, n);
	}
	if (flush_wire(t) == -1) {
		stream_block(s); /* an answer to the handshake, or tickets */
	}
	if (end == 0 && t->state == TLS_OPEN) {
		enter(t, TLS_EOF);
	}
	if (got > 0 && (end == 0 || end == -2)) {
		forget_errors();  /* said again by the next read */
		s->hangup = true; /* read again for the end: no event tells of it */
	}
	if (is_newly_open(t)) {
		stream_unblock(s);
		tell_done(t, ERR_OK, NULL);
		if (s->dead) {
			return -1;
		}
	}
	return got > 0 ? (ptrdiff_t)got : end;
}

/* ---- writing ---- */

static bool encrypt(struct transport *t, struct str plain, size_t *total)
{
	size_t done = 0;

	while (plain.n > 0 && !t->send_broken) {
		if (SSL_write_ex(t->ssl, plain.p, plain.n, &done) != 1) {
			ERR_clear_error();
			return false;
		}
		*total += done;
		plain = str_skip(plain, done);
	}
	return !t->send_broken;
}

/* Takes the front of the pieces off: one where it is long or alone, else as many as fit. */
static struct str next_record(struct str *v, unsigned n, char scratch[RECORD_MAX])
{
	struct str out;
	size_t used = 0;
	unsigned i = 0;

	while (i < n && v[i].n == 0) {
		i++;
	}
	if (i == n) {
		return STR_NULL;
	}
	if (i + 1 == n || v[i].n >= RECORD_MAX) {
		out = str_slice(v[i], 0, RECORD_MAX);
		v[i] = str_skip(v[i], out.n);
		return out;
	}
	for (; i < n && used < RECORD_MAX; i++) {
		size_t part = MIN(v[i].n, RECORD_MAX - used);

		memcpy(scratch + used, v[i].p, part);
		used += part;
		v[i] = str_skip(v[i], part);
	}
	return str_of(scratch, used);
}

static bool encrypt_all(struct transport *t, const struct str *pieces, unsigned n, size_t *total)
{
	char scratch[RECORD_MAX];
	struct str v[16];

	ASSERT(n <= ARRAY_LEN(v));
	memcpy(v, pieces, n * sizeof(*v));
	forget_errors();
	while (t->wire.n == 0 && *total < SENDV_MAX) {
		struct str record = next_record(v, n, scratch);

		if (record.n == 0) {
			break;
		}
		if (!encrypt(t, record, total)) {
			return false;
		}
	}
	return true;
}

static ptrdiff_t tls_sendv(struct stream *s, const struct str *v, unsigned n)
{
	struct transport *t = s->transport;
	ptrdiff_t flushed = flush_wire(t);
	size_t total = 0;

	if (flushed < 0 || t->state == TLS_HANDSHAKE) {
		return flushed < 0 ? flushed : -1;
	}
	if (t->owed > 0) {
		total = t->owed;
		t->owed = 0;
		return (ptrdiff_t)total;
	}
	if (t->state == TLS_FAILED || !encrypt_all(t, v, n, &total)) {
		return -2;
	}
	flushed = flush_wire(t);
	if (flushed == -1) {
		t->owed = total;
	}
	return flushed < 0 ? flushed : (ptrdiff_t)total;
}

/* ---- the end ---- */

static ptrdiff_t tls_shutdown(struct stream *s)
{
	struct transport *t = s->transport;

	if ((t->state == TLS_OPEN || t->state == TLS_EOF) && !t->send_broken &&
	    !(SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)) {
		(void)SSL_shutdown(t->ssl);
		ERR_clear_error();
	}
	if (flush_wire(t) == -1) {
		return -1;
	}
	return stream_tcp_ops.shutdown(s);
}

static void tls_free(struct stream *s)
{
	struct transport *t = s->transport;

	s->transport = NULL;
	if (s->loop) {
		timer_stop(s->loop, &t->timer);
	}
	later_cancel(&t->turn);
	SSL_free(t->ssl);
	ERR_clear_error();
	buf_free(&t->wire);
	tls_server_unref(&t->server);
	tls_client_unref(&t->client);
	mem_free(t);
}

/*
 * A short read emptied the socket, and OpenSSL holds no whole record: read_plain went on till then,
 * or there is `more`.
 */
static const struct stream_ops tls_ops = {
	.recv = tls_recv,
	.sendv = tls_sendv,
	.shutdown = tls_shutdown,
	.flush = tls_flush,
	.free = tls_free,
	.short_read_drains = true,
};

/* ---- the beginning ---- */

static struct transport *begin(struct stream *s, SSL_CTX *ctx, uint32_t timeout_ms)
{
	struct transport *t = MEM_NEW(struct transport);
	BIO *b;

	ASSERT(s->ops == &stream_tcp_ops && !s->dead && !s->closing);
	t->stream = s;
	t->ssl = SSL_new(ctx);
	ASSERT(t->ssl);
	b = bio_new(t);
	SSL_set_bio(t->ssl, b, b);
	/* From the first on: what comes with the last of the handshake is read together with it. */
	SSL_set_info_callback(t->ssl, on_step);
	s->ops = &tls_ops;
	s->transport = t;
	if (timeout_ms > 0) {
		timer_start(s->loop, &t->timer, timeout_ms, on_slow_handshake);
	}
	return t;
}

void tls_stream_accept(struct stream *s, const struct tls_accept *a)
{
	struct transport *t = begin(s, tls_server_context(a->server), a->timeout_ms);

	t->server = tls_server_ref(a->server);
	t->on_done = a->on_done;
	t->on_plain = a->on_plain;
	SSL_set_accept_state(t->ssl);
}

static void expect_host(struct transport *t, struct str host)
{
	char name[256];
	struct addr ip;
	bool is_ip = addr_from_ip(host, 0, &ip) == ERR_OK;

	if (host.n >= sizeof(name)) {
		host.n = 0; /* no certificate is for it */
	}
	memcpy(name, host.p ? host.p : "", host.n);
	name[host.n] = 0;
	if (!is_ip && host.n > 0) {
		(void)SSL_set_tlsext_host_name(t->ssl, name);
	}
	if (!tls_client_verifies(t->client)) {
		return;
	}
	if (is_ip) {
		(void)X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), name);
	} else {
		SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		/* An empty name would match any certificate. */
		(void)SSL_set1_host(t->ssl, host.n > 0 ? name : "invalid.");
	}
}

void tls_stream_connect(struct stream *s, const struct tls_connect *c)
{
	struct transport *t = begin(s, tls_client_context(c->client), c->timeout_ms);

	t->client = tls_client_ref(c->client);
	t->on_done = c->on_done;
	expect_host(t, c->host);
	SSL_set_connect_state(t->ssl);
	ERR_clear_error();
	t->drained = true; /* nothing to read before we have said something */
	(void)SSL_do_handshake(t->ssl);
	ERR_clear_error();
	stream_flush(s);
}

/* ---- what was agreed ---- */

static const struct transport *transport_of(const struct stream *s)
{
	return s && s->ops == &tls_ops ? s->transport : NULL;
}

bool tls_stream_is(const struct stream *s)
{
	return transport_of(s) != NULL;
}

static struct str verify_text(const struct transport *t, bool has_cert)
{
	long result = SSL_get_verify_result(t->ssl);

	if (!has_cert) {
		return STR("NONE");
	}
	return result == X509_V_OK ? STR("SUCCESS") : str_c(X509_verify_cert_error_string(result));
}

bool tls_stream_info(const struct stream *s, struct tls_info *out)
{
	const struct transport *t = transport_of(s);
	const unsigned char *alpn = NULL;
	unsigned alpn_n = 0;
	bool has_cert;

	if (!t) {
		return false;
	}
	has_cert = SSL_get0_peer_certificate(t->ssl) != NULL;
	SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_n);
	*out = (struct tls_info){
		.sni = str_c(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name)),
		.alpn = str_of(alpn, alpn_n),
		.version = str_c(SSL_get_version(t->ssl)),
		.cipher = str_c(SSL_get_cipher_name(t->ssl)),
		.verify = verify_text(t, has_cert),
		.resumed = SSL_session_reused(t->ssl) == 1,
		.has_peer_cert = has_cert,
	};
	return true;
}

static struct str taken(struct arena *a, BIO *b)
{
	char *p = NULL;
	long n = BIO_get_mem_data(b, &p);
	struct str out = str_dup(a, str_of(p, n > 0 ? (size_t)n : 0));

	BIO_free(b);
	ERR_clear_error();
	return out;
}

static X509 *peer_cert(const struct stream *s)
{
	const struct transport *t = transport_of(s);

	return t ? SSL_get0_peer_certificate(t->ssl) : NULL;
}

struct str tls_stream_peer_pem(const struct stream *s, struct arena *a)
{
	X509 *x = peer_cert(s);
	BIO *b;

	if (!x) {
		return STR_NULL;
	}
	b = BIO_new(BIO_s_mem());
	(void)PEM_write_bio_X509(b, x);
	return taken(a, b);
}

struct str tls_stream_peer_subject(const struct stream *s, struct arena *a)
{
	X509 *x = peer_cert(s);
	BIO *b;

	if (!x) {
		return STR_NULL;
	}
	b = BIO_new(BIO_s_mem());
	(void)X509_NAME_print_ex(b, X509_get_subject_name(x), 0, XN_FLAG_RFC2253);
	return taken(a, b);
}
