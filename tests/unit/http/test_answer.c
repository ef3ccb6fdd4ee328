/* How answers over HTTP/1 end, plain and over TLS: whole, or so that the client sees they are not.
 */
#include "http/held_server.h"
#include "talk.h"

#include <fcntl.h>

/* More than the sockets hold. */
#define MUCH ((size_t)16 << 20)

static char much[MUCH];

/* It reads only while it waits for something. */
struct client {
	struct loop *loop;
	struct stream *s;
	struct buf in;
	bool eof; /* an orderly end */
	bool over;
	struct timer guard;
};

static size_t on_data(struct stream *s, char *p, size_t n)
{
	struct client *c = s->user;

	buf_append(&c->in, p, n);
	loop_stop(c->loop);
	return n;
}

static void on_close(struct stream *s, enum err why)
{
	struct client *c = s->user;

	(void)why;
	c->over = true;
	loop_stop(c->loop);
}

static void on_eof(struct stream *s)
{
	((struct client *)s->user)->eof = true;
	on_close(s, ERR_CLOSED);
	stream_abort(s);
}

static const struct stream_handler client_events = {
	.on_data = on_data, .on_eof = on_eof, .on_close = on_close};

static void on_guard(struct timer *t)
{
	(void)t;
	fail_msg("waited in vain");
}

static void client_open(struct client *c, uint16_t port, struct tls_client *tls)
{
	int fd = talk_dial(port);

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	*c = (struct client){.loop = loop_new(9)};
	c->s = stream_new(c->loop, fd, &client_events, c);
	if (tls) {
		tls_stream_connect(c->s, &(struct tls_connect){.client = tls, .host = STR("a")});
	}
	timer_start(c->loop, &c->guard, 60000, on_guard);
}

static void hear_head(struct client *c)
{
	while (!c->over && str_find(buf_str(&c->in), STR("\r\n\r\n")) < 0) {
		loop_run(c->loop);
	}
	assert_false(c->over);
}

static void hear_all(struct client *c)
{
	while (!c->over) {
		loop_run(c->loop);
	}
}

static void client_close(struct client *c)
{
	timer_stop(c->loop, &c->guard);
	loop_free(&c->loop);
	buf_free(&c->in);
}

/* ---- the cases ---- */

static void start_write_much(struct exchange *x)
{
	held_start(x);
	exchange_write(x, str_of(much, MUCH));
}

static const struct ending {
	void (*on_begin)(struct exchange *x);
	void (*then)(struct exchange *x);
	bool stops; /* the server and its loop, at once */
	bool whole;
} endings[] = {
	{held_start_write, exchange_finish, .whole = true},
	{held_start_write, exchange_cut},
	{held_start_write, .stops = true},
	{start_write_much, exchange_finish, .whole = true},
	{start_write_much, exchange_cut},
	{start_write_much, .stops = true},
	{start_write_much, exchange_finish, .stops = true},
};

struct way {
	struct tls_server *server; /* NULL: plain */
	struct tls_client *client;
	int minor;
	bool drains;
};

static void expect_end(const struct client *c, const struct way *w, const struct ending *e)
{
	struct str all = buf_str(&c->in);

	/* HTTP/1.0 knows no other end of such an answer, and TLS has a word for it. */
	if (w->minor == 0 || w->server) {
		assert_int_equal(c->eof, e->whole);
	}
	if (w->minor == 1) {
		assert_int_equal(str_ends(all, STR("\r\n0\r\n\r\n")), e->whole);
	}
	if (e->on_begin == start_write_much) {
		assert_int_equal(all.n > MUCH, e->whole);
	} else if (w->minor == 1 || e->whole) { /* a reset may overtake it */
		assert_true(str_find(all, STR("half of")) > 0);
	}
}

static void play(const struct way *w, const struct ending *e)
{
	struct held_server h;
	struct client c;

	held_open(&h, w->server, 60000);
	client_open(&c, h.port, w->client);
	h.on_begin = e->on_begin;
	stream_write(c.s, w->minor == 0
				  ? STR("GET / HTTP/1.0\r\n\r\n")
				  : STR("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
	hear_head(&c);
	if (w->drains) {
		http_server_drain(h.server, 0);
	}
	if (e->then) {
		held_do(&h, e->then);
	}
	if (e->stops) {
		held_close(&h);
	}
	hear_all(&c);
	expect_end(&c, w, e);
	assert_int_equal(h.aborted, !e->then); /* otherwise the role knows */
	client_close(&c);
	if (!e->stops) {
		held_close(&h);
	}
}

static void play_all(struct way w)
{
	for (w.minor = 0; w.minor <= 1; w.minor++) {
		for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
			play(&w, &endings[i]);
		}
		w.drains = true;
		play(&w, &endings[0]);
		play(&w, &endings[1]);
		w.drains = false;
	}
}

static void test_ends_in_plain(void **state)
{
	(void)state;
	play_all((struct way){0});
}

static void test_ends_over_tls(void **state)
{
	struct way w = {0};
	struct tls_pem pem;
	struct tls_cert *cert;
	struct tls_sni_map *map;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	assert_ok(tls_self_signed(&a, TLS_KEY_EC, STR("a"), 2, &pem, NULL));
	assert_ok(tls_cert_new(&pem, 1, &cert, NULL));
	map = tls_sni_map_new(cert);
	assert_ok(tls_server_new(&(struct tls_server_options){.certs = map}, &w.server, NULL));
	assert_ok(tls_client_new(&(struct tls_client_options){.ca = pem.cert}, &w.client, NULL));
	play_all(w);
	tls_server_unref(&w.server);
	tls_client_unref(&w.client);
	tls_sni_map_unref(&map);
	tls_cert_unref(&cert);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_in_plain),
		cmocka_unit_test(test_ends_over_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
