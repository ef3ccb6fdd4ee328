#include "net/dns_cache.h"

#include "dns_server.h"
#include "net/dns.h"
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>

struct fixture {
	struct loop *loop;
	struct dns_server server;
	struct dns_options o;
	struct timer guard, tick;
	struct dns_waiter waiter;
	struct dns_watch watch;
	struct dns_set *got;
	unsigned calls, stop_at;
};

static void on_guard(struct timer *t)
{
	(void)t;
	fail_msg("nothing happened for 20 s");
}

static void use(struct fixture *f)
{
	dns_server_use(&f->server, f->loop, &f->o);
}

static void set_up(struct fixture *f, const struct zone_record *zone)
{
	*f = (struct fixture){.o = dns_options_default};
	f->o.hosts_file = STR_NULL;
	f->loop = loop_new(0);
	dns_server_open(&f->server, f->loop, zone);
	use(f);
	timer_start(f->loop, &f->guard, 20000, on_guard);
}

static void tear_down(struct fixture *f)
{
	dns_set_unref(&f->got);
	dns_watch_stop(&f->watch);
	dns_loop_fini(f->loop);
	dns_server_close(&f->server);
	timer_stop(f->loop, &f->guard);
	timer_stop(f->loop, &f->tick);
	loop_free(&f->loop);
}

static void take(struct fixture *f, struct dns_set *set)
{
	dns_set_unref(&f->got);
	f->got = dns_set_ref(set);
	f->calls++;
	if (f->calls >= f->stop_at && loop_current()) {
		loop_stop(f->loop);
	}
}

static void on_waited(struct dns_waiter *w, struct dns_set *set)
{
	take(container_of(w, struct fixture, waiter), set);
}

static void on_watched(struct dns_watch *w, struct dns_set *set)
{
	take(container_of(w, struct fixture, watch), set);
}

static const struct dns_set *ask(struct fixture *f, const char *name)
{
	f->calls = 0;
	f->stop_at = 1;
	dns_wait(f->loop, str_c(name), &f->waiter, on_waited);
	if (f->calls == 0) {
		loop_run(f->loop);
	}
	assert_int_equal(f->calls, 1);
	return f->got;
}

static void expect(const struct dns_set *s, size_t i, const char *addr, unsigned weight)
{
	char text[ADDR_TEXT_MAX];

	assert_true(i < s->n);
	assert_str(str_of(text, addr_format(&s->v[i].addr, text)), str_c(addr));
	assert_int_equal(s->v[i].weight, weight);
}

static void on_tick(struct timer *t)
{
	loop_stop(container_of(t, struct fixture, tick)->loop);
}

/* Lets a few milliseconds of events pass. */
static void turn(struct fixture *f)
{
	f->stop_at = UINT32_MAX;
	timer_start(f->loop, &f->tick, 5, on_tick);
	loop_run(f->loop);
	f->stop_at = 1;
}

/* ---- answers ---- */

static void test_a(void **state)
{
	static const struct zone_record zone[] = {
		{"web.test", ZONE_A, 60, "192.0.2.9"},
		{"web.test", ZONE_A, 30, "192.0.2.7"},
		{NULL},
	};
	struct fixture f;

	(void)state;
	set_up(&f, zone);
	assert_null(dns_cache_get(f.loop, STR("WEB.test")));
	const struct dns_set *s = ask(&f, "Web.Test");

	assert_ok(s->result);
	assert_int_equal(s->kind, DNS_A);
	assert_int_equal(s->ttl_ms, 30000);
	assert_int_equal(s->n, 2);
	expect(s, 0, "192.0.2.7:0", 1);
	expect(s, 1, "192.0.2.9:0", 1);
	assert_str(s->v[0].name, STR("web.test"));
	/* Known now: no further question, whoever asks. */
	unsigned questions = f.server.questions;

	assert_ptr_equal(dns_cache_get(f.loop, STR("WEB.test")), s);
	(void)ask(&f, "web.test");
	assert_int_equal(f.server.questions, questions);
	tear_down(&f);
}

static void test_order(void **state)
{
	static const struct zone_record zone[] = {
		{"six.test", ZONE_AAAA, 60, "2001:db8::1"},
		{"both.test", ZONE_A, 60, "192.0.2.1"},
		{"both.test", ZONE_AAAA, 60, "2001:db8::2"},
		{NULL},
	};
	struct fixture f;

	(void)state;
	set_up(&f, zone);
	assert_int_equal(ask(&f, "six.test")->kind, DNS_AAAA);
	expect(f.got, 0, "[2001:db8::1]:0", 1);
	assert_int_equal(f.server.of_type[ZONE_SRV], 1);
	assert_int_equal(f.server.of_type[ZONE_A], 1);
	assert_int_equal(ask(&f, "both.test")->kind, DNS_A);
	/* What was configured is asked for, in that order. */
	f.o.order[0] = DNS_AAAA;
	f.o.order[1] = DNS_A;
	f.o.n_order = 2;
	use(&f);
	assert_int_equal(ask(&f, "both.test")->kind, DNS_AAAA);
	assert_int_equal(f.server.of_type[ZONE_SRV], 2);
	tear_down(&f);
}

static void test_srv(void **state)
{
	static const struct zone_record zone[] = {
		{"svc.test", ZONE_SRV, 50, "a.test", 10, 5, 8001},
		{"svc.test", ZONE_SRV, 60, "b.test", 10, 0, 8002},
		{"svc.test", ZONE_SRV, 60, "backup.test", 20, 9, 8003},
		{"a.test", ZONE_A, 40, "192.0.2.1"},
		{"b.test", ZONE_A, 60, "192.0.2.2"},
		{"b.test", ZONE_A, 60, "192.0.2.3"},
		{"backup.test", ZONE_A, 60, "192.0.2.4"},
		{NULL},
	};
	struct fixture f;

	(void)state;
	set_up(&f, zone);
	const struct dns_set *s = ask(&f, "svc.test");

	assert_ok(s->result);
	assert_int_equal(s->kind, DNS_SRV);
	assert_int_equal(s->ttl_ms, 40000);
	assert_int_equal(s->n, 3);
	expect(s, 0, "192.0.2.1:8001", 5);
	expect(s, 1, "192.0.2.2:8002", 1);
	expect(s, 2, "192.0.2.3:8002", 1);
	assert_str(s->v[0].name, STR("a.test"));
	assert_str(s->v[2].name, STR("b.test"));
	assert_str(dns_set_text(s), STR("SRV"));
	tear_down(&f);
}

/* The names of the best priority are gone: the next one serves. */
static void test_srv_backup(void **state)
{
	static const struct zone_record zone[] = {
		{"svc.test", ZONE_SRV, 60, "gone.test", 10, 5, 8001},
		{"svc.test", ZONE_SRV, 60, "backup.test", 20, 9, 8003},
		{"backup.test", ZONE_A, 60, "192.0.2.4"},
		{NULL},
	};
	struct fixture f;

	(void)state;
	set_up(&f, zone);
	assert_int_equal(ask(&f, "svc.test")->n, 1);
	expect(f.got, 0, "192.0.2.4:8003", 9);
	tear_down(&f);
}

static void test_cname(void **state)
{
	static const struct zone_record zone[] = {
		{"www.test", ZONE_CNAME, 60, "mid.test"},
		{"mid.test", ZONE_CNAME, 20, "end.test"},
		{"end.test", ZONE_A, 60, "192.0.2.5"},
		{NULL},
	};
	struct fixture f;

	(void)state;
	for (int follow = 0; follow < 2; follow++) {
		set_up(&f, zone);
		f.server.follow = follow;
		const struct dns_set *s = ask(&f, "www.test");

		assert_ok(s->result);
		assert_int_equal(s->n, 1);
		assert_int_equal(s->ttl_ms, 20000);
		expect(s, 0, "192.0.2.5:0", 1);
		assert_str(s->v[0].name, STR("www.test"));
		tear_down(&f);
	}
}

static void test_cname_loop(void **state)
{
	static const struct zone_record zone[] = {
		{"a.test", ZONE_CNAME, 60, "b.test"},
		{"b.test", ZONE_CNAME, 60, "a.test"},
		{NULL},
	};
	struct fixture f;

	(void)state;
	set_up(&f, zone);
	f.server.follow = false;
	assert_err(ask(&f, "a.test")->result, ERR_UNAVAILABLE);
	tear_down(&f);
}

/* ---- failures ---- */

static void test_not_found(void **state)
{
	static const struct zone_record none[] = {{NULL}};
	static const struct zone_record one[] = {{"late.test", ZONE_A, 60, "192.0.2.5"}, {NULL}};
	struct fixture f;

	(void)state;
	set_up(&f, none);
	f.o.not_found_ttl_ms = 50;
	use(&f);
	assert_err(ask(&f, "late.test")->result, ERR_NOT_FOUND);
	unsigned questions = f.server.questions;

	f.server.zone = one;
	assert_err(ask(&f, "late.test")->result, ERR_NOT_FOUND);
	assert_int_equal(f.server.questions, questions);
	/* After its time it is asked for again, and not stale before. */
	while (dns_cache_get(f.loop, STR("late.test"))) {
		turn(&f);
	}
	assert_ok(ask(&f, "late.test")->result);
	tear_down(&f);
}

static void test_bad_names(void **state)
{
	static const struct zone_record none[] = {{NULL}};
	char text[300];
	struct fixture f;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[299] = 0;
	set_up(&f, none);
	assert_err(ask(&f, "")->result, ERR_NOT_FOUND);
	assert_err(ask(&f, text)->result, ERR_NOT_FOUND);
	assert_null(dns_cache_get(f.loop, str_c(text)));
	assert_err(ask(&f, "a..b.")->result, ERR_NOT_FOUND);
	assert_int_equal(f.server.questions, 0);
	tear_down(&f);
}

/* ---- time ---- */

static void watch(struct fixture *f, const char *name)
{
	f->calls = 0;
	f->stop_at = 1;
	dns_watch_start(f->loop, str_c(name), &f->watch, on_watched);
	if (f->calls == 0) {
		loop_run(f->loop);
	}
	f->calls = 0;
}

/* Refreshed without anyone asking; told of only when it changes. */
static void test_watch(void **state)
{
	static const struct zone_record before[] = {{"svc.test", ZONE_A, 60, "192.0.2.1"}, {NULL}};
	static const struct zone_record after[] = {{"svc.test", ZONE_A, 60, "192.0.2.2"}, {NULL}};
	struct fixture f;

	(void)state;
	set_up(&f, before);
	f.o.valid_ttl_ms = 20;
	use(&f);
	watch(&f, "svc.test");
	expect(f.got, 0, "192.0.2.1:0", 1);
	while (f.server.of_type[ZONE_A] < 4) {
		turn(&f);
	}
	assert_int_equal(f.calls, 0);
	/* The type that answered last is asked for first. */
	assert_int_equal(f.server.of_type[ZONE_SRV], 1);
	f.server.zone = after;
	loop_run(f.loop);
	assert_int_equal(f.calls, 1);
	expect(f.got, 0, "192.0.2.2:0", 1);
	/* Gone from the name server: that is an answer. */
	f.server.zone = NULL;
	f.calls = 0;
	loop_run(f.loop);
	assert_err(f.got->result, ERR_NOT_FOUND);
	tear_down(&f);
}

/* The name server is down: what was known is given, at once, and again when it is back. */
static void test_stale(void **state)
{
	static const struct zone_record before[] = {{"svc.test", ZONE_A, 60, "192.0.2.1"}, {NULL}};
	static const struct zone_record after[] = {{"svc.test", ZONE_A, 60, "192.0.2.2"}, {NULL}};
	struct fixture f;

	(void)state;
	set_up(&f, before);
	f.o.valid_ttl_ms = 20;
	f.o.error_ttl_ms = 20;
	use(&f);
	(void)ask(&f, "svc.test");
	f.server.mode = SERVER_FAILS;
	unsigned questions = f.server.questions;

	while (f.server.questions < questions + 3) {
		struct dns_set *s = dns_cache_get(f.loop, STR("svc.test"));

		assert_non_null(s);
		expect(s, 0, "192.0.2.1:0", 1);
		turn(&f);
	}
	f.server.mode = SERVER_ANSWERS;
	f.server.zone = after;
	for (;;) {
		struct dns_set *s = dns_cache_get(f.loop, STR("svc.test"));
		char text[ADDR_TEXT_MAX];

		assert_non_null(s);
		(void)addr_format(&s->v[0].addr, text);
		if (str_starts(str_of(text, 9), STR("192.0.2.2"))) {
			break;
		}
		turn(&f);
	}
	tear_down(&f);
}

/* Stale answers do not live for ever. */
static void test_too_stale(void **state)
{
	static const struct zone_record zone[] = {{"svc.test", ZONE_A, 60, "192.0.2.1"}, {NULL}};
	struct fixture f;

	(void)state;
	set_up(&f, zone);
	f.o.valid_ttl_ms = 20;
	f.o.error_ttl_ms = 20;
	f.o.stale_ttl_ms = 100;
	use(&f);
	watch(&f, "svc.test");
	f.server.mode = SERVER_FAILS;
	loop_run(f.loop);
	assert_int_equal(f.calls, 1);
	assert_err(f.got->result, ERR_UNAVAILABLE);
	tear_down(&f);
}

/* ---- limits and the hosts file ---- */

static void test_eviction(void **state)
{
	static const struct zone_record zone[] = {
		{"a.test", ZONE_A, 60, "192.0.2.1"},
		{"b.test", ZONE_A, 60, "192.0.2.2"},
		{"c.test", ZONE_A, 60, "192.0.2.3"},
		{NULL},
	};
	struct fixture f;

	(void)state;
	set_up(&f, zone);
	f.o.cache_max = 2;
	use(&f);
	(void)ask(&f, "a.test");
	(void)ask(&f, "b.test");
	assert_non_null(dns_cache_get(f.loop, STR("a.test")));
	(void)ask(&f, "c.test");
	assert_non_null(dns_cache_get(f.loop, STR("a.test")));
	assert_non_null(dns_cache_get(f.loop, STR("c.test")));
	assert_null(dns_cache_get(f.loop, STR("b.test")));
	tear_down(&f);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void test_hosts(void **state)
{
	char path[] = "/tmp/posthouse-hosts-XXXXXX";
	struct fixture f;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	write_file(path, "# a comment\n127.0.0.1\tlocalhost\n10.0.0.1 one.test  One.alias # more\n"
			 "::1 one.test\n10.0.0.2 one.test\nbroken line\n::2 six.test\r\n");
	set_up(&f, NULL);
	f.o.hosts_file = str_c(path);
	use(&f);
	assert_int_equal(ask(&f, "one.test")->n, 2);
	expect(f.got, 0, "10.0.0.1:0", 1);
	expect(f.got, 1, "10.0.0.2:0", 1);
	assert_int_equal(ask(&f, "ONE.ALIAS")->n, 1);
	expect(ask(&f, "six.test"), 0, "[::2]:0", 1);
	expect(ask(&f, "localhost"), 0, "127.0.0.1:0", 1);
	expect(ask(&f, "x.localhost"), 0, "127.0.0.1:0", 1);
	assert_int_equal(f.server.questions, 0);
	assert_err(ask(&f, "two.test")->result, ERR_NOT_FOUND);
	assert_true(f.server.questions > 0);
	(void)unlink(path);
	tear_down(&f);
}

static void test_end_under_way(void **state)
{
	static const struct zone_record zone[] = {
		{"svc.test", ZONE_SRV, 60, "a.test", 10, 5, 8001},
		{NULL},
	};
	struct fixture f;

	(void)state;
	set_up(&f, zone);
	f.server.silent_for = ZONE_A;
	dns_wait(f.loop, STR("svc.test"), &f.waiter, on_waited);
	while (f.server.of_type[ZONE_A] == 0) {
		turn(&f);
	}
	tear_down(&f);
	assert_int_equal(f.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a),	  cmocka_unit_test(test_order),
		cmocka_unit_test(test_srv),	  cmocka_unit_test(test_srv_backup),
		cmocka_unit_test(test_cname),	  cmocka_unit_test(test_cname_loop),
		cmocka_unit_test(test_not_found), cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_watch),	  cmocka_unit_test(test_stale),
		cmocka_unit_test(test_too_stale), cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_hosts),	  cmocka_unit_test(test_end_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
