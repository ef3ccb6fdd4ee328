#include "gateway/health.h"

#include "balancer_fixture.h"
#include "http/client.h"
#include "http/script_server.h"
#include "http/server.h"
#include "serve.h"

static void add_statuses(struct status_set *s, const int *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		status_set_add(s, v[i]);
	}
}

static void rules(struct health_rules *r)
{
	static const int good[] = {200, 302};
	static const int bad[] = {429, 500, 503};

	add_statuses(&r->healthy_statuses, good, ARRAY_LEN(good));
	add_statuses(&r->unhealthy_statuses, bad, ARRAY_LEN(bad));
}

static void set_up_passive(struct fixture *f)
{
	static const unsigned weights[] = {100};

	set_up(f);
	rules(&f->c.health.passive);
	f->c.health.passive.http_failures = 3;
	f->c.health.passive.tcp_failures = 2;
	f->c.health.passive.timeouts = 2;
	add_weights(f, weights, ARRAY_LEN(weights));
	apply(f);
}

static bool is_up(struct fixture *f)
{
	enum balancer_health h = status_of(f).targets[0].health;

	assert_int_not_equal(h, BALANCER_HEALTHCHECKS_OFF);
	return h == BALANCER_HEALTHY;
}

/* One request that ends so. */
static void see(struct fixture *f, enum balancer_outcome outcome, int status)
{
	struct balancer_try t = {0};
	struct balancer_peer p;

	assert_ok(pick_of(f, f->b, 0, NULL, &t, &p));
	done_with(f, 0, &t, outcome, status);
}

static void test_status_set(void **state)
{
	struct status_set s = {{0}};
	static const int outside[] = {-1, 0, 99, 1000, 1 << 20};

	(void)state;
	add_statuses(&s, outside, ARRAY_LEN(outside));
	for (int i = -10; i < 1100; i++) {
		assert_false(status_set_has(&s, i));
	}
	status_set_add(&s, 100);
	status_set_add(&s, 999);
	for (int i = -10; i < 1100; i++) {
		assert_int_equal(status_set_has(&s, i), i == 100 || i == 999);
	}
}

/* ---- passive ---- */

static void test_passive_statuses(void **state)
{
	struct fixture f;

	(void)state;
	set_up_passive(&f);
	see(&f, BALANCER_STATUS, 500);
	see(&f, BALANCER_STATUS, 503);
	see(&f, BALANCER_STATUS, 404); /* in neither list: says nothing */
	assert_true(is_up(&f));
	see(&f, BALANCER_STATUS, 429);
	assert_false(is_up(&f));
	assert_int_equal(serve(&f, 0, NULL, 200), 0);
	tear_down(&f);
}

/* A success takes back the failures before it. */
static void test_passive_success_clears(void **state)
{
	struct fixture f;

	(void)state;
	set_up_passive(&f);
	for (unsigned i = 0; i < 10; i++) {
		see(&f, BALANCER_STATUS, 500);
		see(&f, BALANCER_STATUS, 500);
		see(&f, BALANCER_TCP_FAILURE, 0);
		see(&f, BALANCER_TIMEOUT, 0);
		see(&f, BALANCER_STATUS, 200);
	}
	assert_true(is_up(&f));
	tear_down(&f);
}

static void test_passive_failures(void **state)
{
	static const enum balancer_outcome kinds[] = {BALANCER_TCP_FAILURE, BALANCER_TIMEOUT};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct fixture f;

		set_up_passive(&f);
		see(&f, kinds[i], 0);
		see(&f, kinds[1 - i], 0); /* counted apart */
		see(&f, BALANCER_ABORTED, 0);
		assert_true(is_up(&f));
		see(&f, kinds[i], 0);
		assert_false(is_up(&f));
		tear_down(&f);
	}
}

/* What fails here is not the address's doing; an answer that is refused is one. */
static void test_outcomes(void **state)
{
	static const struct {
		enum err why;
		enum balancer_outcome outcome;
	} cases[] = {
		{ERR_UNAVAILABLE, BALANCER_TCP_FAILURE},
		{ERR_IO, BALANCER_TCP_FAILURE},
		{ERR_TIMEOUT, BALANCER_TIMEOUT},
		{ERR_PROTO, BALANCER_STATUS},
		{ERR_LIMIT, BALANCER_STATUS},
		{ERR_EXHAUSTED, BALANCER_ABORTED},
		{ERR_INVALID, BALANCER_ABORTED},
		{ERR_CANCELED, BALANCER_ABORTED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(health_outcome(cases[i].why), cases[i].outcome);
	}
}

/* Those that were under way when it went down may bring it back, if that is configured. */
static void test_passive_revival(void **state)
{
	struct fixture f;

	(void)state;
	for (unsigned successes = 0; successes <= 2; successes += 2) {
		struct balancer_try t[3] = {0};
		struct balancer_peer p;

		set_up_passive(&f);
		f.c.health.passive.successes = (uint8_t)successes;
		apply(&f);
		for (unsigned i = 0; i < 3; i++) {
			assert_ok(pick_of(&f, f.b, 0, NULL, &t[i], &p));
		}
		see(&f, BALANCER_TCP_FAILURE, 0);
		see(&f, BALANCER_TCP_FAILURE, 0);
		done_with(&f, 0, &t[0], BALANCER_STATUS, 200);
		assert_false(is_up(&f));
		done_with(&f, 0, &t[1], BALANCER_STATUS, 200);
		done_with(&f, 0, &t[2], BALANCER_STATUS, 200);
		assert_int_equal(is_up(&f), successes > 0);
		tear_down(&f);
	}
}

static void test_passive_off(void **state)
{
	static const unsigned weights[] = {100};
	struct fixture f;

	(void)state;
	set_up(&f);
	rules(&f.c.health.passive);
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	for (unsigned i = 0; i < 300; i++) {
		see(&f, BALANCER_STATUS, 500);
		see(&f, BALANCER_TCP_FAILURE, 0);
		see(&f, BALANCER_TIMEOUT, 0);
	}
	assert_int_equal(status_of(&f).targets[0].health, BALANCER_HEALTHCHECKS_OFF);
	assert_int_equal(status_of(&f).weight_available, 100);
	tear_down(&f);
}

/* ---- active: the probed server runs on the second loop ---- */

struct probed {
	struct script_server server;
	const struct step *steps;
	atomic_uint connections;
	struct buf got;
};

static void run_open(struct loop *l, void *arg)
{
	struct probed *p = arg;

	script_open(&p->server, l, p->steps);
}

static void run_close(struct loop *l, void *arg)
{
	struct probed *p = arg;

	(void)l;
	script_close(&p->server);
}

static void run_look(struct loop *l, void *arg)
{
	struct probed *p = arg;

	(void)l;
	buf_clear(&p->got);
	buf_put(&p->got, buf_str(&p->server.got));
	atomic_store(&p->connections, p->server.connections);
}

static void open_server(struct fixture *f, struct probed *p, const struct step *steps)
{
	*p = (struct probed){.steps = steps};
	loop_call(f->loops.v[1], run_open, p);
}

static void close_server(struct fixture *f, struct probed *p)
{
	if (f->loops.threads) {
		loop_call(f->loops.v[1], run_close, p);
	}
}

static struct str requests(struct fixture *f, struct probed *p)
{
	loop_call(f->loops.v[1], run_look, p);
	return buf_str(&p->got);
}

static void set_up_active(struct fixture *f, enum probe_type type)
{
	set_up(f);
	rules(&f->c.health.active.rules);
	f->c.health.active.type = type;
	f->c.health.active.healthy_interval_ms = 5;
	f->c.health.active.unhealthy_interval_ms = 5;
	f->c.health.active.timeout_ms = 10000;
	f->c.health.active.concurrency = 2;
	f->c.health.active.http_path = STR("/health?deep");
	f->c.health.active.rules.successes = 2;
	f->c.health.active.rules.http_failures = 2;
	f->c.health.active.rules.tcp_failures = 2;
	f->c.health.active.rules.timeouts = 2;
}

#define REPLY(status)                                                                              \
	{                                                                                          \
		.reply = "HTTP/1.1 " status "\r\nContent-Length: 2\r\n\r\nok", .then = CLOSE       \
	}
#define OK REPLY("200 OK")
#define ODD REPLY("418 Teapot")
#define BAD REPLY("500 Broken")

static void test_probe_http(void **state)
{
	/* Down by the second of two in a row; up by the second of two in a row; then silence. */
	static const struct step steps[] = {BAD, OK, BAD, ODD, BAD, OK, ODD, BAD, OK, OK, {0}};
	static const struct health_header headers[] = {
		{STR_INIT("X-Probe"), STR_INIT("1")},
	};
	struct fixture f;
	struct probed p;
	struct str got;
	unsigned n = 0;

	(void)state;
	set_up_active(&f, PROBE_HTTP);
	open_server(&f, &p, steps);
	f.c.health.active.headers = headers;
	f.c.health.active.n_headers = ARRAY_LEN(headers);
	f.c.health.active.unhealthy_interval_ms = 0;
	add_target(&f, "127.0.0.1", p.server.port, 100);
	apply(&f);
	WAIT_FOR(&f, !is_up(&f));
	f.c.health.active.unhealthy_interval_ms = 5;
	apply(&f);
	WAIT_FOR(&f, is_up(&f));
	got = requests(&f, &p);
	assert_true(str_starts(got, STR("GET /health?deep HTTP/1.1\r\nX-Probe: 1\r\n"
					"Host: 127.0.0.1\r\nConnection: close\r\n\r\n")));
	for (ptrdiff_t at; (at = str_find(got, STR("GET /"))) >= 0; n++) {
		got = str_skip(got, (size_t)at + 1);
	}
	assert_in_range(n, 10, 11);
	close_server(&f, &p);
	buf_free(&p.got);
	tear_down(&f);
}

static void test_probe_host_header(void **state)
{
	static const struct step steps[] = {OK, OK, {0}};
	struct fixture f;
	struct probed p;

	(void)state;
	set_up_active(&f, PROBE_HTTP);
	f.c.host_header = STR("api.example");
	open_server(&f, &p, steps);
	add_target(&f, "127.0.0.1", p.server.port, 100);
	apply(&f);
	WAIT_FOR(&f, str_find(requests(&f, &p), STR("\r\nHost: api.example\r\n")) > 0);
	close_server(&f, &p);
	buf_free(&p.got);
	tear_down(&f);
}

/* Nobody listens: down; somebody does again: up, for both types. */
static void test_probe_connections(void **state)
{
	static struct step steps[5000];
	static const enum probe_type types[] = {PROBE_TCP, PROBE_HTTP};

	(void)state;
	for (size_t i = 0; i + 1 < ARRAY_LEN(steps); i++) {
		steps[i] = (struct step)OK; /* as many as the patience of the test lasts */
	}
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct fixture f;
		struct probed p, gone;

		set_up_active(&f, types[i]);
		open_server(&f, &gone, steps);
		close_server(&f, &gone);
		open_server(&f, &p, steps);
		add_target(&f, "127.0.0.1", gone.server.port, 100);
		add_target(&f, "127.0.0.1", p.server.port, 100);
		apply(&f);
		WAIT_FOR(&f, !is_up(&f));
		assert_int_equal(status_of(&f).targets[1].health, BALANCER_HEALTHY);
		/* The other one is down by hand; its probes bring it back. */
		mark(&f, 1, BALANCER_UNHEALTHY);
		WAIT_FOR(&f, status_of(&f).targets[1].health == BALANCER_HEALTHY);
		assert_false(is_up(&f));
		close_server(&f, &p);
		buf_free(&p.got);
		tear_down(&f);
	}
}

static unsigned connections(struct fixture *f, struct probed *p)
{
	(void)requests(f, p);
	return atomic_load(&p->connections);
}

/* Another ten probes of this one. */
static void wait_for_ten(struct fixture *f, struct probed *clock)
{
	unsigned n = connections(f, clock);

	WAIT_FOR(f, connections(f, clock) >= n + 10);
}

/* An upstream that is listed no more is not probed, whoever still has the old view. */
static void test_probes_end_with_the_list(void **state)
{
	static struct step steps[20000];
	struct balancer_config both[2];
	struct probed removed, stays;
	struct balancer_view *old;
	struct fixture f;
	unsigned n;

	(void)state;
	for (size_t i = 0; i + 1 < ARRAY_LEN(steps); i++) {
		steps[i] = (struct step)OK;
	}
	set_up_active(&f, PROBE_HTTP);
	open_server(&f, &removed, steps);
	open_server(&f, &stays, steps);
	add_target(&f, "127.0.0.1", removed.server.port, 100);
	add_target(&f, "127.0.0.1", stays.server.port, 100);
	f.c.n_targets = 1;
	both[0] = both[1] = f.c;
	both[1].id = id_of(2);
	both[1].name = STR("stays");
	both[1].targets = &f.targets[1];
	old = balancer_set_apply(f.set, both, 2);
	wait_for_ten(&f, &removed);
	f.view = balancer_set_apply(f.set, &both[1], 1);
	loops_quiesce(&f.loops);
	/* Connections that were made before are accepted meanwhile. */
	wait_for_ten(&f, &stays);
	n = connections(&f, &removed);
	wait_for_ten(&f, &stays);
	assert_int_equal(connections(&f, &removed), n);
	balancer_view_unref(&old);
	close_server(&f, &removed);
	close_server(&f, &stays);
	buf_free(&removed.got);
	buf_free(&stays.got);
	tear_down(&f);
}

static void test_probe_timeouts(void **state)
{
	static const struct step silent[] = {{0}};
	struct fixture f;
	struct probed p;

	(void)state;
	set_up_active(&f, PROBE_HTTP);
	f.c.health.active.timeout_ms = 10;
	f.c.health.active.rules.tcp_failures = 0;
	open_server(&f, &p, silent);
	add_target(&f, "127.0.0.1", p.server.port, 100);
	apply(&f);
	WAIT_FOR(&f, !is_up(&f));
	close_server(&f, &p);
	buf_free(&p.got);
	tear_down(&f);
}

/* The head of an answer, and nothing behind it, is not an answer. */
static void test_probe_grpc_hangs(void **state)
{
	static const char settings_and_head[] =
		"\0\0\0\4\0\0\0\0\0"	  /* SETTINGS */
		"\0\0\1\1\4\0\0\0\1\x88"; /* HEADERS of stream 1: END_HEADERS, :status 200 */
	static const struct step head = {
		.reply = settings_and_head,
		.n = sizeof(settings_and_head) - 1,
		.body = sizeof("SM\r\n\r\n") - 1, /* the preface has two empty lines */
	};
	const struct step steps[] = {head, head, head, {0}};
	struct fixture f;
	struct probed p;

	(void)state;
	set_up_active(&f, PROBE_GRPC);
	f.c.health.active.timeout_ms = 100;
	f.c.health.active.rules.tcp_failures = 0;
	f.c.health.active.rules.http_failures = 0;
	open_server(&f, &p, steps);
	add_target(&f, "127.0.0.1", p.server.port, 100);
	apply(&f);
	WAIT_FOR(&f, !is_up(&f));
	assert_true(str_starts(requests(&f, &p), STR("PRI * HTTP/2.0\r\n")));
	close_server(&f, &p);
	buf_free(&p.got);
	tear_down(&f);
}

/* ---- https: a server with a certificate that nobody vouches for ---- */

static atomic_bool sni_seen;

static void on_https(struct exchange *x, void *role)
{
	struct tls_info info;

	(void)role;
	if (exchange_tls_info(x, &info) && str_eq(info.sni, STR("probe.test"))) {
		atomic_store(&sni_seen, true);
	}
	exchange_reply_status(x, 200);
}

static struct http_server *open_https(struct fixture *f)
{
	struct http_server *server = http_server_new(&http_limits_default, on_https, NULL);
	struct http_listen listen = {0};
	struct tls_server_options o = {0};
	struct tls_cert *cert;
	struct tls_pem pem;

	assert_ok(tls_self_signed(&f->arena, TLS_KEY_EC, STR("probe.test"), 2, &pem, NULL));
	assert_ok(tls_cert_new(&pem, 1, &cert, NULL));
	o.certs = tls_sni_map_new(cert);
	assert_ok(tls_server_new(&o, &listen.tls, NULL));
	(void)serve_as(server, &f->loops, listen);
	tls_server_unref(&listen.tls);
	tls_sni_map_unref(&o.certs);
	tls_cert_unref(&cert);
	return server;
}

static void run_http_fini(struct loop *l, void *arg)
{
	(void)arg;
	http_server_loop_fini(l);
}

static void test_probe_https(void **state)
{
	struct http_server *server;
	struct fixture f;

	(void)state;
	set_up_active(&f, PROBE_HTTPS);
	f.c.health.active.https_verify = true;
	f.c.health.active.https_sni = STR("probe.test");
	server = open_https(&f);
	add_target(&f, "127.0.0.1", addr_port(http_server_addr(server, 0)), 100);
	apply(&f);
	WAIT_FOR(&f, !is_up(&f));
	assert_false(atomic_load(&sni_seen));
	f.c.health.active.https_verify = false;
	apply(&f);
	WAIT_FOR(&f, is_up(&f));
	assert_true(atomic_load(&sni_seen));
	http_server_free(&server);
	for (unsigned i = 0; i < LOOPS; i++) {
		loop_call(f.loops.v[i], run_http_fini, NULL);
	}
	tear_down(&f);
}

/* Probes go on after updates, of the targets too; and stop when they are switched off. */
static void test_probe_updates(void **state)
{
	static const struct step bad[] = {BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, {0}};
	struct fixture f;
	struct probed p;

	(void)state;
	set_up_active(&f, PROBE_HTTP);
	f.c.health.active.unhealthy_interval_ms = 0;
	open_server(&f, &p, bad);
	add_target(&f, "127.0.0.1", 1, 0); /* out of rotation: not probed */
	apply(&f);
	add_target(&f, "127.0.0.1", p.server.port, 100);
	f.c.health.active.http_path = STR("/other");
	apply(&f);
	WAIT_FOR(&f, status_of(&f).targets[1].health == BALANCER_UNHEALTHY);
	assert_true(str_starts(requests(&f, &p), STR("GET /other ")));
	assert_int_equal(atomic_load(&p.connections), 2); /* what is down is not asked */
	f.c.health.active.healthy_interval_ms = 0;
	apply(&f);
	loops_quiesce(&f.loops);
	mark(&f, 1, BALANCER_HEALTHY);
	for (unsigned i = 0; i < 20; i++) {
		(void)usleep(1000);
	}
	assert_true(str_starts(requests(&f, &p), STR("GET /other ")));
	assert_int_equal(atomic_load(&p.connections), 2);
	close_server(&f, &p);
	buf_free(&p.got);
	tear_down(&f);
}

/* The set ends while probes are under way. */
static void test_probe_end(void **state)
{
	static const struct step silent[] = {{0}};
	static const enum probe_type types[] = {PROBE_TCP, PROBE_HTTP, PROBE_GRPC};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct fixture f;
		struct probed p;

		set_up_active(&f, types[i]);
		open_server(&f, &p, silent);
		add_target(&f, "127.0.0.1", p.server.port, 100);
		apply(&f);
		WAIT_FOR(&f, (requests(&f, &p), atomic_load(&p.connections)) > 0);
		close_server(&f, &p);
		buf_free(&p.got);
		tear_down(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_set),
		cmocka_unit_test(test_passive_statuses),
		cmocka_unit_test(test_passive_success_clears),
		cmocka_unit_test(test_passive_failures),
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_passive_revival),
		cmocka_unit_test(test_passive_off),
		cmocka_unit_test(test_probe_http),
		cmocka_unit_test(test_probe_host_header),
		cmocka_unit_test(test_probe_connections),
		cmocka_unit_test(test_probes_end_with_the_list),
		cmocka_unit_test(test_probe_timeouts),
		cmocka_unit_test(test_probe_grpc_hangs),
		cmocka_unit_test(test_probe_https),
		cmocka_unit_test(test_probe_updates),
		cmocka_unit_test(test_probe_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
