#include "relay_fixture.h"

#include "relay/client.h"

/* A request without a client: its outcome shows in the counters. */
static struct relay_request *make(struct relay_fixture *x, const char *tenant, const char *url)
{
	struct relay_request *r = request_new(x->rl);

	r->arena = &x->arena;
	r->tenant_key = str_c(tenant);
	r->target = STR("web");
	r->url = str_c(url);
	r->method = STR("GET");
	http_header_add(&x->arena, &r->headers, STR("host"), STR("relay.example"));
	http_header_add(&x->arena, &r->headers, STR("X-A"), STR("1"));
	http_header_add(&x->arena, &r->headers, STR("x-a"), STR("2"));
	r->id = relay_request_id(x->rl);
	request_own(r);
	request_enter(r, REQUEST_COLLECTING);
	return r;
}

static struct guid arrive(struct relay_fixture *x, struct relay_request *r)
{
	struct guid id = r->id;

	assert_ok(request_body_end(r));
	request_arrive(r);
	settle(x);
	return id;
}

static struct guid relay_one(struct relay_fixture *x, const char *tenant, const char *url)
{
	return arrive(x, make(x, tenant, url));
}

static uint64_t count(struct relay_fixture *x, unsigned counter)
{
	return atomic_load(&x->rl->counters[counter]);
}

static void call(struct relay_fixture *x, struct fake_link *l, const char *method,
		 const struct guid *id, const char *more)
{
	struct str text = str_fmt(&x->arena,
				  "{\"type\":1,\"target\":\"%s\",\"arguments\":[{\"requestId\":"
				  "\"%.*s\"%s}]}\n",
				  method, STR_ARG(guid_d_str(&x->arena, id)), more);

	say(l, str_cstr(&x->arena, text));
}

static void deliver(struct relay_fixture *x, struct fake_link *l, const struct guid *id)
{
	call(x, l, "Deliver", id, ",\"httpStatusCode\":200");
}

static void acknowledge(struct relay_fixture *x, struct fake_link *l, const struct guid *id)
{
	call(x, l, "Acknowledge", id, ",\"removeRequestBodyContent\":true");
}

static size_t requests_said(const struct fake_link *l)
{
	struct str rest = said(l);
	size_t n = 0;
	ptrdiff_t at;

	while ((at = str_find(rest, STR("\"RequestTarget\""))) >= 0) {
		rest = str_skip(rest, (size_t)at + 1);
		n++;
	}
	return n;
}

static void test_round_trip(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");
	struct guid id = relay_one(x, "T1", "a%20b?c=%26");
	struct str text = said(l);

	assert_true(str_find(text, STR("\"tenantName\":\"t1\"")) > 0);
	assert_true(str_find(text, STR("\"url\":\"a%20b?c=%26\"")) > 0);
	assert_true(str_find(text, STR("\"httpHeaders\":{\"Host\":[\"relay.example\"],"
				       "\"X-A\":[\"1\",\"2\"]}")) > 0);
	assert_true(str_find(text, STR("\"acknowledgeMode\":0,\"acknowledgeOriginId\":null")) > 0);
	assert_true(str_find(text, STR("\"bodySize\":0,\"bodyContent\":null")) > 0);
	deliver(x, l, &id);
	assert_int_equal(count(x, RELAY_SUCCEEDED), 1);
	assert_int_equal(x->rl->requests.n, 0);
	deliver(x, l, &id); /* late: nothing happens */
	assert_int_equal(count(x, RELAY_SUCCEEDED), 1);
}

static void test_waits_for_a_connector(void **state)
{
	struct relay_fixture *x = *state;

	(void)relay_one(x, "T1", "1");
	(void)relay_one(x, "T1", "2");
	assert_int_equal(count(x, COUNT_QUEUED), 2);
	struct fake_link *l = connect_to(x, "T1");

	assert_int_equal(count(x, COUNT_QUEUED), 0);
	assert_true(str_find(said(l), STR("\"url\":\"1\"")) <
		    str_find(said(l), STR("\"url\":\"2\"")));
}

static void test_refusals(void **state)
{
	struct relay_fixture *x = *state;

	(void)relay_one(x, "NOBODY", "1");
	(void)relay_one(x, "CLOSED", "1"); /* no token */
	assert_int_equal(count(x, RELAY_REFUSED), 2);
	x->config.require_active_connection = true;
	(void)relay_one(x, "T1", "1");
	assert_int_equal(count(x, RELAY_REFUSED), 3);
	fake_result = ERR_UNAVAILABLE;
	(void)relay_one(x, "OTHER", "1");
	assert_int_equal(count(x, RELAY_FAILED), 1);
	assert_int_equal(x->rl->requests.n, 0);
}

static void test_queue_is_bounded(void **state)
{
	struct relay_fixture *x = *state;

	x->config.tenant_queue_max = 2;
	for (int i = 0; i < 3; i++) {
		(void)relay_one(x, "T1", "1");
	}
	assert_int_equal(count(x, COUNT_QUEUED), 2);
	assert_int_equal(count(x, RELAY_FAILED), 1);
}

static void test_round_robin(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *a = connect_to(x, "T1"), *b = connect_to(x, "T1");

	for (int i = 0; i < 10; i++) {
		(void)relay_one(x, "T1", "1");
	}
	assert_int_equal(requests_said(a), 5);
	assert_int_equal(requests_said(b), 5);
}

static void test_limit(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "LIMITED");
	struct guid first = relay_one(x, "LIMITED", "1");
	struct guid second = relay_one(x, "LIMITED", "2");

	assert_int_equal(requests_said(l), 1);
	assert_true(str_find(said(l), STR("\"acknowledgeMode\":2")) > 0);
	acknowledge(x, l, &first);
	assert_int_equal(requests_said(l), 2);
	deliver(x, l, &second); /* without an acknowledgement it ends as well */
	deliver(x, l, &first);
	assert_int_equal(count(x, RELAY_SUCCEEDED), 2);
	assert_int_equal(l->conn->counted, 0);
}

static void test_backlog(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");

	l->pending = HUB_BACKLOG_MAX;
	(void)relay_one(x, "T1", "1");
	assert_int_equal(requests_said(l), 0);
	l->pending = 0;
	hub_drained(l->conn);
	assert_int_equal(requests_said(l), 1);
}

static void test_redelivery(void **state)
{
	struct relay_fixture *x = *state;

	x->config.acknowledge_mode = ACK_CONNECTOR_FINISHED;
	struct fake_link *a = connect_to(x, "T1");
	struct guid acked = relay_one(x, "T1", "0");
	struct guid one = relay_one(x, "T1", "1");
	struct guid two = relay_one(x, "T1", "2");

	acknowledge(x, a, &acked);
	hub_lost(a->conn);
	assert_int_equal(count(x, COUNT_QUEUED), 2);
	struct fake_link *b = connect_to(x, "T1");

	assert_int_equal(requests_said(b), 2);
	assert_true(str_find(said(b), STR("\"url\":\"1\"")) <
		    str_find(said(b), STR("\"url\":\"2\"")));
	deliver(x, b, &one);
	deliver(x, b, &two);
	deliver(x, b, &acked); /* executed, so never sent again, but the answer is welcome */
	assert_int_equal(count(x, RELAY_SUCCEEDED), 3);
	assert_int_equal(count(x, COUNT_REDELIVERED), 2);
}

/* Another connector acknowledged it meanwhile, and has it: it gets no body, and says so. */
static void test_a_copy_without_body_is_no_answer(void **state)
{
	static char big[INLINE_MAX + 1];
	struct relay_fixture *x = *state;

	x->config.acknowledge_mode = ACK_CONNECTOR_RECEIVED;
	for (int fails = 0; fails < 2; fails++) {
		struct fake_link *a = connect_to(x, "T1");
		struct relay_request *r = make(x, "T1", "1");

		assert_ok(request_body_append(r, str_of(big, sizeof(big))));
		struct guid id = arrive(x, r);

		hub_lost(a->conn);
		struct fake_link *b = connect_to(x, "T1");

		assert_int_equal(requests_said(b), 1);
		a = connect_to(x, "T1");
		acknowledge(x, a, &id);
		request_body_refused(r);
		call(x, b, "Deliver", &id, ",\"httpStatusCode\":502,\"requestFailed\":true");
		assert_int_equal(x->rl->requests.n, 1);
		call(x, a, "Deliver", &id,
		     fails ? ",\"httpStatusCode\":504,\"requestFailed\":true"
			   : ",\"httpStatusCode\":200");
		assert_int_equal(x->rl->requests.n, 0);
		hub_lost(a->conn);
		hub_lost(b->conn);
	}
	assert_int_equal(count(x, RELAY_SUCCEEDED), 2);
}

/* Such a failure is counted only where somebody else has the request. */
static void test_a_body_that_is_gone_fails_its_only_connector(void **state)
{
	static char big[INLINE_MAX + 1];
	struct relay_fixture *x = *state;

	x->config.acknowledge_mode = ACK_CONNECTOR_RECEIVED;
	struct fake_link *a = connect_to(x, "T1");
	struct relay_request *r = make(x, "T1", "1");

	assert_ok(request_body_append(r, str_of(big, sizeof(big))));
	struct guid id = arrive(x, r);

	request_body_refused(r);
	acknowledge(x, a, &id);
	request_body_refused(r);
	call(x, a, "Deliver", &id, ",\"httpStatusCode\":502,\"requestFailed\":true");
	assert_int_equal(x->rl->requests.n, 0);
}

/* Stores a response of `n` bytes, as the body endpoint does. */
static void store_response(struct relay_fixture *x, struct relay_request *r, size_t n)
{
	static char big[2 * INLINE_MAX];
	struct blob_writer *w;
	struct body_count *sum = NULL;

	assert_ok(blob_create(x->bodies, (struct blob_key){BLOB_RESPONSE, r->id}, 0, &w));
	assert_ok(blob_append(w, str_of(big, n)));
	body_count_add(&sum, x->rl, n);
	assert_ok(blob_commit(&w));
	request_response_stored(r, &sum);
}

/* Two have the request, both store a response: a head goes with its own body only. */
static void test_a_replaced_body_takes_its_head_along(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");
	struct relay_request *r = make(x, "T1", "1");
	struct guid id = arrive(x, r);

	store_response(x, r, INLINE_MAX + 1);
	store_response(x, r, INLINE_MAX + 2);
	call(x, l, "Deliver", &id, ",\"httpStatusCode\":200,\"bodySize\":16385");
	assert_int_equal(x->rl->requests.n, 1);
	call(x, l, "Deliver", &id, ",\"httpStatusCode\":200,\"bodySize\":16386");
	assert_int_equal(x->rl->requests.n, 0);
	assert_int_equal(count(x, RELAY_SUCCEEDED), 1);
	assert_int_equal(count(x, COUNT_BODY_BYTES), 0);
	/* A single one cannot be another's, whatever its connector says of it. */
	r = make(x, "T1", "2");
	id = arrive(x, r);
	store_response(x, r, INLINE_MAX + 1);
	call(x, l, "Deliver", &id, ",\"httpStatusCode\":200,\"bodySize\":1");
	assert_int_equal(count(x, RELAY_SUCCEEDED), 2);
}

static void test_disabled_waits_for_the_old_connector(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *a = connect_to(x, "T1");
	struct guid id = relay_one(x, "T1", "1");

	hub_lost(a->conn);
	struct fake_link *b = connect_to(x, "T1");

	assert_int_equal(requests_said(b), 0);
	deliver(x, b, &id);
	assert_int_equal(count(x, RELAY_SUCCEEDED), 1);
}

static void test_other_tenants_are_strangers(void **state)
{
	struct relay_fixture *x = *state;

	x->config.acknowledge_mode = ACK_CONNECTOR_FINISHED;
	struct fake_link *mine = connect_to(x, "T1"), *other = connect_to(x, "LIMITED");
	struct guid id = relay_one(x, "T1", "1");

	deliver(x, other, &id);
	acknowledge(x, other, &id);
	assert_int_equal(request_find(x->rl, &id)->state, REQUEST_SENT);
	deliver(x, mine, &id);
	assert_int_equal(x->rl->requests.n, 0);
}

static void test_fire_and_forget(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");
	struct relay_request *r = make(x, "T1", "1");

	r->is_discard = true;
	(void)arrive(x, r);
	assert_true(str_find(said(l), STR("\"discardConnectorResponse\":true")) > 0);
	assert_int_equal(x->rl->requests.n, 0);
	x->config.acknowledge_mode = ACK_CONNECTOR_RECEIVED;
	r = make(x, "T1", "2");
	r->is_discard = true;
	struct guid id = arrive(x, r);

	assert_int_equal(x->rl->requests.n, 1);
	acknowledge(x, l, &id);
	assert_int_equal(x->rl->requests.n, 0);
}

static struct guid queue_large(struct relay_fixture *x)
{
	static char big[INLINE_MAX + 1];
	struct relay_request *r = make(x, "T1", "1");

	r->is_discard = true;
	assert_ok(request_body_append(r, str_of(big, sizeof(big))));
	return arrive(x, r);
}

static struct guid queue_small(struct relay_fixture *x)
{
	struct relay_request *r = make(x, "T1", "1");

	r->is_discard = true;
	return arrive(x, r);
}

static bool has_none(void *arg)
{
	return ((struct relay_fixture *)arg)->rl->requests.n == 0;
}

/* It may be fetched late, and over another connection. */
static void test_unfetched_body(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");
	struct guid id = queue_large(x);
	struct relay_request *r = request_find(x->rl, &id);

	assert_int_equal(r->state, REQUEST_SENT);
	l->conn->n_delivered = 0;
	hub_lost(l->conn);
	assert_int_equal(r->state, REQUEST_QUEUED);
	l = connect_to(x, "T1");
	assert_int_equal(r->state, REQUEST_SENT);
	hub_lost(l->conn);
	assert_int_equal(r->state, REQUEST_SENT);
	request_body_taken(r);
	assert_int_equal(x->rl->requests.n, 0);
}

/*
 * Its connector may refuse it before it fetches the body, and say nothing; its target may never
 * acknowledge it. What is not done is bounded for each tenant, in every mode.
 */
static void test_what_is_not_done_is_bounded(void **state)
{
	static const int modes[] = {ACK_DISABLED, ACK_CONNECTOR_RECEIVED, ACK_CONNECTOR_FINISHED,
				    ACK_MANUAL};
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");

	x->config.tenant_queue_bytes_max = INLINE_MAX + 2;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		x->config.acknowledge_mode = modes[i];
		struct guid id = queue_large(x);
		struct tenant *t = request_find(x->rl, &id)->tenant;

		assert_int_equal(t->n_queued, 0);
		assert_int_equal(t->n_kept, 1);
		assert_true(t->bytes_kept > INLINE_MAX + 1);
		(void)queue_large(x);
		assert_int_equal(x->rl->requests.n, 1);
		assert_int_equal(count(x, RELAY_FAILED), i + 1);
		struct guid other = relay_one(x, "T1", "1"); /* one that is waited for */

		deliver(x, l, &other);
		acknowledge(x, l, &id);
		assert_int_equal(x->rl->requests.n, 0);
		assert_int_equal(t->n_kept, 0);
		assert_int_equal(t->bytes_kept, 0);
	}
}

/* Small ones stay in memory: their number counts, and their heads. */
static void test_small_ones_count_too(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");

	x->config.acknowledge_mode = ACK_MANUAL;
	x->config.tenant_queue_max = 2;
	struct guid id = queue_small(x);

	(void)queue_small(x);
	(void)queue_small(x);
	assert_int_equal(x->rl->requests.n, 2);
	assert_int_equal(count(x, RELAY_FAILED), 1);
	acknowledge(x, l, &id);
	x->config.tenant_queue_bytes_max = 1;
	(void)queue_small(x);
	assert_int_equal(x->rl->requests.n, 1);
	x->config.tenant_queue_bytes_max = 1 << 20;
	(void)queue_small(x);
	assert_int_equal(x->rl->requests.n, 2);
}

/* Nobody may come for it, so it does not keep others out. */
static void test_what_was_sent_to_a_lost_connection_makes_room(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");
	struct guid id = queue_large(x);

	hub_lost(l->conn);
	l = connect_to(x, "T1");
	x->config.tenant_queue_bytes_max = INLINE_MAX + 2;
	struct guid next = queue_large(x);

	assert_null(request_find(x->rl, &id));
	assert_non_null(request_find(x->rl, &next));
	assert_int_equal(x->rl->requests.n, 1);
	assert_int_equal(count(x, COUNT_BODY_BYTES), INLINE_MAX + 1);
}

static void test_drain_does_not_wait_for_the_fetch(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");
	struct guid id = queue_large(x);

	drain(x);
	assert_int_equal(request_find(x->rl, &id)->state, REQUEST_SENT);
	run_until(x, has_none, x);
	assert_true(l->closed);
}

static void test_bodies(void **state)
{
	static char big[INLINE_MAX + 1];
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");
	struct relay_request *r = make(x, "T1", "1");
	uint64_t size;

	assert_ok(request_body_append(r, str_of(big, INLINE_MAX)));
	struct guid id = arrive(x, r);

	assert_true(str_find(said(l), STR("\"bodySize\":16384,\"bodyContent\":\"AAAA")) > 0);
	deliver(x, l, &id);
	unsay(l);
	r = make(x, "T1", "1");
	assert_ok(request_body_append(r, str_of(big, 10)));
	assert_ok(request_body_append(r, str_of(big, INLINE_MAX - 9)));
	id = arrive(x, r);
	assert_true(str_find(said(l), STR("\"bodySize\":16385,\"bodyContent\":null")) > 0);
	assert_ok(blob_stat(x->bodies, (struct blob_key){BLOB_REQUEST, id}, &size));
	assert_int_equal(size, INLINE_MAX + 1);
	deliver(x, l, &id);
	assert_err(blob_stat(x->bodies, (struct blob_key){BLOB_REQUEST, id}, &size), ERR_NOT_FOUND);
}

/* It answers what it has, others get the rest. */
static void test_leaving(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *leaving = connect_to(x, "T1");
	struct guid first = relay_one(x, "T1", "1");

	unsay(leaving);
	say(leaving, "{\"type\":1,\"target\":\"Leave\",\"arguments\":[],\"invocationId\":\"7\"}\n");
	assert_str(said(leaving), STR("{\"type\":3,\"invocationId\":\"7\",\"result\":null}\n"));
	struct guid second = relay_one(x, "T1", "2");

	deliver(x, leaving, &first);
	assert_int_equal(requests_said(leaving), 0);
	assert_int_equal(count(x, RELAY_SUCCEEDED), 1);
	x->config.require_active_connection = true;
	(void)relay_one(x, "T1", "3");
	assert_int_equal(count(x, RELAY_REFUSED), 1);
	struct fake_link *other = connect_to(x, "T1");

	assert_int_equal(requests_said(other), 1);
	deliver(x, other, &second);
	assert_int_equal(count(x, RELAY_SUCCEEDED), 2);
}

/* What a long poll could not deliver goes to another connection, even in mode Disabled. */
static void test_undelivered(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *a = connect_to(x, "T1");
	struct guid seen = relay_one(x, "T1", "1");
	struct guid unseen = relay_one(x, "T1", "2");

	a->conn->n_delivered = 1;
	hub_lost(a->conn);
	struct fake_link *b = connect_to(x, "T1");

	assert_int_equal(requests_said(b), 1);
	assert_true(str_find(said(b), STR("\"url\":\"2\"")) > 0);
	deliver(x, b, &unseen);
	deliver(x, b, &seen);
	assert_int_equal(count(x, RELAY_SUCCEEDED), 2);
}

/* A response of wrong types ends the request at once; one of another tenant does not. */
static void test_malformed_response(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *mine = connect_to(x, "T1"), *other = connect_to(x, "LIMITED");
	struct guid id = relay_one(x, "T1", "1");

	call(x, other, "Deliver", &id, ",\"httpStatusCode\":\"x\"");
	assert_int_equal(x->rl->requests.n, 1);
	call(x, mine, "Deliver", &id, ",\"httpStatusCode\":\"x\"");
	assert_int_equal(x->rl->requests.n, 0);
	assert_false(mine->closed);
}

/* Nobody waits for what nobody has: it must not hold up the end. */
static void test_drain_drops_waiting(void **state)
{
	struct relay_fixture *x = *state;
	struct relay_request *r = make(x, "T1", "1");

	r->is_discard = true;
	(void)arrive(x, r);
	(void)relay_one(x, "T1", "2");
	assert_int_equal(x->rl->requests.n, 2);
	drain(x);
	assert_int_equal(x->rl->requests.n, 1);
	assert_int_equal(count(x, RELAY_FAILED), 1);
	assert_int_equal(relay_active(x->relay), 1);
}

/* What others wait for is none of its business. */
static void test_drain_lets_idle_connections_leave(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *idle = connect_to(x, "T1"), *busy = connect_to(x, "T1");

	(void)relay_one(x, "LIMITED", "1");
	struct guid first = relay_one(x, "T1", "1");
	struct guid second = relay_one(x, "T1", "2");

	deliver(x, idle, &first);
	drain(x);
	assert_true(idle->closed);
	assert_false(busy->closed);
	deliver(x, busy, &second);
	assert_true(busy->closed);
	assert_int_equal(count(x, RELAY_SUCCEEDED), 2);
}

/* A connection stays for the requests that wait for it, acknowledged ones for their answer. */
static void test_drain_hands_over_what_waits(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "LIMITED");
	struct guid first = relay_one(x, "LIMITED", "1");
	struct guid second = relay_one(x, "LIMITED", "2");

	drain(x);
	deliver(x, l, &first);
	assert_false(l->closed);
	assert_int_equal(requests_said(l), 2);
	acknowledge(x, l, &second);
	assert_false(l->closed);
	deliver(x, l, &second);
	assert_true(l->closed);
	assert_int_equal(count(x, RELAY_SUCCEEDED), 2);
}

/* It may be the connector that was sent the request, come back with the answer. */
static void test_drain_waits_for_the_answer_of_a_lost_connection(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *a = connect_to(x, "T1");
	struct guid id = relay_one(x, "T1", "1");

	hub_lost(a->conn);
	struct fake_link *b = connect_to(x, "T1");

	drain(x);
	assert_false(b->closed);
	deliver(x, b, &id);
	assert_true(b->closed);
	assert_int_equal(count(x, RELAY_SUCCEEDED), 1);
}

/* Bytes count, not only requests; what ends is taken off. */
static void test_bytes_are_bounded(void **state)
{
	static char big[INLINE_MAX + 1];
	struct relay_fixture *x = *state;
	struct relay_request *r;
	struct guid ids[3];
	struct body_count *response = NULL;

	x->config.tenant_queue_bytes_max = 2 * INLINE_MAX;
	for (int i = 0; i < 3; i++) {
		r = make(x, "T1", "1");
		assert_ok(request_body_append(r, str_of(big, sizeof(big))));
		ids[i] = arrive(x, r);
	}
	assert_int_equal(count(x, COUNT_QUEUED), 2);
	assert_int_equal(count(x, RELAY_FAILED), 1);
	assert_int_equal(count(x, COUNT_BODY_BYTES), 2 * sizeof(big));
	x->config.bodies_bytes_max = 2 * sizeof(big);
	r = make(x, "T1", "1");
	assert_ok(request_body_append(r, str_of(big, INLINE_MAX)));
	assert_err(request_body_append(r, str_of(big, 1)), ERR_UNAVAILABLE);
	request_fail(r, REQUEST_FAILED, 503, RELAY_FAILED);
	request_abort(request_find(x->rl, &ids[1]));
	body_count_add(&response, x->rl, 100);
	request_response_stored(request_find(x->rl, &ids[0]), &response);
	assert_int_equal(count(x, COUNT_BODY_BYTES), sizeof(big) + 100);
	request_abort(request_find(x->rl, &ids[0]));
	assert_int_equal(count(x, COUNT_BODY_BYTES), 0);
}

static void test_expiry(void **state)
{
	static char big[INLINE_MAX + 1];
	struct relay_fixture *x = *state;
	struct relay_request *r = make(x, "T1", "1");
	struct guid id;
	uint64_t size;

	assert_ok(request_body_append(r, str_of(big, sizeof(big))));
	r->deadline_ms = loop_now_ms(x->loop) + 20;
	id = arrive(x, r);
	run_until(x, has_none, x);
	assert_int_equal(count(x, RELAY_EXPIRED), 1);
	assert_int_equal(count(x, COUNT_QUEUED), 0);
	assert_err(blob_stat(x->bodies, (struct blob_key){BLOB_REQUEST, id}, &size), ERR_NOT_FOUND);
}

static void test_abort(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");
	struct guid id = relay_one(x, "T1", "1");

	request_abort(request_find(x->rl, &id));
	assert_int_equal(count(x, RELAY_ABORTED), 1);
	deliver(x, l, &id);
	assert_int_equal(count(x, RELAY_SUCCEEDED), 0);
	assert_int_equal(l->conn->n_in_flight, 0);
}

static void test_deleted_tenant_loses_its_connections(void **state)
{
	struct relay_fixture *x = *state;

	x->config.tenant_info_cache_duration_ms = 0;
	struct fake_link *l = connect_to(x, "T1");

	fake_tenants[0].info.found = false;
	(void)relay_one(x, "T1", "1");
	settle(x);
	fake_tenants[0].info.found = true;
	assert_true(l->closed);
	assert_true(str_ends(said(l), STR("{\"type\":7,\"allowReconnect\":true}\n")));
}

#define RELAY_TEST(fn) cmocka_unit_test_setup_teardown(fn, relay_setup, relay_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST(test_round_trip),
		RELAY_TEST(test_waits_for_a_connector),
		RELAY_TEST(test_refusals),
		RELAY_TEST(test_queue_is_bounded),
		RELAY_TEST(test_round_robin),
		RELAY_TEST(test_limit),
		RELAY_TEST(test_backlog),
		RELAY_TEST(test_redelivery),
		RELAY_TEST(test_a_copy_without_body_is_no_answer),
		RELAY_TEST(test_a_body_that_is_gone_fails_its_only_connector),
		RELAY_TEST(test_a_replaced_body_takes_its_head_along),
		RELAY_TEST(test_disabled_waits_for_the_old_connector),
		RELAY_TEST(test_other_tenants_are_strangers),
		RELAY_TEST(test_fire_and_forget),
		RELAY_TEST(test_leaving),
		RELAY_TEST(test_unfetched_body),
		RELAY_TEST(test_what_is_not_done_is_bounded),
		RELAY_TEST(test_small_ones_count_too),
		RELAY_TEST(test_what_was_sent_to_a_lost_connection_makes_room),
		RELAY_TEST(test_drain_does_not_wait_for_the_fetch),
		RELAY_TEST(test_bodies),
		RELAY_TEST(test_bytes_are_bounded),
		RELAY_TEST(test_undelivered),
		RELAY_TEST(test_malformed_response),
		RELAY_TEST(test_drain_drops_waiting),
		RELAY_TEST(test_drain_lets_idle_connections_leave),
		RELAY_TEST(test_drain_hands_over_what_waits),
		RELAY_TEST(test_drain_waits_for_the_answer_of_a_lost_connection),
		RELAY_TEST(test_expiry),
		RELAY_TEST(test_abort),
		RELAY_TEST(test_deleted_tenant_loses_its_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
