/* Batches, outages and bounds of a lane, against a peer that follows a script. */
#include "gateway/plugins/log_queue.h"
#include "http/client.h"
#include "net/dns.h"

#include "../http/script_server.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define BUSY "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"

static const struct step taken[] = {{.reply = OK, .body = 1}, {0}};

/* A test ends when the script has come to its end. */
struct fixture {
	struct loop *loop;
	struct script_server server;
	struct log_queues *queues;
	struct log_queue *queue;
	struct log_queue_settings *settings;
	struct log_queue_options o;
	struct timer poll, guard;
	uint64_t sent, dropped; /* what is waited for */
};

static void on_guard(struct timer *t)
{
	(void)t;
	fail_msg("nothing happened for 10 s");
}

static struct log_queues_stats stats(struct fixture *f)
{
	struct log_queues_stats s;

	log_queues_stats(f->queues, &s);
	return s;
}

static void on_poll(struct timer *t)
{
	struct fixture *f = container_of(t, struct fixture, poll);
	struct log_queues_stats s = stats(f);

	if (s.sent >= f->sent && s.dropped >= f->dropped) {
		loop_stop(f->loop);
	} else {
		timer_start(f->loop, &f->poll, 1, on_poll);
	}
}

static void run_until(struct fixture *f, uint64_t sent, uint64_t dropped)
{
	f->sent = sent;
	f->dropped = dropped;
	timer_start(f->loop, &f->guard, 10000, on_guard);
	timer_start(f->loop, &f->poll, 1, on_poll);
	loop_run(f->loop);
	timer_stop(f->loop, &f->guard);
	timer_stop(f->loop, &f->poll);
}

static void apply(struct fixture *f)
{
	char url[64];

	(void)snprintf(url, sizeof(url), "http://jane:pass%%21@127.0.0.1:%u/logs?a=1",
		       f->server.port);
	f->o.url = str_c(url);
	log_queue_settings_unref(&f->settings);
	assert_ok(log_queue_settings_new(&f->o, &f->settings, NULL));
}

static void begin(struct fixture *f, const struct step *steps)
{
	static const struct http_header header = {STR("X-Token"), STR("t")};
	struct guid id = {0};

	*f = (struct fixture){.loop = loop_new(0)};
	f->o = (struct log_queue_options){
		.method = STR("POST"),
		.content_type = STR("application/json"),
		.headers = &header,
		.n_headers = 1,
		.timeout_ms = 5000,
		.keep_alive = true,
		.max_batch_size = 1,
		.max_entries = 100,
		.max_retry_time_ms = 5000,
		.initial_retry_delay_ms = 1,
		.max_retry_delay_ms = 4,
	};
	script_open(&f->server, f->loop, steps);
	f->queues = log_queues_new(1);
	f->queue = log_queue_open(f->queues, &id);
	struct log_queue *again = log_queue_open(f->queues, &id);

	assert_ptr_equal(again, f->queue);
	log_queue_close(&again);
	apply(f);
}

static void end(struct fixture *f)
{
	script_close(&f->server);
	http_loop_fini(f->loop);
	dns_loop_fini(f->loop);
	log_queue_settings_unref(&f->settings);
	loop_free(&f->loop);
	log_queues_free(&f->queues);
}

static void put(struct fixture *f, const char *record)
{
	log_queue_put(f->queue, f->loop, f->settings, str_c(record));
}

/* Bodies of all requests, each followed by '|'. */
static void assert_bodies(struct fixture *f, const char *want)
{
	struct str rest = buf_str(&f->server.got);
	struct buf bodies = {0};
	ptrdiff_t head;

	while ((head = str_find(rest, STR("\r\n\r\n"))) >= 0) {
		ptrdiff_t next;

		rest = str_skip(rest, (size_t)head + 4);
		next = str_find(rest, STR("POST /"));
		buf_put(&bodies, next < 0 ? rest : str_slice(rest, 0, (size_t)next));
		buf_putc(&bodies, '|');
	}
	assert_str(buf_str(&bodies), str_c(want));
	buf_free(&bodies);
}

static void test_each_record_alone(void **state)
{
	static const struct step steps[] = {
		{.reply = OK, .body = 1}, {.reply = OK, .body = 1}, {0}};
	struct fixture f;
	struct str got;

	(void)state;
	begin(&f, steps);
	put(&f, "1");
	put(&f, "2");
	run_until(&f, 2, 0);
	assert_bodies(&f, "1|2|");
	got = buf_str(&f.server.got);
	assert_true(str_starts(got, STR("POST /logs?a=1 HTTP/1.1\r\n")));
	assert_true(str_find(got, STR("Content-Type: application/json\r\n")) > 0);
	assert_true(str_find(got, STR("X-Token: t\r\n")) > 0);
	assert_true(str_find(got, STR("Authorization: Basic amFuZTpwYXNzIQ==\r\n")) > 0);
	assert_int_equal(f.server.connections, 1);
	end(&f);
}

static void test_batches(void **state)
{
	static const struct step steps[] = {
		{.reply = OK, .body = 5}, {.reply = OK, .body = 3}, {0}};
	struct fixture f;

	(void)state;
	begin(&f, steps);
	f.o.max_batch_size = 2;
	f.o.max_coalescing_delay_ms = 20;
	apply(&f);
	put(&f, "1");
	put(&f, "2");
	put(&f, "3");
	run_until(&f, 3, 0);
	assert_bodies(&f, "[1,2]|[3]|");
	end(&f);
}

static void test_outage_then_the_same_again(void **state)
{
	static const struct step steps[] = {
		{.reply = BUSY, .body = 1},
		{.then = RESET, .reply = "", .body = 1},
		{.reply = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", .body = 1},
		{.reply = OK, .body = 1},
		{0}};
	struct fixture f;

	(void)state;
	begin(&f, steps);
	put(&f, "1");
	put(&f, "2");
	run_until(&f, 2, 0);
	assert_bodies(&f, "1|1|1|2|");
	assert_int_equal(stats(&f).failures, 2);
	assert_int_equal(stats(&f).dropped, 0);
	end(&f);
}

static void test_given_up_after_the_time(void **state)
{
	static const struct step steps[] = {
		{.reply = BUSY, .body = 1}, {.reply = OK, .body = 1}, {0}};
	struct fixture f;

	(void)state;
	begin(&f, steps);
	f.o.max_retry_time_ms = 0;
	apply(&f);
	put(&f, "1");
	put(&f, "2");
	run_until(&f, 1, 1);
	assert_bodies(&f, "1|2|");
	end(&f);
}

/* 1 is under way; of the others the oldest go, by number and by bytes. */
static void test_bounds(void **state)
{
	static const struct step steps[] = {
		{.reply = OK, .body = 1}, {.reply = OK, .body = 1}, {.reply = OK, .body = 2}, {0}};
	struct fixture f;

	(void)state;
	begin(&f, steps);
	f.o.max_entries = 3;
	f.o.max_bytes = 4;
	apply(&f);
	put(&f, "1");
	put(&f, "2");
	put(&f, "3");
	put(&f, "4"); /* drops 2 */
	assert_int_equal(stats(&f).dropped, 1);
	put(&f, "12345"); /* drops 3 and 4, and fits even so not */
	assert_int_equal(stats(&f).dropped, 4);
	put(&f, "6");
	put(&f, "77");
	run_until(&f, 3, 4);
	assert_bodies(&f, "1|6|77|");
	end(&f);
}

/* 32 MiB for all lanes, where the settings do not say. */
static void test_bytes_by_default(void **state)
{
	struct log_queues *two = log_queues_new(2);
	struct log_queue *half = log_queue_open(two, &(struct guid){0});
	struct str mebibyte = {mem_zalloc(1 << 20), 1 << 20};
	struct log_queues_stats s;
	struct fixture f;

	(void)state;
	begin(&f, taken);
	for (int i = 0; i < 20; i++) {
		log_queue_put(half, f.loop, f.settings, mebibyte);
		log_queue_put(f.queue, f.loop, f.settings, mebibyte);
	}
	log_queues_stats(two, &s);
	assert_int_equal(s.dropped, 4);
	assert_int_equal(stats(&f).dropped, 0);
	f.o.max_bytes = 18 << 20;
	apply(&f);
	for (int i = 0; i < 3; i++) {
		log_queue_put(half, f.loop, f.settings, mebibyte);
	}
	log_queues_stats(two, &s);
	assert_int_equal(s.dropped, 5);
	end(&f);
	log_queues_free(&two);
	mem_free((char *)(uintptr_t)mebibyte.p);
}

/* What waits goes where the newest settings say. */
static void test_new_settings_take_over(void **state)
{
	static const struct step steps[] = {
		{.reply = OK, .body = 1}, {.reply = OK, .body = 1}, {0}};
	struct fixture f;
	uint16_t port;

	(void)state;
	begin(&f, steps);
	port = f.server.port;
	f.server.port = 1; /* nobody */
	apply(&f);
	put(&f, "1");
	f.server.port = port;
	apply(&f);
	put(&f, "2");
	run_until(&f, 2, 0);
	assert_bodies(&f, "1|2|");
	end(&f);
}

/* A call under way and a record that waits, when the loop ends. */
static void test_ends_with_the_loop(void **state)
{
	static const struct step steps[] = {{.reply = OK, .body = 1}, {0}};
	struct fixture f;

	(void)state;
	begin(&f, steps);
	put(&f, "1");
	run_until(&f, 1, 0);
	put(&f, "2");
	put(&f, "3");
	end(&f);
}

static void test_closed_queue_goes_with_its_last_record(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, taken);
	put(&f, "1");
	log_queue_close(&f.queue);
	assert_int_equal(stats(&f).queues, 1);
	run_until(&f, 1, 0);
	assert_int_equal(stats(&f).queues, 0);
	assert_int_equal(stats(&f).sent, 1);
	assert_bodies(&f, "1|");
	end(&f);
}

static void test_unused_queue_goes_at_once(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, taken);
	log_queue_close(&f.queue);
	assert_int_equal(stats(&f).queues, 0);
	end(&f);
}

/* Neither the batch nor the delay would have sent it. */
static void test_flush(void **state)
{
	static const struct step steps[] = {{.reply = OK, .body = 3}, {0}};
	struct fixture f;

	(void)state;
	begin(&f, steps);
	f.o.max_batch_size = 10;
	f.o.max_coalescing_delay_ms = 3600000;
	apply(&f);
	assert_true(log_queues_flush(f.queues, f.loop));
	put(&f, "1");
	assert_false(log_queues_flush(f.queues, f.loop));
	run_until(&f, 1, 0);
	assert_true(log_queues_flush(f.queues, f.loop));
	assert_bodies(&f, "[1]|");
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_record_alone),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_outage_then_the_same_again),
		cmocka_unit_test(test_given_up_after_the_time),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_bytes_by_default),
		cmocka_unit_test(test_new_settings_take_over),
		cmocka_unit_test(test_closed_queue_goes_with_its_last_record),
		cmocka_unit_test(test_unused_queue_goes_at_once),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_ends_with_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
