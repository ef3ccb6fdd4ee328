/*
 * A connection that listens.
 *
 *	AWAY ──timer──► CONNECTING ──a worker made it──► LISTENING
 *	  ▲                  │ failed                        │ the connection broke
 *	  └──────────────────┴───────────────────────────────┘
 *
 * Connecting blocks, so a worker does it and gives the connection to the loop, which reads what
 * the server sends. Keep-alive of TCP (pgsql_conn.c) finds a server that is gone without a word.
 */
#include "store/pgsql/pgsql_int.h"
#include "store/watch_int.h"

#include "base/log.h"
#include "base/mem.h"
#include "loop/run_guard.h"

#include <poll.h>
#include <stdio.h>

enum { RETRY_MIN_MS = 500, RETRY_MAX_MS = 30000, CHANNEL_MAX = 64 };
/* A pooler of connections between us and the server may swallow what is told. */
enum { TRUST_MS = 5000 };

enum watch_state { WATCH_AWAY, WATCH_CONNECTING, WATCH_LISTENING };

struct pgsql_watch {
	struct db_watch *watch;
	/* the loop's */
	enum watch_state state;
	struct timer timer;
	struct io io;
	PGconn *h; /* the worker's while CONNECTING */
	uint64_t retry_ms;
	uint64_t trusted_until_ms;
	bool news;	 /* since is_quiet was asked last */
	bool is_failing; /* was told */
	struct job job;
	struct run_guard guard;
};

static void on_due(struct timer *t);

static void leave(struct pgsql_watch *p)
{
	struct loop *l = p->watch->deps.loop;

	if (p->state == WATCH_LISTENING) {
		io_remove(l, &p->io);
	}
	PQfinish(p->h);
	p->h = NULL;
	p->state = WATCH_AWAY;
}

static void retry(struct pgsql_watch *p)
{
	if (!p->is_failing) {
		log_warn("store", "cannot listen for changes; they are looked for instead");
		p->is_failing = true;
	}
	leave(p);
	timer_start(p->watch->deps.loop, &p->timer, p->retry_ms, on_due);
	p->retry_ms = MIN(p->retry_ms * 2, RETRY_MAX_MS);
}

static void tell(struct pgsql_watch *p)
{
	p->news = true;
	if (p->watch->deps.on_news) {
		p->watch->deps.on_news(p->watch->deps.arg);
	}
}

/* ---- listening ---- */

/* Readiness is told once, so all that is there is read. False: the connection broke. */
static bool read_all(struct pgsql_watch *p)
{
	struct pollfd fd = {.fd = PQsocket(p->h), .events = POLLIN};

	do {
		if (!PQconsumeInput(p->h)) {
			return false;
		}
	} while (poll(&fd, 1, 0) > 0);
	return PQstatus(p->h) == CONNECTION_OK;
}

static bool take_notes(struct pgsql_watch *p)
{
	bool any = false;

	for (PGnotify *n = PQnotifies(p->h); n; n = PQnotifies(p->h)) {
		any = true;
		PQfreemem(n);
	}
	return any;
}

static void on_ready(struct io *io, unsigned events)
{
	struct pgsql_watch *p = container_of(io, struct pgsql_watch, io);
	bool alive = read_all(p);
	bool any = take_notes(p);

	(void)events;
	if (!alive) {
		retry(p);
	}
	if (any) {
		tell(p);
	}
}

/* ---- connecting ---- */

/* On a worker: bounded as any connection of the pool is. */
static void run_connect(struct job *j, void *worker)
{
	struct pgsql_watch *p = container_of(j, struct pgsql_watch, job);
	const struct db_pool *pool = p->watch->deps.database;
	const struct pgsql_source *src = pool->source;
	char sql[CHANNEL_MAX];

	(void)worker;
	snprintf(sql, sizeof(sql), "LISTEN %s", p->watch->deps.channel);
	p->h = PQconnectdbParams(src->keys, (const char *const *)src->values, 0);
	if (PQstatus(p->h) != CONNECTION_OK) {
		return;
	}
	if (PQsetnonblocking(p->h, 1) != 0 || !pgsql_command(p->h, sql, pool->connect_timeout_ms)) {
		PQfinish(p->h);
		p->h = NULL;
	}
}

static void on_connected(struct job *j)
{
	struct pgsql_watch *p = container_of(j, struct pgsql_watch, job);
	bool ok = p->h && PQstatus(p->h) == CONNECTION_OK;

	if (run_guard_is_closing(&p->guard)) {
		leave(p);
	} else if (!ok || io_add(p->watch->deps.loop, &p->io, PQsocket(p->h), on_ready) != ERR_OK) {
		retry(p);
	} else {
		p->state = WATCH_LISTENING;
		p->retry_ms = RETRY_MIN_MS;
		p->is_failing = false;
		tell(p); /* nobody told what was committed before */
	}
	run_guard_end(&p->guard); /* last: pgsql_watch_stop may free now */
}

static void on_due(struct timer *t)
{
	struct pgsql_watch *p = container_of(t, struct pgsql_watch, timer);

	if (!run_guard_begin(&p->guard)) {
		return;
	}
	p->state = WATCH_CONNECTING;
	p->job =
		(struct job){.run = run_connect, .done = on_connected, .home = p->watch->deps.loop};
	if (pool_submit(p->watch->deps.workers, &p->job) != ERR_OK) {
		on_connected(&p->job);
	}
}

/* ---- life ---- */

bool pgsql_watch_is_quiet(struct db_watch *w)
{
	struct pgsql_watch *p = w->engine;
	uint64_t now = loop_now_ms(w->deps.loop);
	bool quiet = p->state == WATCH_LISTENING && !p->news && now < p->trusted_until_ms;

	p->news = false;
	if (!quiet) {
		p->trusted_until_ms = now + TRUST_MS;
	}
	return quiet;
}

static void start_on_loop(struct loop *l, void *arg)
{
	struct pgsql_watch *p = arg;

	timer_start(l, &p->timer, 0, on_due);
}

static void stop_on_loop(struct loop *l, void *arg)
{
	struct pgsql_watch *p = arg;

	timer_stop(l, &p->timer);
	leave(p);
}

void pgsql_watch_start(struct db_watch *w)
{
	struct pgsql_watch *p = MEM_NEW(struct pgsql_watch);

	p->watch = w;
	p->io.fd = -1;
	p->retry_ms = RETRY_MIN_MS;
	run_guard_init(&p->guard);
	w->engine = p;
	loop_call(w->deps.loop, start_on_loop, p);
}

void pgsql_watch_stop(struct db_watch *w)
{
	struct pgsql_watch *p = w->engine;

	run_guard_close(&p->guard);
	loop_call(w->deps.loop, stop_on_loop, p);
	run_guard_fini(&p->guard);
	mem_free(p);
}
