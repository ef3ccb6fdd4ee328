/* Answers over HTTP/2 that end early or late: the test is the client, a frame at a time. */
#include "base/buf.h"
#include "http/held_server.h"
#include "talk.h"

#include <sched.h>
#include <sys/time.h>

#define FRAME(len, type, flags, id) "\0\0" len type flags "\0\0\0" id
#define CODE(c) "\0\0\0" c
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS FRAME("\0", "\4", "\0", "\0")
/* SETTINGS_INITIAL_WINDOW_SIZE, below 128 */
#define WINDOW(n) FRAME("\6", "\4", "\0", "\0") "\0\4\0\0\0" n
#define GET(id) FRAME("\6", "\1", "\5", id) "\x82\x86\x84\1\1a"
/* Of a request whose body is to come: method and path as of GET. */
#define OPEN(id) FRAME("\6", "\1", "\4", id) "\x83\x86\x84\1\1a"
#define DATA(id) FRAME("\1", "\0", "\0", id) "x"
#define MORE(id, n) FRAME("\4", "\x8", "\0", id) CODE(n)
#define RESET(id, code) FRAME("\4", "\3", "\0", id) CODE(code)
#define GOAWAY FRAME("\x8", "\7", "\0", "\0") CODE("\0") CODE("\0")
#define PING(flags) FRAME("\x8", "\6", flags, "\0") "\0\0\0\0\0\0\0\0"

struct peer {
	int fd;
	struct buf text; /* "head1 data1=abc end1 reset1=2 goaway1=0 over" */
	unsigned pongs;
	bool over;
};

#define SAY(p, bytes) talk_say((p)->fd, str_of(bytes, sizeof(bytes) - 1))

static void dial(struct peer *p, const struct held_server *h)
{
	struct timeval patience = {.tv_sec = 20};

	*p = (struct peer){.fd = talk_dial(h->port)};
	assert_int_equal(setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
			 0);
}

static bool hear(struct peer *p, uint8_t *to, size_t n)
{
	ssize_t got = n > 0 ? recv(p->fd, to, n, MSG_WAITALL) : 0;

	if (got < 0) {
		fail_msg("waited in vain behind \"%.*s\"", STR_ARG(buf_str(&p->text)));
	}
	return (size_t)got == n;
}

static uint32_t number(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void note_goaway(struct peer *p, uint32_t last, uint32_t code)
{
	if (last == INT32_MAX) {
		buf_puts(&p->text, "notice ");
	} else {
		buf_printf(&p->text, "goaway%u=%u ", last, code);
	}
}

static void note_frame(struct peer *p, const uint8_t head[9], const uint8_t *body)
{
	uint32_t n = number(head) >> 8, id = number(head + 5);
	uint8_t type = head[3], flags = head[4];

	if (type == 0 && n > 0) {
		buf_printf(&p->text, "data%u=%.*s ", id, (int)n, (const char *)body);
	} else if (type == 1) {
		buf_printf(&p->text, "head%u ", id);
	} else if (type == 3) {
		buf_printf(&p->text, "reset%u=%u ", id, number(body));
	} else if (type == 6) {
		p->pongs += flags & 1;
	} else if (type == 7) {
		note_goaway(p, number(body), number(body + 4));
	}
	if (type <= 1 && flags & 1) {
		buf_printf(&p->text, "end%u ", id);
	}
}

static void hear_frame(struct peer *p)
{
	uint8_t head[9], body[1000];
	uint32_t n;

	if (!hear(p, head, sizeof(head))) {
		p->over = true;
		buf_puts(&p->text, "over");
		return;
	}
	n = number(head) >> 8;
	assert_true(n <= sizeof(body) && hear(p, body, n));
	note_frame(p, head, body);
}

/* What comes next, SETTINGS and the like aside. */
static void expect(struct peer *p, const char *text)
{
	while (p->text.n < strlen(text) && !p->over) {
		hear_frame(p);
	}
	assert_str(buf_str(&p->text), str_c(text));
	buf_consume(&p->text, p->text.n);
}

/*
 * The server has done what it was told, and there is nothing more to hear of it. Twice: the
 * first answer overtakes what is sent in the same turn.
 */
static void settle(struct peer *p)
{
	for (int i = 0; i < 2; i++) {
		unsigned before = p->pongs;

		SAY(p, PING("\0"));
		while (p->pongs == before && !p->over) {
			hear_frame(p);
		}
	}
	assert_str(buf_str(&p->text), STR(""));
}

static void hang_up(struct peer *p)
{
	(void)close(p->fd);
	buf_free(&p->text);
}

static void answer(struct exchange *x)
{
	held_start_write(x);
	exchange_finish(x);
}

/* The connection is as good as new. */
static void expect_answer_on_3(struct held_server *h, struct peer *p)
{
	h->on_begin = answer;
	SAY(p, GET("\3") MORE("\3", "\x70"));
	while (!str_ends(buf_str(&p->text), STR("end3 ")) && !p->over) {
		hear_frame(p);
	}
	assert_true(str_starts(buf_str(&p->text), STR("head3 data3=")));
	buf_consume(&p->text, p->text.n);
}

/* ---- cut ---- */

static void start_cut(struct exchange *x)
{
	held_start(x);
	exchange_cut(x);
}

static void start_write_cut(struct exchange *x)
{
	held_start_write(x);
	exchange_cut(x);
}

static void test_cut_before_the_head(void **state)
{
	static const struct {
		void (*on_begin)(struct exchange *x);
		const char *text;
	} cases[] = {
		{exchange_cut, "reset1=2 "},
		{start_cut, "head1 reset1=2 "},
		{start_write_cut, "head1 data1=half of reset1=2 "},
	};
	struct held_server h;
	struct peer p;

	(void)state;
	held_open(&h, NULL, 10000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		dial(&p, &h);
		h.on_begin = cases[i].on_begin;
		SAY(&p, PREFACE SETTINGS GET("\1"));
		expect(&p, cases[i].text);
		expect_answer_on_3(&h, &p);
		hang_up(&p);
	}
	assert_int_equal(h.aborted, 0); /* the role knows */
	held_close(&h);
}

static void test_cut_sends_what_the_window_holds_back(void **state)
{
	struct held_server h;
	struct peer p;

	(void)state;
	held_open(&h, NULL, 10000);
	dial(&p, &h);
	h.on_begin = held_start_write;
	SAY(&p, PREFACE WINDOW("\4") GET("\1"));
	expect(&p, "head1 data1=half ");
	held_do(&h, exchange_cut);
	settle(&p);
	SAY(&p, MORE("\1", "\1"));
	expect(&p, "data1=  ");
	SAY(&p, MORE("\1", "\x70"));
	expect(&p, "data1=of reset1=2 ");
	expect_answer_on_3(&h, &p);
	hang_up(&p);
	held_close(&h);
}

/* A reset needs no window. */
static void test_cut_with_the_window_used_up(void **state)
{
	struct held_server h;
	struct peer p;

	(void)state;
	held_open(&h, NULL, 10000);
	dial(&p, &h);
	h.on_begin = held_start_write;
	SAY(&p, PREFACE WINDOW("\7") GET("\1"));
	expect(&p, "head1 data1=half of ");
	held_do(&h, exchange_cut);
	expect(&p, "reset1=2 ");
	expect_answer_on_3(&h, &p);
	hang_up(&p);

	dial(&p, &h);
	h.on_begin = held_start_write;
	SAY(&p, PREFACE WINDOW("\4") GET("\1"));
	expect(&p, "head1 data1=half ");
	held_do(&h, exchange_cut);
	SAY(&p, MORE("\1", "\3"));
	expect(&p, "data1= of reset1=2 ");
	hang_up(&p);

	dial(&p, &h);
	h.on_begin = start_cut;
	SAY(&p, PREFACE WINDOW("\0") GET("\1"));
	expect(&p, "head1 reset1=2 ");
	hang_up(&p);
	held_close(&h);
}

/* What is left to send has the time of a write, bytes as well as an end. */
static void test_window_that_does_not_open(void **state)
{
	static void (*const begins[])(struct exchange * x) = {held_start_write, answer,
							      start_write_cut};
	struct held_server h;
	struct peer p;

	(void)state;
	held_open(&h, NULL, 100);
	for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
		dial(&p, &h);
		h.on_begin = begins[i];
		SAY(&p, PREFACE WINDOW("\4") GET("\1"));
		expect(&p, "head1 data1=half reset1=8 ");
		assert_int_equal(h.aborted, 1); /* the first, whose role still wrote */
		expect_answer_on_3(&h, &p);
		hang_up(&p);
	}
	dial(&p, &h);
	h.on_begin = held_start_write;
	SAY(&p, PREFACE WINDOW("\7") GET("\1"));
	expect(&p, "head1 data1=half of ");
	held_do(&h, exchange_finish);
	expect(&p, "reset1=8 ");
	hang_up(&p);
	held_close(&h);
}

static void test_end_behind_the_window(void **state)
{
	struct held_server h;
	struct peer p;

	(void)state;
	held_open(&h, NULL, 10000);
	dial(&p, &h);
	h.on_begin = held_start_write;
	SAY(&p, PREFACE WINDOW("\7") GET("\1"));
	expect(&p, "head1 data1=half of ");
	held_do(&h, exchange_finish);
	settle(&p);
	SAY(&p, MORE("\1", "\1"));
	expect(&p, "end1 ");
	expect_answer_on_3(&h, &p);
	hang_up(&p);
	held_close(&h);
}

/* ---- reset by the client ---- */

static void on_release(void *arg)
{
	((struct held_server *)arg)->released++;
}

static void reply_mem(struct exchange *x)
{
	exchange_reply(x, &(struct exchange_answer){.status = 200,
						    .kind = EXCHANGE_BODY_MEM,
						    .body = STR("half of"),
						    .release = on_release,
						    .arg = exchange_user(x)});
}

static void test_reset_while_the_body_waits(void **state)
{
	struct held_server h;
	struct peer p;

	(void)state;
	held_open(&h, NULL, 10000);
	dial(&p, &h);
	h.on_begin = held_start_write;
	SAY(&p, PREFACE WINDOW("\4") GET("\1"));
	expect(&p, "head1 data1=half ");
	SAY(&p, RESET("\1", "\x8"));
	settle(&p);
	assert_int_equal(h.aborted, 1);
	expect_answer_on_3(&h, &p);

	h.on_begin = reply_mem; /* whose exchange is over */
	SAY(&p, GET("\5"));
	expect(&p, "head5 data5=half ");
	assert_int_equal(h.released, 0);
	SAY(&p, RESET("\5", "\x8"));
	settle(&p);
	assert_int_equal(h.released, 1);

	h.on_begin = held_start_write; /* or cut */
	SAY(&p, GET("\7"));
	expect(&p, "head7 data7=half ");
	held_do(&h, exchange_cut);
	SAY(&p, RESET("\7", "\x8"));
	settle(&p);
	assert_int_equal(h.aborted, 1);
	hang_up(&p);
	held_close(&h);
}

/* In one turn with the request: nothing of the answer has left. */
static void test_reset_before_the_head(void **state)
{
	static void (*const begins[])(struct exchange * x) = {NULL, held_start_write, answer,
							      start_write_cut};
	struct held_server h;
	struct peer p;

	(void)state;
	held_open(&h, NULL, 10000);
	for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
		dial(&p, &h);
		SAY(&p, PREFACE SETTINGS);
		settle(&p);
		h.on_begin = begins[i];
		SAY(&p, GET("\1") RESET("\1", "\x8"));
		settle(&p);
		expect_answer_on_3(&h, &p);
		hang_up(&p);
	}
	assert_int_equal(h.aborted, 2);
	held_close(&h);
}

/* ---- a client that is silent ---- */

/* One without an answer is the clock: it is refused no sooner than those before it would be. */
static void test_silence_is_no_fault_once_there_is_an_answer(void **state)
{
	struct http_limits lim = http_limits_default;
	struct held_server h;
	struct peer p;

	(void)state;
	lim.body_timeout_ms = 100;
	held_open_limited(&h, NULL, &lim);
	dial(&p, &h);
	h.on_begin = held_start;
	SAY(&p, PREFACE SETTINGS OPEN("\1") OPEN("\3"));
	expect(&p, "head1 head3 ");
	SAY(&p, DATA("\3")); /* nor behind a turn of his */
	settle(&p);
	h.on_begin = NULL;
	SAY(&p, OPEN("\5"));
	expect(&p, "head5 end5 ");
	settle(&p);
	assert_int_equal(h.aborted, 1);
	assert_int_equal(h.abort_status, 408);
	h.on_begin = answer;
	SAY(&p, GET("\7"));
	expect(&p, "head7 data7=half of end7 ");
	hang_up(&p);
	held_close(&h);
}

/* ---- GOAWAY ---- */

static void test_goaway_from_the_client_before_the_head(void **state)
{
	static const struct {
		void (*end)(struct exchange *x);
		const char *text;
	} cases[] = {
		{answer, "head1 data1=half of end1 over"},
		{start_write_cut, "head1 data1=half of reset1=2 over"},
		{exchange_cut, "reset1=2 over"},
	};
	struct held_server h;
	struct peer p;

	(void)state;
	held_open(&h, NULL, 10000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		dial(&p, &h);
		SAY(&p, PREFACE SETTINGS GET("\1") GOAWAY);
		settle(&p);
		held_do(&h, cases[i].end);
		expect(&p, cases[i].text);
		hang_up(&p);
	}
	held_close(&h);
}

static void drain(struct held_server *h, struct peer *p)
{
	http_server_drain(h->server, 0);
	expect(p, "notice ");
	SAY(p, PING("\1"));
	expect(p, "goaway1=0 ");
}

static void expect_gone(struct held_server *h)
{
	while (http_server_active(h->server) > 0) {
		sched_yield();
	}
}

static void test_drain_before_the_head(void **state)
{
	static const struct {
		void (*end)(struct exchange *x);
		const char *text;
	} cases[] = {
		{answer, "head1 data1=half of end1 goaway1=0 over"},
		{start_write_cut, "head1 data1=half of reset1=2 goaway1=0 over"},
		{exchange_cut, "reset1=2 goaway1=0 over"},
	};
	struct held_server h;
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		held_open(&h, NULL, 10000);
		dial(&p, &h);
		SAY(&p, PREFACE SETTINGS GET("\1"));
		settle(&p);
		drain(&h, &p);
		held_do(&h, cases[i].end);
		expect(&p, cases[i].text);
		hang_up(&p);
		expect_gone(&h);
		held_close(&h);
	}
}

/* ---- the end of the server in each state ---- */

static const struct state {
	void (*on_begin)(struct exchange *x);
	void (*then)(struct exchange *x);
	const char *text;
	const char *rest; /* when the window opens */
	unsigned aborted, released;
} states[] = {
	{NULL, NULL, "", "", 1, 0},
	{held_start_write, NULL, "head1 data1=half ", "data1= of ", 1, 0},
	{held_start_write, exchange_finish, "head1 data1=half ", "data1= of end1 ", 0, 0},
	{held_start_write, exchange_cut, "head1 data1=half ", "data1= of reset1=2 ", 0, 0},
	{reply_mem, NULL, "head1 data1=half ", "data1= of end1 ", 0, 1},
};

static void enter(struct held_server *h, struct peer *p, const struct state *s)
{
	held_open(h, NULL, 10000);
	dial(p, h);
	h->on_begin = s->on_begin;
	SAY(p, PREFACE WINDOW("\4") GET("\1"));
	expect(p, s->text);
	settle(p);
	if (s->then) {
		held_do(h, s->then);
	}
}

static void test_stop(void **state)
{
	struct held_server h;
	struct peer p;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(states); i++) {
		const struct state *s = &states[i / 2];

		enter(&h, &p, s);
		if (i % 2) {
			drain(&h, &p);
		}
		http_server_free(&h.server);
		expect(&p, "over");
		assert_int_equal(h.aborted, s->aborted);
		assert_int_equal(h.released, s->released);
		hang_up(&p);
		held_close(&h);
	}
}

static void test_drain(void **state)
{
	struct held_server h;
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		enter(&h, &p, &states[i]);
		drain(&h, &p);
		SAY(&p, MORE("\1", "\x70"));
		expect(&p, states[i].rest);
		if (states[i].aborted) { /* the exchange goes on */
			settle(&p);
			SAY(&p, RESET("\1", "\x8"));
		}
		expect(&p, "goaway1=0 over");
		assert_int_equal(h.aborted, states[i].aborted);
		assert_int_equal(h.released, states[i].released);
		hang_up(&p);
		expect_gone(&h);
		held_close(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_before_the_head),
		cmocka_unit_test(test_cut_sends_what_the_window_holds_back),
		cmocka_unit_test(test_cut_with_the_window_used_up),
		cmocka_unit_test(test_window_that_does_not_open),
		cmocka_unit_test(test_end_behind_the_window),
		cmocka_unit_test(test_reset_while_the_body_waits),
		cmocka_unit_test(test_reset_before_the_head),
		cmocka_unit_test(test_silence_is_no_fault_once_there_is_an_answer),
		cmocka_unit_test(test_goaway_from_the_client_before_the_head),
		cmocka_unit_test(test_drain_before_the_head),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
