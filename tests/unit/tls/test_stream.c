#include "base/clock.h"
#include "base/mem.h"
#include "tls/stream.h"
#include "unit.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * A server stream and, for most tests, a client stream on one loop, joined by a socket
 * pair. Each end records what its owner saw; a test runs the loop until its condition holds.
 */
struct end {
	struct stream *s;
	struct buf in;
	size_t largest;	  /* of the pieces in which it came */
	struct str say;	  /* written when the handshake is over */
	unsigned says;	  /* how often */
	bool close_after; /* and then closed */
	bool eof, done;
	enum err closed; /* ERR_OK = not yet */
	enum err result;
	char why[128];
	struct tls_info info;
	char sni[64], alpn[16], version[16], verify[64];
};

struct fixture {
	struct loop *loop;
	struct arena arena;
	struct tls_pem pem;
	struct tls_cert *cert;
	struct tls_sni_map *map;
	struct tls_server *server;
	struct tls_client *client;
	int fds[2];
	struct end at_server, at_client;
	bool (*until)(struct fixture *f);
	struct timer tick;
	uint64_t end_ms;
	uint32_t timeout_ms;
};

/* ---- ends ---- */

static size_t on_data(struct stream *s, char *p, size_t n)
{
	struct end *e = s->user;

	assert_true(e->done || !tls_stream_is(s));
	buf_append(&e->in, p, n);
	e->largest = MAX(e->largest, n);
	return n;
}

static void on_eof(struct stream *s)
{
	struct end *e = s->user;

	e->eof = true;
}

static void on_close(struct stream *s, enum err why)
{
	struct end *e = s->user;

	e->closed = why;
	e->s = NULL;
}

static const struct stream_handler handler = {
	.on_data = on_data, .on_eof = on_eof, .on_close = on_close};

static void copy(char *out, size_t cap, struct str s)
{
	assert_true(s.n < cap);
	memcpy(out, s.p ? s.p : "", s.n);
	out[s.n] = 0;
}

static void say(struct end *e)
{
	for (unsigned i = 0; i < e->says; i++) {
		stream_write_mem(e->s, e->say, NULL, NULL);
	}
	if (e->close_after) {
		stream_close(e->s);
		e->s = NULL;
	}
}

static void on_done(struct stream *s, enum err result, const char *why)
{
	struct end *e = s->user;

	assert_false(e->done);
	e->done = true;
	e->result = result;
	if (result != ERR_OK) {
		copy(e->why, sizeof(e->why), str_c(why));
		return;
	}
	assert_true(tls_stream_info(s, &e->info));
	copy(e->sni, sizeof(e->sni), e->info.sni);
	copy(e->alpn, sizeof(e->alpn), e->info.alpn);
	copy(e->version, sizeof(e->version), e->info.version);
	copy(e->verify, sizeof(e->verify), e->info.verify);
	say(e);
}

/* ---- the fixture ---- */

static void make_contexts(struct fixture *f, struct tls_server_options so,
			  struct tls_client_options co)
{
	struct fault why = {0};

	so.certs = f->map;
	so.client_ca = so.ask >= TLS_ASK_OPTIONAL ? f->pem.cert : STR_NULL;
	if (!co.insecure && co.ca.n == 0) {
		co.ca = f->pem.cert;
	}
	assert_int_equal(tls_server_new(&so, &f->server, &why), ERR_OK);
	assert_int_equal(tls_client_new(&co, &f->client, &why), ERR_OK);
}

static void set_up(struct fixture *f, enum tls_key_kind kind)
{
	struct fault why = {0};

	*f = (struct fixture){.loop = loop_new(0), .timeout_ms = 10000};
	arena_init(&f->arena, 0);
	assert_int_equal(tls_self_signed(&f->arena, kind, STR("server.test"), 2, &f->pem, &why),
			 ERR_OK);
	assert_int_equal(tls_cert_new(&f->pem, 1, &f->cert, &why), ERR_OK);
	f->map = tls_sni_map_new(f->cert);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, f->fds),
			 0);
}

static void on_plain(struct stream *s)
{
	stream_write(s, STR("plain"));
	stream_close(s);
	((struct end *)s->user)->s = NULL;
}

static void start_server(struct fixture *f)
{
	f->at_server.s = stream_new(f->loop, f->fds[0], &handler, &f->at_server);
	tls_stream_accept(f->at_server.s, &(struct tls_accept){.server = f->server,
							       .timeout_ms = f->timeout_ms,
							       .on_done = on_done,
							       .on_plain = on_plain});
}

static void start_client(struct fixture *f, struct str host)
{
	f->at_client.s = stream_new(f->loop, f->fds[1], &handler, &f->at_client);
	tls_stream_connect(f->at_client.s, &(struct tls_connect){.client = f->client,
								 .host = host,
								 .timeout_ms = f->timeout_ms,
								 .on_done = on_done});
}

static void on_tick(struct timer *t)
{
	struct fixture *f = container_of(t, struct fixture, tick);

	if (f->until(f)) {
		loop_stop(f->loop);
		return;
	}
	if (clock_mono_ms() > f->end_ms) {
		fail_msg("waited in vain");
	}
	timer_start(f->loop, t, 1, on_tick);
}

static void run_until(struct fixture *f, bool (*until)(struct fixture *f))
{
	f->until = until;
	f->end_ms = clock_mono_ms() + 20000;
	timer_start(f->loop, &f->tick, 1, on_tick);
	loop_run(f->loop);
}

static void tear_down(struct fixture *f)
{
	if (f->at_server.s) {
		stream_abort(f->at_server.s);
	}
	if (f->at_client.s) {
		stream_abort(f->at_client.s);
	}
	timer_stop(f->loop, &f->tick);
	loop_free(&f->loop);
	tls_server_unref(&f->server);
	tls_client_unref(&f->client);
	tls_sni_map_unref(&f->map);
	tls_cert_unref(&f->cert);
	buf_free(&f->at_server.in);
	buf_free(&f->at_client.in);
	arena_fini(&f->arena);
}

/* ---- a client of its own ---- */

enum { UPDATES = 2000, SMALL_RECORDS = 2000 };

/* Runs beside the loop, with the other end of the connection. */
struct peer {
	pthread_t thread;
	int fd;
	unsigned at_once;  /* new keys between two texts ... */
	size_t text;	   /* ... of so many bytes */
	unsigned pause_ms; /* before the last few */
	unsigned done;
};

static SSL *connect_peer(const struct peer *p)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);

	SSL_CTX_free(ctx);
	assert_int_equal(fcntl(p->fd, F_SETFL, 0), 0);
	assert_int_equal(SSL_set_fd(ssl, p->fd), 1);
	assert_int_equal(SSL_connect(ssl), 1);
	return ssl;
}

static void leave(SSL *ssl, const struct peer *p)
{
	(void)SSL_shutdown(ssl);
	SSL_free(ssl);
	(void)shutdown(p->fd, SHUT_WR);
}

static bool make_key(SSL *ssl)
{
	return SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1;
}

static void *update(void *arg)
{
	static const char text[4096];
	struct peer *p = arg;
	SSL *ssl = connect_peer(p);

	while (p->done < UPDATES && make_key(ssl)) {
		if (++p->done % p->at_once == 0 &&
		    SSL_write(ssl, text, (int)p->text) != (int)p->text) {
			break;
		}
	}
	leave(ssl, p);
	return NULL;
}

/* Bytes of text that the server has, for its peer's thread. */
static _Atomic size_t heard;

static bool server_ended(struct fixture *f)
{
	atomic_store(&heard, f->at_server.in.n);
	return f->at_server.closed != ERR_OK || f->at_server.eof;
}

/* Until the server has seen the end: bytes of text that came. */
static size_t serve_peer(struct peer *p, void *(*run)(void *arg), struct end *out)
{
	struct fixture f;

	atomic_store(&heard, 0);
	set_up(&f, TLS_KEY_EC);
	make_contexts(&f, (struct tls_server_options){0}, (struct tls_client_options){0});
	start_server(&f);
	p->fd = f.fds[1];
	assert_int_equal(pthread_create(&p->thread, NULL, run, p), 0);
	run_until(&f, server_ended);
	(void)shutdown(p->fd, SHUT_RDWR); /* nobody reads any more what it still writes */
	assert_int_equal(pthread_join(p->thread, NULL), 0);
	(void)close(p->fd);
	*out = f.at_server;
	tear_down(&f);
	return out->in.n;
}

static void test_new_keys_have_an_end(void **state)
{
	struct end seen;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(serve_peer(&(struct peer){.at_once = UPDATES, .text = 1}, update, &seen),
			 0);
	assert_false(seen.eof);
}

/* A byte is worth no thirty keys. */
static void test_new_keys_have_an_end_with_a_little_text(void **state)
{
	struct end seen;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_in_range(serve_peer(&(struct peer){.at_once = 10, .text = 1}, update, &seen), 1, 10);
	assert_false(seen.eof);
}

static void test_new_keys_for_much_text(void **state)
{
	struct peer p = {.at_once = 1, .text = 4096};
	struct end seen;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(serve_peer(&p, update, &seen), UPDATES * 4096);
	assert_true(seen.eof);
}

/*
 * As many as there may be, also if they are read together with the end of the handshake, and later,
 * when that is forgiven, a few more.
 */
static void *update_now_and_then(void *arg)
{
	struct peer *p = arg;
	SSL *ssl = connect_peer(p);

	for (unsigned i = 0; i < p->at_once; i++) {
		assert_true(make_key(ssl));
	}
	assert_int_equal(SSL_write(ssl, "a", 1), 1);
	while (atomic_load(&heard) < 1) {
		(void)usleep(1000);
	}
	(void)nanosleep(&(struct timespec){.tv_nsec = p->pause_ms * 1000000L}, NULL);
	for (unsigned i = 0; i < 6; i++) {
		(void)make_key(ssl);
	}
	(void)SSL_write(ssl, "b", 1);
	leave(ssl, p);
	return NULL;
}

static void test_new_keys_now_and_then(void **state)
{
	struct end seen;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(serve_peer(&(struct peer){.at_once = 28, .pause_ms = 900},
				    update_now_and_then, &seen),
			 2);
	assert_true(seen.eof);
}

/* All at once, so that they wait in the socket together; and then nothing, not even an end. */
static void *send_small_records(void *arg)
{
	struct peer *p = arg;
	SSL *ssl = connect_peer(p);
	BIO *all = BIO_new(BIO_s_mem());
	char *bytes;
	long n;

	SSL_set0_wbio(ssl, all);
	for (unsigned i = 0; i < SMALL_RECORDS; i++) {
		assert_int_equal(SSL_write(ssl, "x", 1), 1);
	}
	n = BIO_get_mem_data(all, &bytes);
	assert_int_equal(send(p->fd, bytes, (size_t)n, MSG_NOSIGNAL), n);
	SSL_free(ssl);
	return NULL;
}

static bool all_small_records_came(struct fixture *f)
{
	return f->at_server.in.n == SMALL_RECORDS;
}

/* None is forgotten in OpenSSL's buffer, for which no event comes. */
static void test_small_records_take_turns(void **state)
{
	struct fixture f;
	struct peer p = {0};

	(void)state;
	set_up(&f, TLS_KEY_EC);
	make_contexts(&f, (struct tls_server_options){0}, (struct tls_client_options){0});
	start_server(&f);
	p.fd = f.fds[1];
	assert_int_equal(pthread_create(&p.thread, NULL, send_small_records, &p), 0);
	run_until(&f, all_small_records_came);
	assert_int_equal(pthread_join(p.thread, NULL), 0);
	assert_in_range(f.at_server.largest, 1, 64);
	(void)close(p.fd);
	tear_down(&f);
}

static bool both_done(struct fixture *f)
{
	return f->at_server.done && f->at_client.done;
}

static bool both_closed(struct fixture *f)
{
	return f->at_server.closed && f->at_client.closed;
}

static bool server_closed(struct fixture *f)
{
	return f->at_server.closed != ERR_OK;
}

static bool server_saw_end(struct fixture *f)
{
	return f->at_server.eof;
}

/* ---- many at once ---- */

enum { CROWD = 8 };

struct crowd {
	struct fixture f;
	struct later counter;
	unsigned turn;
	struct stream *servers[CROWD], *clients[CROWD];
	unsigned done_in[CROWD], n_done; /* turns in which the server had one more */
};

static struct crowd *crowd;

static void on_each_turn(struct later *w)
{
	crowd->turn++;
	loop_next_turn(crowd->f.loop, w, on_each_turn);
}

static void on_one_done(struct stream *s, enum err result, const char *why)
{
	(void)s;
	(void)why;
	assert_int_equal(result, ERR_OK);
	assert_true(crowd->n_done < CROWD);
	crowd->done_in[crowd->n_done++] = crowd->turn;
}

static bool all_are_done(struct fixture *f)
{
	(void)f;
	return crowd->n_done == CROWD;
}

static void join_crowd(struct crowd *c, size_t i)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	c->servers[i] = stream_new(c->f.loop, fds[0], &handler, &c->f.at_server);
	c->clients[i] = stream_new(c->f.loop, fds[1], &handler, &c->f.at_client);
	tls_stream_accept(c->servers[i], &(struct tls_accept){.server = c->f.server,
							      .timeout_ms = 10000,
							      .on_done = on_one_done});
	tls_stream_connect(c->clients[i], &(struct tls_connect){.client = c->f.client,
								.host = STR("server.test"),
								.timeout_ms = 10000});
}

/* Who has a connection already waits for one handshake, not for all that have just come. */
static void test_handshakes_take_turns(void **state)
{
	struct crowd c = {.turn = 0};

	(void)state;
	crowd = &c;
	set_up(&c.f, TLS_KEY_EC);
	make_contexts(&c.f, (struct tls_server_options){0}, (struct tls_client_options){0});
	loop_next_turn(c.f.loop, &c.counter, on_each_turn);
	for (size_t i = 0; i < CROWD; i++) {
		join_crowd(&c, i);
	}
	run_until(&c.f, all_are_done);
	for (size_t i = 1; i < CROWD; i++) {
		assert_true(c.done_in[i] > c.done_in[i - 1]);
	}
	later_cancel(&c.counter);
	for (size_t i = 0; i < CROWD; i++) {
		stream_abort(c.servers[i]);
		stream_abort(c.clients[i]);
	}
	(void)close(c.f.fds[0]);
	(void)close(c.f.fds[1]);
	tear_down(&c.f);
}

/* ---- tests ---- */

static void test_talks(void **state)
{
	struct fixture f;

	(void)state;
	for (int kind = TLS_KEY_RSA; kind <= TLS_KEY_EC; kind++) {
		set_up(&f, (enum tls_key_kind)kind);
		make_contexts(&f, (struct tls_server_options){.alpn = TLS_ALPN_HTTP1 | TLS_ALPN_H2},
			      (struct tls_client_options){.alpn = TLS_ALPN_HTTP1});
		start_server(&f);
		start_client(&f, STR("server.test"));
		/* Before the handshake is over: it waits. */
		stream_write(f.at_client.s, STR("early"));
		stream_close(f.at_client.s);
		f.at_client.s = NULL;
		run_until(&f, server_saw_end);
		assert_str(buf_str(&f.at_server.in), STR("early"));
		assert_string_equal(f.at_server.sni, "server.test");
		assert_string_equal(f.at_server.alpn, "http/1.1");
		assert_string_equal(f.at_server.version, "TLSv1.3");
		assert_string_equal(f.at_server.verify, "NONE");
		assert_false(f.at_server.info.resumed);
		tear_down(&f);
	}
}

#define PIECE ((size_t)100001)
#define PIECES 30

static bool all_came(struct fixture *f)
{
	return f->at_client.in.n >= PIECE * PIECES && f->at_server.in.n >= PIECE * PIECES;
}

/* More than sockets hold, both ways at once: blocked writes, records cut anywhere. */
static void test_bulk(void **state)
{
	struct fixture f;
	char *data = mem_alloc(PIECE);

	(void)state;
	for (size_t i = 0; i < PIECE; i++) {
		data[i] = (char)(i * 7 + i / 251);
	}
	set_up(&f, TLS_KEY_EC);
	make_contexts(&f, (struct tls_server_options){0}, (struct tls_client_options){0});
	f.at_server.say = f.at_client.say = str_of(data, PIECE);
	f.at_server.says = f.at_client.says = PIECES;
	start_server(&f);
	start_client(&f, STR("server.test"));
	run_until(&f, all_came);
	for (size_t i = 0; i < PIECES; i++) {
		assert_memory_equal(buf_head(&f.at_client.in) + i * PIECE, data, PIECE);
		assert_memory_equal(buf_head(&f.at_server.in) + i * PIECE, data, PIECE);
	}
	assert_int_equal(f.at_client.in.n, PIECE * PIECES);
	assert_int_equal(stream_pending(f.at_client.s), 0);
	assert_string_equal(f.at_client.verify, "SUCCESS");
	tear_down(&f);
	mem_free(data);
}

static void fails_for(struct tls_client_options co, struct str host, const char *why)
{
	struct fixture f;

	set_up(&f, TLS_KEY_EC);
	make_contexts(&f, (struct tls_server_options){0}, co);
	start_server(&f);
	start_client(&f, host);
	run_until(&f, both_closed);
	assert_int_equal(f.at_client.result, ERR_IO);
	assert_int_equal(f.at_client.closed, ERR_IO);
	if (!strstr(f.at_client.why, why)) {
		fail_msg("\"%s\" lacks \"%s\"", f.at_client.why, why);
	}
	assert_int_equal(f.at_server.in.n, 0);
	tear_down(&f);
}

static void test_verifies(void **state)
{
	struct tls_pem other;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	assert_ok(tls_self_signed(&a, TLS_KEY_EC, STR("server.test"), 1, &other, NULL));
	fails_for((struct tls_client_options){0}, STR("other.test"), "hostname mismatch");
	fails_for((struct tls_client_options){0}, STR("127.0.0.1"), "IP address mismatch");
	fails_for((struct tls_client_options){0}, STR(""), "hostname mismatch");
	fails_for((struct tls_client_options){.ca = other.cert}, STR("server.test"),
		  "certificate verify failed");
	fails_for((struct tls_client_options){.limits.max = TLS_V1_2,
					      .limits.ciphers = STR("ECDHE-RSA-AES128-GCM-SHA256")},
		  STR("server.test"), "handshake failure");
	arena_fini(&a);
}

static void test_takes_any(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, TLS_KEY_EC);
	make_contexts(&f, (struct tls_server_options){0},
		      (struct tls_client_options){.insecure = true});
	start_server(&f);
	start_client(&f, STR("127.0.0.1"));
	run_until(&f, both_done);
	assert_int_equal(f.at_client.result, ERR_OK);
	assert_string_equal(f.at_server.sni, ""); /* an address is no name */
	tear_down(&f);
}

static void asks(enum tls_ask ask, bool shows, enum err want, const char *verify)
{
	struct fixture f;

	set_up(&f, TLS_KEY_EC);
	make_contexts(&f, (struct tls_server_options){.ask = ask},
		      (struct tls_client_options){.cert = shows ? f.cert : NULL});
	start_server(&f);
	start_client(&f, STR("server.test"));
	run_until(&f, both_done);
	assert_int_equal(f.at_server.result, want);
	if (want == ERR_OK) {
		assert_string_equal(f.at_server.verify, verify);
		shows = shows && ask != TLS_ASK_NONE;
		assert_int_equal(f.at_server.info.has_peer_cert, shows);
		assert_int_equal(tls_stream_peer_pem(f.at_server.s, &f.arena).n > 0, shows);
	}
	if (want == ERR_OK && shows) {
		assert_str(tls_stream_peer_subject(f.at_server.s, &f.arena), STR("CN=server.test"));
		assert_str(tls_stream_peer_pem(f.at_server.s, &f.arena), f.pem.cert);
	}
	tear_down(&f);
}

static void test_client_certificates(void **state)
{
	(void)state;
	asks(TLS_ASK_NONE, true, ERR_OK, "NONE");
	asks(TLS_ASK_OPTIONAL, false, ERR_OK, "NONE");
	asks(TLS_ASK_OPTIONAL, true, ERR_OK, "SUCCESS");
	asks(TLS_ASK_REQUIRED, true, ERR_OK, "SUCCESS");
	asks(TLS_ASK_REQUIRED, false, ERR_IO, "");
	asks(TLS_ASK_ANY, true, ERR_OK, "self-signed certificate");
}

/* ---- peers that speak no TLS, or not enough ---- */

static void test_slow_handshake(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, TLS_KEY_EC);
	make_contexts(&f, (struct tls_server_options){0}, (struct tls_client_options){0});
	f.timeout_ms = 50;
	start_server(&f);
	assert_int_equal(write(f.fds[1], "\x16\x03\x01\x02", 4), 4);
	run_until(&f, server_closed);
	assert_int_equal(f.at_server.closed, ERR_TIMEOUT);
	assert_int_equal(f.at_server.result, ERR_TIMEOUT);
	(void)close(f.fds[1]);
	tear_down(&f);
}

static void test_garbage(void **state)
{
	static const struct str inputs[] = {STR_INIT("\x16\x03\x01\x00\x05hello"), STR_INIT("\0\0"),
					    STR_INIT("ssh-2.0 so what"), STR_INIT("\x80\x2e\x01")};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
		set_up(&f, TLS_KEY_EC);
		make_contexts(&f, (struct tls_server_options){0}, (struct tls_client_options){0});
		start_server(&f);
		assert_int_equal(write(f.fds[1], inputs[i].p, inputs[i].n), inputs[i].n);
		(void)shutdown(f.fds[1], SHUT_WR);
		run_until(&f, server_closed);
		assert_int_equal(f.at_server.result, ERR_IO);
		(void)close(f.fds[1]);
		tear_down(&f);
	}
}

static bool server_gave_up(struct fixture *f)
{
	return !f->at_server.s;
}

static void test_plain_text(void **state)
{
	struct fixture f;
	char got[16];

	(void)state;
	set_up(&f, TLS_KEY_EC);
	make_contexts(&f, (struct tls_server_options){0}, (struct tls_client_options){0});
	start_server(&f);
	assert_int_equal(write(f.fds[1], "GET / HTTP/1.1\r\n", 16), 16);
	run_until(&f, server_gave_up);
	assert_int_equal(read(f.fds[1], got, sizeof(got)), 5);
	assert_memory_equal(got, "plain", 5);
	(void)close(f.fds[1]);
	tear_down(&f);
}

static bool cut_off(struct fixture *f)
{
	if (both_done(f) && f->at_client.s) {
		stream_abort(f->at_client.s);
		f->at_client.s = NULL;
	}
	return f->at_server.closed != ERR_OK;
}

/* Whoever cuts the connection cannot pass it off as an orderly end. */
static void test_truncated(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, TLS_KEY_EC);
	make_contexts(&f, (struct tls_server_options){0}, (struct tls_client_options){0});
	start_server(&f);
	start_client(&f, STR("server.test"));
	run_until(&f, cut_off);
	assert_false(f.at_server.eof);
	assert_int_equal(f.at_server.closed, ERR_IO);
	tear_down(&f);
}

/* The owner may end the stream in any callback. */
static void test_closed_in_done(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, TLS_KEY_EC);
	make_contexts(&f, (struct tls_server_options){0}, (struct tls_client_options){0});
	f.at_client.close_after = true;
	start_server(&f);
	start_client(&f, STR("server.test"));
	run_until(&f, server_saw_end);
	assert_true(f.at_client.done && !f.at_client.s);
	tear_down(&f);
}

/* ---- ends in the middle ---- */

/* Both have shaken hands; nobody has said a word. */
static void set_up_open(struct fixture *f)
{
	int room = 200000;

	set_up(f, TLS_KEY_EC);
	assert_int_equal(setsockopt(f->fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	make_contexts(f, (struct tls_server_options){0}, (struct tls_client_options){0});
	start_server(f);
	start_client(f, STR("server.test"));
	run_until(f, both_done);
}

static bool client_told(struct fixture *f)
{
	return f->at_client.closed != ERR_OK || f->at_client.eof;
}

static void expect_truncated(struct fixture *f)
{
	run_until(f, client_told);
	assert_false(f->at_client.eof);
	assert_int_equal(f->at_client.closed, ERR_IO);
}

/* All that is queued goes first, also when it is more than one call of the transport takes. */
static void test_cut_sends_what_is_queued(void **state)
{
	static char data[1000];
	struct fixture f;

	(void)state;
	for (size_t n = 1; n <= 120; n += 119) {
		set_up_open(&f);
		for (size_t i = 0; i < n; i++) {
			stream_write(f.at_server.s, str_of(data, sizeof(data)));
		}
		stream_cut(f.at_server.s);
		f.at_server.s = NULL;
		expect_truncated(&f);
		assert_int_equal(f.at_client.in.n, n * sizeof(data));
		tear_down(&f);
	}
}

static bool server_blocked(struct fixture *f)
{
	return f->at_server.s->write_blocked;
}

/* What the peer has then is a beginning, and it knows. */
static void test_cut_with_a_full_socket(void **state)
{
	struct fixture f;
	size_t n = PIECE * PIECES;
	char *data = mem_alloc(n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		data[i] = (char)(i * 7 + i / 251);
	}
	for (int waits = 0; waits < 2; waits++) {
		set_up_open(&f);
		stream_pause_read(f.at_client.s);
		stream_write_mem(f.at_server.s, str_of(data, n), NULL, NULL);
		if (waits) {
			run_until(&f, server_blocked);
		}
		stream_cut(f.at_server.s);
		f.at_server.s = NULL;
		stream_resume_read(f.at_client.s);
		expect_truncated(&f);
		assert_in_range(f.at_client.in.n, 1, n - 1);
		assert_memory_equal(buf_head(&f.at_client.in), data, f.at_client.in.n);
		tear_down(&f);
	}
	mem_free(data);
}

static void test_open_ended(void **state)
{
	static void (*const ends[])(struct stream * s) = {stream_close, stream_abort, stream_cut};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		set_up_open(&f);
		stream_open_ended(f.at_server.s);
		stream_write(f.at_server.s, STR("half of"));
		ends[i](f.at_server.s);
		f.at_server.s = NULL;
		expect_truncated(&f);
		tear_down(&f);
	}
	set_up_open(&f);
	stream_open_ended(f.at_server.s);
	stream_write(f.at_server.s, STR("all of it"));
	stream_complete(f.at_server.s);
	stream_close(f.at_server.s);
	f.at_server.s = NULL;
	run_until(&f, client_told);
	assert_true(f.at_client.eof);
	assert_str(buf_str(&f.at_client.in), STR("all of it"));
	tear_down(&f);
}

static bool client_hung_up(struct fixture *f)
{
	return f->at_client.s->hangup;
}

/* All was written, but the peer took too little of it for too long. */
static void test_open_ended_that_does_not_drain(void **state)
{
	struct fixture f;
	size_t n = PIECE * PIECES;
	char *data = mem_zalloc(n);

	(void)state;
	set_up_open(&f);
	stream_pause_read(f.at_client.s);
	f.at_server.s->write_timeout_ms = 20;
	stream_open_ended(f.at_server.s);
	stream_write_mem(f.at_server.s, str_of(data, n), NULL, NULL);
	stream_complete(f.at_server.s);
	stream_close(f.at_server.s);
	f.at_server.s = NULL;
	run_until(&f, client_hung_up);
	stream_resume_read(f.at_client.s);
	expect_truncated(&f);
	assert_in_range(f.at_client.in.n, 1, n - 1);
	tear_down(&f);
	mem_free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_keys_have_an_end),
		cmocka_unit_test(test_new_keys_have_an_end_with_a_little_text),
		cmocka_unit_test(test_new_keys_for_much_text),
		cmocka_unit_test(test_new_keys_now_and_then),
		cmocka_unit_test(test_small_records_take_turns),
		cmocka_unit_test(test_handshakes_take_turns),
		cmocka_unit_test(test_talks),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_verifies),
		cmocka_unit_test(test_takes_any),
		cmocka_unit_test(test_client_certificates),
		cmocka_unit_test(test_slow_handshake),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_plain_text),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_closed_in_done),
		cmocka_unit_test(test_cut_sends_what_is_queued),
		cmocka_unit_test(test_cut_with_a_full_socket),
		cmocka_unit_test(test_open_ended),
		cmocka_unit_test(test_open_ended_that_does_not_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
