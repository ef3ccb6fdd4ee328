#include "balancer_fixture.h"
#include "gateway/balancer.h"
#include "net/dns_server.h"
#include "unit.h"

/* ---- a name server on the keeper, used by all loops ---- */

struct names {
	struct fixture *f;
	struct dns_server server;
	struct dns_options o;
	const struct zone_record *zone;
	enum dns_server_mode mode; /* for run_set_mode */
};

static void run_open(struct loop *l, void *arg)
{
	struct names *n = arg;

	dns_server_open(&n->server, l, n->zone);
}

static void run_use(struct loop *l, void *arg)
{
	struct names *n = arg;

	dns_server_use(&n->server, l, &n->o);
}

static void run_set_zone(struct loop *l, void *arg)
{
	struct names *n = arg;

	(void)l;
	n->server.zone = n->zone;
}

static void set_zone(struct names *n, const struct zone_record *zone)
{
	n->zone = zone;
	loop_call(n->f->loops.v[0], run_set_zone, n);
}

static void set_up_names(struct fixture *f, struct names *n, const struct zone_record *zone)
{
	set_up(f);
	*n = (struct names){.f = f, .o = dns_options_default, .zone = zone};
	n->o.hosts_file = STR_NULL;
	n->o.valid_ttl_ms = 20;
	n->o.not_found_ttl_ms = 20;
	loop_call(f->loops.v[0], run_open, n);
	for (unsigned i = 0; i < LOOPS; i++) {
		loop_call(f->loops.v[i], run_use, n);
	}
}

static void tear_down_names(struct fixture *f, struct names *n)
{
	loops_join(&f->loops);
	dns_server_close(&n->server);
	tear_down(f);
}

/* ---- waiting ---- */

struct wait {
	struct balancer *b;
	struct balancer_waiter waiter;
	struct balancer_try t;
	struct balancer_peer peer;
	struct loop *loop;
	atomic_int result; /* enum err, -1 = waits */
	unsigned waits;
};

static void try_again(struct balancer_waiter *w);

static void try_or_wait(struct wait *w)
{
	enum err e = balancer_pick(w->b, w->loop, NULL, &w->t, &w->peer);

	if (e == ERR_AGAIN) {
		w->waits++;
		balancer_wait(w->b, w->loop, &w->waiter, try_again);
		return;
	}
	atomic_store(&w->result, (int)e);
}

static void try_again(struct balancer_waiter *w)
{
	try_or_wait(container_of(w, struct wait, waiter));
}

static void run_try(struct loop *l, void *arg)
{
	struct wait *w = arg;

	w->loop = l;
	atomic_store(&w->result, -1);
	try_or_wait(w);
}

static void run_cancel(struct loop *l, void *arg)
{
	struct wait *w = arg;

	(void)l;
	balancer_wait_cancel(&w->waiter);
}

static enum err wait_for_peer(struct fixture *f, struct balancer *b, unsigned loop, struct wait *w)
{
	*w = (struct wait){.b = b};
	loop_call(f->loops.v[loop], run_try, w);
	WAIT_FOR(f, atomic_load(&w->result) >= 0);
	return (enum err)atomic_load(&w->result);
}

static void end_of(struct fixture *f, struct balancer *b, unsigned loop, struct wait *w)
{
	struct turn s = {.b = b, .t = &w->t, .outcome = BALANCER_STATUS, .status = 200};

	loop_call(f->loops.v[loop], run_done, &s);
}

/* ---- names ---- */

static void test_names(void **state)
{
	static const struct zone_record zone[] = {
		{"svc.test", ZONE_A, 60, "192.0.2.1"},
		{"svc.test", ZONE_A, 60, "192.0.2.2"},
		{NULL},
	};
	unsigned counts[3] = {0};
	struct names n;
	struct fixture f;
	struct wait w;

	(void)state;
	set_up_names(&f, &n, zone);
	add_target(&f, "svc.test", 8080, 100);
	apply(&f);
	/* On whatever loop: the answer comes to the keeper, all are woken. */
	assert_ok(wait_for_peer(&f, f.b, 1, &w));
	assert_str(w.peer.host, STR("svc.test"));
	assert_int_equal(w.peer.port, 8080);
	assert_int_equal(addr_port(&w.peer.addr), 8080);
	end_of(&f, f.b, 1, &w);
	count(&f, 0, 100, counts);
	assert_int_equal(counts[1], 50);
	assert_int_equal(status_of(&f).targets[0].n_addresses, 2);
	assert_str(status_of(&f).targets[0].dns, STR("A"));
	tear_down_names(&f, &n);
}

/* Without traffic; and the address that stays keeps its state. */
static void test_names_change(void **state)
{
	static const struct zone_record before[] = {
		{"svc.test", ZONE_A, 60, "192.0.2.1"},
		{"svc.test", ZONE_A, 60, "192.0.2.2"},
		{NULL},
	};
	static const struct zone_record after[] = {
		{"svc.test", ZONE_A, 60, "192.0.2.2"},
		{"svc.test", ZONE_A, 60, "192.0.2.3"},
		{NULL},
	};
	struct names n;
	struct fixture f;
	struct wait w;

	(void)state;
	set_up_names(&f, &n, before);
	add_target(&f, "svc.test", 8080, 100);
	apply(&f);
	assert_ok(wait_for_peer(&f, f.b, 0, &w));
	assert_ok(balancer_set_mark(f.set, &f.c.id, f.targets[0].target, STR("192.0.2.2"),
				    BALANCER_UNHEALTHY));
	assert_err(balancer_set_mark(f.set, &f.c.id, f.targets[0].target, STR("192.0.2.9"),
				     BALANCER_UNHEALTHY),
		   ERR_NOT_FOUND);
	/* The request that is under way outlives its address. */
	end_of(&f, f.b, 0, &w);
	assert_ok(wait_for_peer(&f, f.b, 0, &w));
	assert_int_equal(last_of(&w.peer), 1);
	set_zone(&n, after);
	WAIT_FOR(&f, serve(&f, 0, NULL, 200) == 3);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(serve(&f, 1, NULL, 200), 3);
	}
	assert_int_equal(status_of(&f).weight_available, 100);
	end_of(&f, f.b, 0, &w);
	tear_down_names(&f, &n);
}

static void test_names_fail(void **state)
{
	static const struct zone_record zone[] = {{"svc.test", ZONE_A, 60, "192.0.2.1"}, {NULL}};
	struct names n;
	struct fixture f;
	struct wait w;

	(void)state;
	set_up_names(&f, &n, NULL);
	add_target(&f, "svc.test", 8080, 100);
	apply(&f);
	assert_err(wait_for_peer(&f, f.b, 0, &w), ERR_UNAVAILABLE);
	assert_int_equal(status_of(&f).targets[0].health, BALANCER_DNS_ERROR);
	set_zone(&n, zone);
	WAIT_FOR(&f, serve(&f, 0, NULL, 200) == 1);
	assert_int_equal(status_of(&f).targets[0].health, BALANCER_HEALTHCHECKS_OFF);
	tear_down_names(&f, &n);
}

static void run_set_mode(struct loop *l, void *arg)
{
	struct names *n = arg;

	(void)l;
	n->server.mode = n->mode;
}

/* All names that come at once cost one table: who still waits is woken by each. */
static void test_names_in_a_crowd(void **state)
{
	struct names n;
	struct fixture f;
	struct wait w = {0};
	char host[32];

	(void)state;
	set_up_names(&f, &n, NULL);
	n.mode = SERVER_IS_SILENT;
	loop_call(f.loops.v[0], run_set_mode, &n);
	add_target(&f, "first.test", 8080, 100);
	apply(&f);
	w.b = f.b;
	loop_call(f.loops.v[0], run_try, &w);
	n.mode = SERVER_ANSWERS;
	loop_call(f.loops.v[0], run_set_mode, &n);
	for (unsigned i = 1; i < TARGETS_MAX; i++) {
		(void)snprintf(host, sizeof(host), "n%u.test", i);
		add_target(&f, host, 8080, 100);
	}
	apply(&f);
	for (size_t i = 1; i < TARGETS_MAX; i++) {
		WAIT_FOR(&f, status_of(&f).targets[i].health == BALANCER_DNS_ERROR);
	}
	loops_quiesce(&f.loops);
	loop_call(f.loops.v[0], run_cancel, &w);
	assert_in_range(w.waits, 2, 8);
	tear_down_names(&f, &n);
}

/* Those that are known serve while others are looked up. */
static void test_names_beside_literals(void **state)
{
	struct names n;
	struct fixture f;

	(void)state;
	set_up_names(&f, &n, NULL);
	n.server.mode = SERVER_IS_SILENT;
	add_target(&f, "svc.test", 8080, 100);
	add_target(&f, "10.0.0.2", 8080, 100);
	apply(&f);
	assert_int_equal(serve(&f, 0, NULL, 200), 2);
	tear_down_names(&f, &n);
}

static void test_srv(void **state)
{
	static const struct zone_record zone[] = {
		{"svc.test", ZONE_SRV, 60, "a.test", 1, 30, 9001},
		{"svc.test", ZONE_SRV, 60, "b.test", 1, 10, 9002},
		{"a.test", ZONE_A, 60, "192.0.2.1"},
		{"b.test", ZONE_A, 60, "192.0.2.2"},
		{NULL},
	};
	unsigned counts[3] = {0};
	struct names n;
	struct fixture f;
	struct wait w;

	(void)state;
	set_up_names(&f, &n, zone);
	add_target(&f, "svc.test", 8080, 100);
	f.c.use_srv_name = true;
	apply(&f);
	assert_ok(wait_for_peer(&f, f.b, 0, &w));
	assert_str(w.peer.host, last_of(&w.peer) == 1 ? STR("a.test") : STR("b.test"));
	assert_int_equal(w.peer.port, last_of(&w.peer) == 1 ? 9001 : 9002);
	end_of(&f, f.b, 0, &w);
	count(&f, 1, 400, counts);
	assert_in_range(counts[1], 299, 301);
	/* Off again: the configured name. */
	f.c.use_srv_name = false;
	apply(&f);
	assert_ok(wait_for_peer(&f, f.b, 0, &w));
	assert_str(w.peer.host, STR("svc.test"));
	end_of(&f, f.b, 0, &w);
	/* Out of rotation, whatever SRV says. */
	f.targets[0].weight = 0;
	apply(&f);
	assert_int_equal(serve(&f, 0, NULL, 200), 0);
	f.targets[0].weight = 1;
	apply(&f);
	assert_int_not_equal(serve(&f, 0, NULL, 200), 0);
	assert_int_equal(status_of(&f).weight_total, 40);
	tear_down_names(&f, &n);
}

static void test_wait_canceled(void **state)
{
	struct names n;
	struct fixture f;
	struct wait w = {0};

	(void)state;
	set_up_names(&f, &n, NULL);
	n.server.mode = SERVER_IS_SILENT;
	add_target(&f, "svc.test", 8080, 100);
	apply(&f);
	w.b = f.b;
	loop_call(f.loops.v[1], run_try, &w);
	assert_int_equal(atomic_load(&w.result), -1);
	loop_call(f.loops.v[1], run_cancel, &w);
	/* Wakes everyone else. */
	add_target(&f, "10.0.0.2", 8080, 100);
	apply(&f);
	assert_int_equal(serve(&f, 1, NULL, 200), 2);
	assert_int_equal(w.waits, 1);
	tear_down_names(&f, &n);
}

/* ---- updates ---- */

static void test_updates_keep_state(void **state)
{
	static const unsigned weights[] = {100, 100};
	struct balancer_view *old;
	struct balancer *before;
	struct balancer_try t = {0};
	struct balancer_peer p;
	struct fixture f;

	(void)state;
	set_up(&f);
	f.c.health.passive.http_failures = 2;
	status_set_add(&f.c.health.passive.unhealthy_statuses, 500);
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	before = f.b;
	old = balancer_view_ref(f.view);
	mark(&f, 0, BALANCER_UNHEALTHY);
	assert_int_equal(serve(&f, 0, NULL, 500), 2); /* one failure */
	assert_ok(pick_of(&f, f.b, 0, NULL, &t, &p)); /* under way */
	/* Another target, another weight, another algorithm, another id for the first. */
	add_target(&f, "10.0.0.3", 80, 50);
	f.targets[0].id = id_of(999);
	f.targets[1].weight = 10;
	f.c.algorithm = BALANCER_LEAST_CONNECTIONS;
	apply(&f);
	assert_ptr_equal(f.b, before);
	assert_int_equal(status_of(&f).targets[0].health, BALANCER_UNHEALTHY);
	assert_int_equal(status_of(&f).targets[1].addresses[0].active, 1);
	assert_int_equal(status_of(&f).weight_total, 160);
	/* The second failure takes it down: the first still counts. */
	done_with(&f, 0, &t, BALANCER_STATUS, 500);
	assert_int_equal(status_of(&f).targets[1].health, BALANCER_UNHEALTHY);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(serve(&f, 0, NULL, 200), 3);
	}
	/* A declarative reload may name it anew. */
	f.c.id = id_of(77);
	apply(&f);
	assert_ptr_equal(f.b, before);
	assert_int_equal(status_of(&f).targets[0].health, BALANCER_UNHEALTHY);
	balancer_view_unref(&old);
	tear_down(&f);
}

/* An upstream that is gone works for those who still have the old view. */
static void test_removed(void **state)
{
	static const unsigned weights[] = {100};
	struct balancer_view *empty;
	struct balancer_status s;
	struct fixture f;

	(void)state;
	set_up(&f);
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	empty = balancer_set_apply(f.set, NULL, 0);
	assert_null(balancer_find(empty, f.c.name));
	assert_err(balancer_set_status(f.set, &f.c.id, &f.arena, &s), ERR_NOT_FOUND);
	assert_err(
		balancer_set_mark(f.set, &f.c.id, f.targets[0].target, STR_NULL, BALANCER_HEALTHY),
		ERR_NOT_FOUND);
	assert_int_equal(serve(&f, 0, NULL, 200), 1);
	balancer_view_unref(&empty);
	apply(&f); /* a new one; the old one ends on the keeper */
	loops_quiesce(&f.loops);
	assert_int_equal(serve(&f, 1, NULL, 200), 1);
	tear_down(&f);
}

/*
 * Those who still have the old view find the addresses that were known, and wait for them if none
 * were; but they are looked up no more. The name of the other upstream is the clock.
 */
static void check_names_of_removed(bool are_known)
{
	static const struct zone_record first[] = {{"svc.test", ZONE_A, 60, "192.0.2.1"},
						   {"beside.test", ZONE_A, 60, "192.0.2.1"},
						   {NULL}};
	static const struct zone_record second[] = {{"svc.test", ZONE_A, 60, "192.0.2.2"},
						    {"beside.test", ZONE_A, 60, "192.0.2.2"},
						    {NULL}};
	static const struct zone_record third[] = {{"svc.test", ZONE_A, 60, "192.0.2.3"},
						   {"beside.test", ZONE_A, 60, "192.0.2.3"},
						   {NULL}};
	struct balancer_config both[2];
	struct balancer_view *old;
	struct balancer *removed;
	struct names n;
	struct fixture f;
	struct wait w;

	set_up_names(&f, &n, first);
	add_target(&f, "svc.test", 8080, 100);
	add_target(&f, "beside.test", 8080, 100);
	f.c.n_targets = 1;
	both[0] = both[1] = f.c;
	both[1].id = id_of(2);
	both[1].name = STR("beside");
	both[1].targets = &f.targets[1];
	old = balancer_set_apply(f.set, both, 2);
	removed = balancer_find(old, f.c.name);
	if (are_known) {
		assert_ok(wait_for_peer(&f, removed, 1, &w));
		end_of(&f, removed, 1, &w);
	}
	f.view = balancer_set_apply(f.set, &both[1], 1);
	f.b = balancer_find(f.view, both[1].name);
	assert_ok(wait_for_peer(&f, removed, 1, &w));
	end_of(&f, removed, 1, &w);
	assert_ok(wait_for_peer(&f, f.b, 1, &w));
	end_of(&f, f.b, 1, &w);
	loops_quiesce(&f.loops);
	set_zone(&n, second);
	WAIT_FOR(&f, serve(&f, 0, NULL, 200) == 2);
	set_zone(&n, third);
	WAIT_FOR(&f, serve(&f, 0, NULL, 200) == 3);
	f.b = removed;
	assert_int_equal(serve(&f, 0, NULL, 200), 1);
	balancer_view_unref(&old);
	tear_down_names(&f, &n);
}

static void test_names_of_removed(void **state)
{
	(void)state;
	check_names_of_removed(true);
	check_names_of_removed(false);
}

static void test_marks(void **state)
{
	static const unsigned weights[] = {100, 100};
	char id[GUID_D_LEN];
	struct fixture f;

	(void)state;
	set_up(&f);
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	guid_d(&f.targets[0].id, id);
	assert_ok(balancer_set_mark(f.set, &f.c.id, str_of(id, sizeof(id)), STR("10.0.0.1:80"),
				    BALANCER_UNHEALTHY));
	assert_int_equal(serve(&f, 0, NULL, 200), 2);
	assert_int_equal(serve(&f, 0, NULL, 200), 2);
	/* Checks are off, and Admin says so. */
	assert_int_equal(status_of(&f).targets[0].health, BALANCER_HEALTHCHECKS_OFF);
	assert_int_equal(status_of(&f).weight_available, 100);
	assert_err(
		balancer_set_mark(f.set, &f.c.id, STR("10.0.0.9:80"), STR_NULL, BALANCER_UNHEALTHY),
		ERR_NOT_FOUND);
	tear_down(&f);
}

/* ---- all at once ---- */

/* Keeps picking on its loop, with two requests under way. */
struct client {
	struct balancer *b;
	struct loop *loop;
	struct later again;
	struct balancer_try tries[2];
	struct balancer_key key;
	unsigned at;
	atomic_uint served, refused;
	atomic_bool end;
};

static void on_again(struct later *later)
{
	struct client *c = container_of(later, struct client, again);
	struct balancer_try *t = &c->tries[c->at++ % 2];
	struct balancer_peer p;

	if (t->peer) {
		balancer_done(c->b, c->loop, t, BALANCER_STATUS, c->at % 16 < 4 ? 500 : 200, 1000);
	}
	*t = (struct balancer_try){0};
	c->key.hash = c->at * 2654435761u;
	if (atomic_load(&c->end)) {
		return;
	}
	if (balancer_pick(c->b, c->loop, &c->key, t, &p) == ERR_OK) {
		(void)atomic_fetch_add(&c->served, 1);
		assert_true(p.host.n > 0);
	} else {
		(void)atomic_fetch_add(&c->refused, 1);
	}
	loop_next_turn(c->loop, &c->again, on_again);
}

static void run_client(struct loop *l, void *arg)
{
	struct client *c = arg;

	c->loop = l;
	loop_next_turn(l, &c->again, on_again);
}

static void run_end(struct loop *l, void *arg)
{
	struct client *c = arg;

	(void)l;
	atomic_store(&c->end, true);
	later_cancel(&c->again);
	on_again(&c->again);
	on_again(&c->again);
}

/* balancer_each_fn */
static void count_targets(void *arg, struct arena *a, const struct balancer_status *s)
{
	(void)a;
	*(size_t *)arg += s->n_targets;
}

/* For the sanitizers: updates, marks, passive checks and looks while both loops pick. */
static void test_under_load(void **state)
{
	static const enum balancer_algorithm all[] = {
		BALANCER_ROUND_ROBIN,
		BALANCER_CONSISTENT_HASHING,
		BALANCER_LEAST_CONNECTIONS,
		BALANCER_LATENCY,
	};
	static const unsigned weights[] = {10, 20, 30, 40, 50, 60};
	struct client clients[LOOPS] = {0};
	struct fixture f;
	size_t n_targets;

	(void)state;
	set_up(&f);
	f.c.health.passive.http_failures = 3;
	f.c.slow_start_ms = 1;
	f.c.health.passive.successes = 1;
	status_set_add(&f.c.health.passive.unhealthy_statuses, 500);
	status_set_add(&f.c.health.passive.healthy_statuses, 200);
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	for (unsigned i = 0; i < LOOPS; i++) {
		clients[i].b = f.b;
		clients[i].key.has = true;
		loop_call(f.loops.v[i], run_client, &clients[i]);
	}
	for (unsigned i = 0; i < 200; i++) {
		f.c.algorithm = all[i % ARRAY_LEN(all)];
		f.c.n_targets = 1 + i % ARRAY_LEN(weights);
		apply(&f);
		mark(&f, 0, i % 2 ? BALANCER_HEALTHY : BALANCER_UNHEALTHY);
		(void)status_of(&f);
		n_targets = 0;
		balancer_set_each(f.set, count_targets, &n_targets);
		assert_int_equal(n_targets, f.c.n_targets);
	}
	f.c.health.passive.http_failures = 0;
	f.c.n_targets = 1;
	apply(&f);
	for (unsigned i = 0; i < LOOPS; i++) {
		unsigned served = atomic_load(&clients[i].served);

		for (f.patience = 0; atomic_load(&clients[i].served) <= served + 100;) {
			/* Again: a loop may count a last failure by the former rules. */
			mark(&f, 0, BALANCER_HEALTHY);
			wait_a_bit(&f);
		}
		loop_call(f.loops.v[i], run_end, &clients[i]);
	}
	/* Nothing is under way any more. */
	for (size_t i = 0; i < f.c.n_targets; i++) {
		assert_int_equal(status_of(&f).targets[i].addresses[0].active, 0);
	}
	tear_down(&f);
}

/* ---- plain hosts ---- */

static void test_plain_literal(void **state)
{
	struct fixture f;
	struct balancer *b = balancer_plain_new(STR("::1"), 8080);
	struct balancer_try t = {0};
	struct balancer_peer p;
	char text[ADDR_TEXT_MAX];

	(void)state;
	set_up(&f);
	assert_ok(pick_of(&f, b, 1, NULL, &t, &p));
	assert_str(str_of(text, addr_format(&p.addr, text)), STR("[::1]:8080"));
	assert_str(p.host, STR("::1"));
	struct turn s = {.b = b, .t = &t, .outcome = BALANCER_TCP_FAILURE};

	loop_call(f.loops.v[1], run_done, &s);
	assert_ok(pick_of(&f, b, 1, NULL, &t, &p));
	assert_int_equal(t.tries, 2);
	balancer_plain_free(&b);
	tear_down(&f);
}

static void test_plain_names(void **state)
{
	static const struct zone_record zone[] = {
		{"web.test", ZONE_A, 60, "192.0.2.1"},
		{"web.test", ZONE_A, 60, "192.0.2.2"},
		{"svc.test", ZONE_SRV, 60, "web.test", 1, 1, 9000},
		{NULL},
	};
	struct balancer *web = balancer_plain_new(STR("web.test"), 81);
	struct balancer *svc = balancer_plain_new(STR("svc.test"), 82);
	struct balancer *bad = balancer_plain_new(STR("bad.test"), 83);
	unsigned counts[3] = {0};
	struct names n;
	struct fixture f;
	struct wait w;

	(void)state;
	set_up_names(&f, &n, zone);
	for (unsigned i = 0; i < 10; i++) {
		assert_ok(wait_for_peer(&f, web, 1, &w));
		assert_int_equal(w.waits, i == 0); /* then it is known, if stale */
		assert_int_equal(addr_port(&w.peer.addr), 81);
		assert_str(w.peer.host, STR("web.test"));
		counts[last_of(&w.peer)]++;
		end_of(&f, web, 1, &w);
	}
	assert_int_equal(counts[1], 5);
	assert_ok(wait_for_peer(&f, svc, 0, &w));
	assert_int_equal(w.peer.port, 9000);
	end_of(&f, svc, 0, &w);
	assert_err(wait_for_peer(&f, bad, 0, &w), ERR_NOT_FOUND);
	balancer_plain_free(&web);
	balancer_plain_free(&svc);
	balancer_plain_free(&bad);
	tear_down_names(&f, &n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_names_change),
		cmocka_unit_test(test_names_fail),
		cmocka_unit_test(test_names_in_a_crowd),
		cmocka_unit_test(test_names_beside_literals),
		cmocka_unit_test(test_srv),
		cmocka_unit_test(test_wait_canceled),
		cmocka_unit_test(test_updates_keep_state),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_names_of_removed),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_under_load),
		cmocka_unit_test(test_plain_literal),
		cmocka_unit_test(test_plain_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
