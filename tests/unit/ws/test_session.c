#include "base/mem.h"
#include "unit.h"
#include "ws/session_int.h"

#include <stdio.h>
#include <sys/socket.h>

/*
 * One case = frames that a peer sends, what the session makes of them, and what
 * it sends back. Each runs in both roles and in pieces of several sizes, one a turn.
 * When the session has not ended by then, the peer breaks off (1006).
 */
struct sent {
	unsigned first; /* FIN, reserved bits, opcode */
	struct str payload;
};

struct wanted {
	const char *name;
	struct sent frames[6]; /* up to one whose `first` is 0 without payload.p */
	const char *events;    /* "T:text " "B:binary " "close:code" */
	const char *replies;   /* "a:payload " of a pong, "8:code" of a Close */
};

struct fixture {
	struct loop *loop;
	struct ws *session;
	struct stream *peer;
	struct buf input; /* still to be sent */
	size_t piece;
	struct later more;
	struct later last;
	unsigned turns;
	struct buf events;
	struct buf replies;
	struct timer guard;
	enum ws_role role;
	bool ended, peer_gone;
	bool breaks_off; /* once it has sent all */
	void (*on_message)(struct fixture *f);
	struct timer timer;
};

/* ---- the session's side ---- */

static void on_turn(struct later *l)
{
	struct fixture *f = container_of(l, struct fixture, last);

	if (--f->turns == 0) {
		loop_stop(f->loop);
	} else {
		loop_next_turn(f->loop, &f->last, on_turn);
	}
}

/* The session's stream may still wait for the peer's FIN: two turns more. */
static void stop_when_over(struct fixture *f)
{
	if (f->ended && f->peer_gone) {
		f->turns = 3;
		loop_next_turn(f->loop, &f->last, on_turn);
	}
}

static void on_message(struct ws *w, enum ws_opcode type, struct str data)
{
	struct fixture *f = ws_user(w);

	if (data.n > 200) {
		buf_printf(&f->events, "%c:%zu bytes ", type == WS_TEXT ? 'T' : 'B', data.n);
	} else {
		buf_printf(&f->events, "%c:%.*s ", type == WS_TEXT ? 'T' : 'B', STR_ARG(data));
	}
	if (f->on_message) {
		f->on_message(f);
	}
}

static void on_close(struct ws *w, unsigned code, struct str reason)
{
	struct fixture *f = ws_user(w);

	buf_printf(&f->events, "close:%u%.*s", code, STR_ARG(reason));
	f->ended = true;
	stop_when_over(f);
}

static const struct ws_handler session_events = {.on_message = on_message, .on_close = on_close};

/* ---- the peer's side ---- */

static void on_more(struct later *l)
{
	struct fixture *f = container_of(l, struct fixture, more);
	size_t n = f->piece ? MIN(f->piece, f->input.n) : f->input.n;

	if (f->peer_gone) {
		return;
	}
	if (f->input.n > 0) {
		stream_write(f->peer, str_of(buf_head(&f->input), n));
		buf_consume(&f->input, n);
	} else if (stream_pending(f->peer) == 0) {
		if (f->breaks_off) {
			/* FIN, but what the session still says is read. */
			(void)shutdown(f->peer->io.fd, SHUT_WR);
		}
		return;
	}
	loop_next_turn(f->loop, &f->more, on_more);
}

static size_t peer_on_data(struct stream *s, char *p, size_t n)
{
	struct fixture *f = s->user;
	enum ws_role role = f->role == WS_SERVER ? WS_CLIENT : WS_SERVER;
	struct ws_frame h;

	if (ws_frame_parse(str_of(p, n), role, &h) != ERR_OK || n < h.head_len + h.n) {
		return 0;
	}
	p += h.head_len;
	if (h.masked) {
		ws_mask((uint8_t *)p, (size_t)h.n, h.mask, 0);
	}
	assert_true(h.fin);
	if (h.opcode == WS_CLOSE && h.n >= 2) {
		buf_printf(&f->replies, "8:%u ", (unsigned)((uint8_t)p[0] << 8 | (uint8_t)p[1]));
	} else {
		buf_printf(&f->replies, "%x:%.*s ", h.opcode, (int)h.n, p);
	}
	n -= h.head_len + (size_t)h.n;
	n = n > 0 ? peer_on_data(s, p + h.n, n) : 0;
	return h.head_len + (size_t)h.n + n;
}

static void peer_on_close(struct stream *s, enum err why)
{
	struct fixture *f = s->user;

	(void)why;
	f->peer_gone = true;
	stop_when_over(f);
}

static const struct stream_handler peer_events = {
	.on_data = peer_on_data,
	.on_close = peer_on_close,
};

static void on_guard(struct timer *t)
{
	struct fixture *f = container_of(t, struct fixture, guard);

	fail_msg("nothing happened for 10 s after: %.*s", STR_ARG(buf_str(&f->events)));
}

/* ---- frames ---- */

static void put_frame(struct buf *out, enum ws_role to, const struct sent *s)
{
	static const uint8_t mask[4] = {0xa5, 0x3c, 0, 0xff};
	uint8_t masked = to == WS_SERVER ? 0x80 : 0;
	size_t n = s->payload.n;

	buf_putc(out, (char)s->first);
	if (n < 126) {
		buf_putc(out, (char)(masked | n));
	} else if (n <= UINT16_MAX) {
		buf_putc(out, (char)(masked | 126));
		buf_putc(out, (char)(n >> 8));
		buf_putc(out, (char)n);
	} else {
		buf_putc(out, (char)(masked | 127));
		for (int shift = 56; shift >= 0; shift -= 8) {
			buf_putc(out, (char)((uint64_t)n >> shift));
		}
	}
	if (masked) {
		buf_append(out, mask, 4);
	}
	for (size_t i = 0; i < n; i++) {
		buf_putc(out, (char)(s->payload.p[i] ^ (masked ? mask[i % 4] : 0)));
	}
}

#define MESSAGE_MAX ((size_t)1 << 20)

static void set_up(struct fixture *f, enum ws_role role, size_t piece)
{
	const struct ws_options o = {.message_max = MESSAGE_MAX};
	int fds[2];

	*f = (struct fixture){.role = role, .piece = piece};
	f->loop = loop_new(0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	f->peer = stream_new(f->loop, fds[0], &peer_events, f);
	f->session = ws_start(stream_new(f->loop, fds[1], NULL, NULL), role, &o, &session_events, f,
			      STR_NULL);
	timer_start(f->loop, &f->guard, 10000, on_guard);
	loop_next_turn(f->loop, &f->more, on_more);
}

static void tear_down(struct fixture *f)
{
	if (!f->ended) {
		ws_abort(f->session);
	}
	if (!f->peer_gone) {
		stream_abort(f->peer);
	}
	later_cancel(&f->more);
	later_cancel(&f->last);
	timer_stop(f->loop, &f->guard);
	timer_stop(f->loop, &f->timer);
	loop_free(&f->loop);
	buf_free(&f->input);
	buf_free(&f->events);
	buf_free(&f->replies);
}

static void expect(struct fixture *f, const char *name, const char *events, const char *replies)
{
	buf_putc(&f->events, 0);
	buf_putc(&f->replies, 0);
	if (strcmp(buf_head(&f->events), events) != 0 ||
	    strcmp(buf_head(&f->replies), replies) != 0) {
		fail_msg("%s (role %d, pieces of %zu): %s, replies %s", name, f->role, f->piece,
			 buf_head(&f->events), buf_head(&f->replies));
	}
}

static void run_case(const struct wanted *c, enum ws_role role, size_t piece)
{
	struct fixture f;

	set_up(&f, role, piece);
	f.breaks_off = true;
	for (size_t i = 0; i < ARRAY_LEN(c->frames); i++) {
		if (c->frames[i].first || c->frames[i].payload.p) {
			put_frame(&f.input, role, &c->frames[i]);
		}
	}
	loop_run(f.loop);
	expect(&f, c->name, c->events, c->replies);
	tear_down(&f);
}

static void run_cases(const struct wanted *cases, size_t n)
{
	static const size_t pieces[] = {0, 1, 2, 3, 7};

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
			run_case(&cases[i], WS_SERVER, pieces[k]);
			run_case(&cases[i], WS_CLIENT, pieces[k]);
		}
	}
}

#define S(lit) STR_INIT(lit)
#define HUNDRED                                                                                    \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567" \
	"890123456789"
#define P125 HUNDRED "0123456789012345678901234"

/* Sections as in the Autobahn test suite. */
static const struct wanted framing[] = {
	{"1.1.1", {{0x81, S("")}}, "T: close:1006", ""},
	{"1.1.2", {{0x81, S(P125)}}, "T:" P125 " close:1006", ""},
	{"1.1.3", {{0x81, S(P125 "5")}}, "T:" P125 "5 close:1006", ""},
	{"1.2.1", {{0x82, S("")}}, "B: close:1006", ""},
	{"1.2.4", {{0x82, S(P125 "56")}}, "B:" P125 "56 close:1006", ""},
	{"2.1", {{0x89, S("")}}, "close:1006", "a: "},
	{"2.2", {{0x89, S("ping")}}, "close:1006", "a:ping "},
	{"2.4", {{0x89, S(P125)}}, "close:1006", "a:" P125 " "},
	{"2.5", {{0x89, S(P125 "5")}}, "close:1002", "8:1002 "},
	{"2.7", {{0x8a, S("unasked")}}, "close:1006", ""},
	{"2.9", {{0x8a, S("x")}, {0x89, S("y")}}, "close:1006", "a:y "},
	{"2.10", {{0x89, S("1")}, {0x89, S("2")}, {0x89, S("3")}}, "close:1006", "a:1 a:2 a:3 "},
	{"3.1", {{0xc1, S("x")}}, "close:1002", "8:1002 "},
	{"3.2", {{0x81, S("x")}, {0xa1, S("y")}, {0x89, S("")}}, "T:x close:1002", "8:1002 "},
	{"3.4", {{0x81, S("x")}, {0xf1, S("y")}}, "T:x close:1002", "8:1002 "},
	{"3.5", {{0xc2, S("x")}}, "close:1002", "8:1002 "},
	{"3.6", {{0xd9, S("x")}}, "close:1002", "8:1002 "},
	{"3.7", {{0xe8, S("")}}, "close:1002", "8:1002 "},
	{"4.1.1", {{0x83, S("")}}, "close:1002", "8:1002 "},
	{"4.1.5", {{0x81, S("x")}, {0x87, S("y")}}, "T:x close:1002", "8:1002 "},
	{"4.2.1", {{0x8b, S("")}}, "close:1002", "8:1002 "},
	{"4.2.5", {{0x81, S("x")}, {0x8f, S("y")}}, "T:x close:1002", "8:1002 "},
};

static void test_framing(void **state)
{
	(void)state;
	run_cases(framing, ARRAY_LEN(framing));
}

static const struct wanted fragments[] = {
	{"5.1", {{0x09, S("x")}, {0x80, S("y")}}, "close:1002", "8:1002 "},
	{"5.2", {{0x0a, S("x")}, {0x80, S("y")}}, "close:1002", "8:1002 "},
	{"5.3", {{0x01, S("frag")}, {0x80, S("ment")}}, "T:fragment close:1006", ""},
	{"5.6",
	 {{0x01, S("frag")}, {0x89, S("ping")}, {0x80, S("ment")}},
	 "T:fragment close:1006",
	 "a:ping "},
	{"5.9", {{0x80, S("x")}, {0x81, S("y")}}, "close:1002", "8:1002 "},
	{"5.12", {{0x00, S("x")}, {0x81, S("y")}}, "close:1002", "8:1002 "},
	{"5.15",
	 {{0x01, S("a")}, {0x80, S("b")}, {0x00, S("c")}, {0x81, S("d")}},
	 "T:ab close:1002",
	 "8:1002 "},
	{"5.18", {{0x01, S("a")}, {0x81, S("b")}}, "close:1002", "8:1002 "},
	{"5.18 binary", {{0x02, S("a")}, {0x02, S("b")}}, "close:1002", "8:1002 "},
	{"5.19",
	 {{0x01, S("a")},
	  {0x00, S("b")},
	  {0x89, S("1")},
	  {0x00, S("c")},
	  {0x89, S("2")},
	  {0x80, S("d")}},
	 "T:abcd close:1006",
	 "a:1 a:2 "},
	{"empty ones",
	 {{0x01, S("")}, {0x00, S("")}, {0x80, S("")}, {0x02, S("")}, {0x80, S("x")}},
	 "T: B:x close:1006",
	 ""},
	{"pong inside", {{0x02, S("a")}, {0x8a, S("")}, {0x80, S("b")}}, "B:ab close:1006", ""},
	{"close inside", {{0x01, S("a")}, {0x88, S("\x03\xe8")}}, "close:1000", "8:1000 "},
};

static void test_fragments(void **state)
{
	(void)state;
	run_cases(fragments, ARRAY_LEN(fragments));
}

#define KOSME "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"

static const struct wanted texts[] = {
	{"6.2.1", {{0x81, S(KOSME)}}, "T:" KOSME " close:1006", ""},
	{"6.2.4", {{0x01, S("\xce")}, {0x80, S("\xba")}}, "T:\xce\xba close:1006", ""},
	{"split of 4",
	 {{0x01, S("\xf0")}, {0x00, S("\x9f\x98")}, {0x80, S("\x80")}},
	 "T:\xf0\x9f\x98\x80 close:1006",
	 ""},
	{"6.3.1",
	 {{0x81, S(KOSME "\xed\xa0\x80"
			 "edited")}},
	 "close:1007",
	 "8:1007 "},
	{"6.3.2",
	 {{0x01, S(KOSME)}, {0x00, S("\xed\xa0")}, {0x80, S("\x80")}},
	 "close:1007",
	 "8:1007 "},
	{"6.6.1", {{0x81, S("\xce")}}, "close:1007", "8:1007 "},
	{"6.6.3", {{0x81, S("\xce\xba\xe1")}}, "close:1007", "8:1007 "},
	{"cut at the end", {{0x01, S("a")}, {0x80, S("\xe1\xbd")}}, "close:1007", "8:1007 "},
	{"6.10 beyond", {{0x81, S("\xf4\x90\x80\x80")}}, "close:1007", "8:1007 "},
	{"6.12 lone", {{0x81, S("\x80")}}, "close:1007", "8:1007 "},
	{"6.14 cut", {{0x81, S("\xf0\x80\x80")}}, "close:1007", "8:1007 "},
	{"6.17 overlong", {{0x81, S("\xc0\xaf")}}, "close:1007", "8:1007 "},
	{"6.18 overlong", {{0x81, S("\xe0\x80\xaf")}}, "close:1007", "8:1007 "},
	{"6.20 surrogate", {{0x81, S("\xed\xbf\xbf")}}, "close:1007", "8:1007 "},
	{"binary may be anything", {{0x82, S("\xff\xfe")}}, "B:\xff\xfe close:1006", ""},
	{"6.4.1 at once", {{0x01, S("\xc0\xaf")}, {0x00, S("x")}}, "close:1007", "8:1007 "},
};

static void test_utf8(void **state)
{
	(void)state;
	run_cases(texts, ARRAY_LEN(texts));
}

static const struct wanted closes[] = {
	{"7.1.1", {{0x81, S("x")}, {0x88, S("\x03\xe8")}}, "T:x close:1000", "8:1000 "},
	{"7.1.2", {{0x88, S("\x03\xe8")}, {0x88, S("\x03\xe8")}}, "close:1000", "8:1000 "},
	{"7.1.3", {{0x88, S("\x03\xe8")}, {0x89, S("x")}}, "close:1000", "8:1000 "},
	{"7.1.4", {{0x88, S("\x03\xe8")}, {0x81, S("x")}}, "close:1000", "8:1000 "},
	{"7.3.1", {{0x88, S("")}}, "close:1005", "8: "},
	{"7.3.2", {{0x88, S("\x03")}}, "close:1002", "8:1002 "},
	{"7.3.3", {{0x88, S("\x03\xe8")}}, "close:1000", "8:1000 "},
	{"7.3.4", {{0x88, S("\x03\xe8 why")}}, "close:1000 why", "8:1000 "},
	{"7.3.6", {{0x88, S("\x03\xe8" P125)}}, "close:1002", "8:1002 "},
	{"7.5.1", {{0x88, S("\x03\xe8\xed\xa0\x80")}}, "close:1007", "8:1007 "},
	{"7.7.2", {{0x88, S("\x03\xe9")}}, "close:1001", "8:1001 "},
	{"7.7.9", {{0x88, S("\x03\xf3")}}, "close:1011", "8:1011 "},
	{"7.7.11", {{0x88, S("\x0b\xb8")}}, "close:3000", "8:3000 "},
	{"7.7.13", {{0x88, S("\x13\x87")}}, "close:4999", "8:4999 "},
	{"7.9.1", {{0x88, S("\0\0")}}, "close:1002", "8:1002 "},
	{"7.9.2", {{0x88, S("\x03\xe7")}}, "close:1002", "8:1002 "},
	{"7.9.3", {{0x88, S("\x03\xec")}}, "close:1002", "8:1002 "},
	{"7.9.4", {{0x88, S("\x03\xed")}}, "close:1002", "8:1002 "},
	{"7.9.5", {{0x88, S("\x03\xee")}}, "close:1002", "8:1002 "},
	{"7.9.10", {{0x88, S("\x07\xd0")}}, "close:1002", "8:1002 "},
	{"7.13.1", {{0x88, S("\x13\x88")}}, "close:1002", "8:1002 "},
};

static void test_closes(void **state)
{
	(void)state;
	run_cases(closes, ARRAY_LEN(closes));
}

/* ---- masks, sizes ---- */

static void test_masks(void **state)
{
	static const struct sent hello = {0x81, S("hello")};

	(void)state;
	for (enum ws_role role = WS_SERVER; role <= WS_CLIENT; role++) {
		struct fixture f;

		set_up(&f, role, 0);
		put_frame(&f.input, role == WS_SERVER ? WS_CLIENT : WS_SERVER, &hello);
		loop_run(f.loop);
		expect(&f, "the wrong mask", "close:1002", "8:1002 ");
		tear_down(&f);
	}
}

static void test_large(void **state)
{
	static const size_t sizes[] = {65535, 65536, 200000, MESSAGE_MAX};
	char *p = mem_zalloc(MESSAGE_MAX + 1);
	char want[64];

	(void)state;
	memset(p, '*', MESSAGE_MAX + 1);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		const struct wanted whole = {"9.1", {{0x81, {p, sizes[i]}}}, want, ""};
		const struct wanted cut = {
			"9.3",
			{{0x02, {p, sizes[i] / 2}}, {0x80, {p, sizes[i] - sizes[i] / 2}}},
			want,
			""};

		(void)snprintf(want, sizeof(want), "T:%zu bytes close:1006", sizes[i]);
		run_case(&whole, WS_SERVER, 0);
		run_case(&whole, WS_CLIENT, 50000);
		want[0] = 'B';
		run_case(&cut, WS_SERVER, 0);
		run_case(&cut, WS_CLIENT, 50001);
	}
	const struct wanted too_big[] = {
		{"one", {{0x81, {p, MESSAGE_MAX + 1}}}, "close:1009", "8:1009 "},
		{"two", {{0x02, {p, MESSAGE_MAX}}, {0x80, {p, 1}}}, "close:1009", "8:1009 "},
	};

	run_case(&too_big[0], WS_SERVER, 0);
	run_case(&too_big[1], WS_SERVER, 0);
	mem_free(p);
}

/* A head alone must not make room for what it announces. */
static void test_announced_size(void **state)
{
	static const char head[] = "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"
				   "mask";
	struct fixture f;

	(void)state;
	set_up(&f, WS_SERVER, 1);
	buf_append(&f.input, head, sizeof(head) - 1);
	loop_run(f.loop);
	expect(&f, "announced", "close:1009", "8:1009 ");
	tear_down(&f);
}

/* ---- what a handler may do ---- */

static void abort_it(struct fixture *f)
{
	ws_abort(f->session);
	ws_abort(f->session);
	f->ended = true;
	stop_when_over(f);
}

static void close_it(struct fixture *f)
{
	ws_close(f->session, 4000, STR("enough"));
	ws_close(f->session, 4001, STR("again"));
	ws_send(f->session, WS_TEXT, STR("nothing follows a Close"));
}

static void on_resume(struct timer *t)
{
	struct fixture *f = container_of(t, struct fixture, timer);

	assert_str(buf_str(&f->events), STR("T:one "));
	f->on_message = NULL;
	ws_resume_read(f->session);
}

static void pause_it(struct fixture *f)
{
	ws_pause_read(f->session);
	timer_start(f->loop, &f->timer, 20, on_resume);
}

static void test_in_callback(void **state)
{
	static const struct sent frames[] = {
		{0x81, S("one")}, {0x01, S("t")}, {0x80, S("wo")}, {0x88, S("\x03\xe8")}};
	const struct {
		void (*fn)(struct fixture *f);
		const char *events, *replies;
	} cases[] = {
		{abort_it, "T:one ", ""},
		{close_it, "T:one close:1000", "8:4000 "},
		{pause_it, "T:one T:two close:1000", "8:1000 "},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t piece = 0; piece < 4; piece++) {
			struct fixture f;

			set_up(&f, WS_SERVER, piece);
			f.on_message = cases[i].fn;
			for (size_t k = 0; k < ARRAY_LEN(frames); k++) {
				put_frame(&f.input, WS_SERVER, &frames[k]);
			}
			loop_run(f.loop);
			expect(&f, "in callback", cases[i].events, cases[i].replies);
			tear_down(&f);
		}
	}
}

static void send_both_ways(struct fixture *f)
{
	size_t mark;
	struct buf *out = ws_send_begin(f->session, &mark);

	buf_puts(out, "built in place");
	ws_send_end(f->session, mark, WS_TEXT);
	ws_send(f->session, WS_BINARY, STR("copied"));
	f->on_message = NULL;
}

static void test_send(void **state)
{
	static const struct sent frames[] = {{0x81, S("go")}, {0x88, S("\x03\xe8")}};

	(void)state;
	for (enum ws_role role = WS_SERVER; role <= WS_CLIENT; role++) {
		struct fixture f;

		set_up(&f, role, 1);
		f.on_message = send_both_ways;
		put_frame(&f.input, role, &frames[0]);
		put_frame(&f.input, role, &frames[1]);
		loop_run(f.loop);
		expect(&f, "send", "T:go close:1000", "1:built in place 2:copied 8:1000 ");
		tear_down(&f);
	}
}

/* ---- early bytes, moving ---- */

static void start_early(struct fixture *f, const struct sent *frame)
{
	const struct ws_options o = {.message_max = MESSAGE_MAX};
	struct buf early = {0};
	int fds[2];

	set_up(f, WS_SERVER, 0);
	put_frame(&early, WS_SERVER, frame);
	put_frame(&early, WS_SERVER, frame);
	/* Another pair: this session begins with bytes at hand, the last one missing. */
	ws_abort(f->session);
	stream_abort(f->peer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	f->peer = stream_new(f->loop, fds[0], &peer_events, f);
	f->breaks_off = true;
	f->session = ws_start(stream_new(f->loop, fds[1], NULL, NULL), WS_SERVER, &o,
			      &session_events, f, str_of(early.p, early.n - 1));
	buf_putc(&f->input, early.p[early.n - 1]);
	buf_free(&early);
}

static void test_early(void **state)
{
	static const struct sent one = {0x81, S("one")};
	struct fixture f;

	(void)state;
	start_early(&f, &one);
	assert_int_equal(f.events.n, 0);
	loop_run(f.loop);
	expect(&f, "early", "T:one T:one close:1006", "");
	tear_down(&f);
	start_early(&f, &one);
	f.on_message = pause_it;
	loop_run(f.loop);
	expect(&f, "early, paused", "T:one T:one close:1006", "");
	tear_down(&f);
	start_early(&f, &one); /* never shown */
	tear_down(&f);
}

static void test_detach(void **state)
{
	static const struct sent one = {0x81, S("one")};
	struct fixture f;

	(void)state;
	start_early(&f, &one);
	ws_detach(f.session);
	assert_null(ws_loop(f.session));
	ws_attach(f.session, f.loop);
	loop_run(f.loop);
	expect(&f, "moved", "T:one T:one close:1006", "");
	tear_down(&f);
	set_up(&f, WS_SERVER, 0);
	ws_detach(f.session);
	ws_abort(f.session); /* lost on the way */
	f.ended = true;
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_framing),	       cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_utf8),	       cmocka_unit_test(test_closes),
		cmocka_unit_test(test_masks),	       cmocka_unit_test(test_large),
		cmocka_unit_test(test_announced_size), cmocka_unit_test(test_in_callback),
		cmocka_unit_test(test_send),	       cmocka_unit_test(test_early),
		cmocka_unit_test(test_detach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
