/*
 * watch - learns cheaply whether somebody may have committed
 *
 * For who would otherwise ask the database again and again. On SQLite it looks at the files, whose
 * size and time every commit changes. On PostgreSQL a connection of its own listens on a channel,
 * into which writers notify; while it cannot, nothing is quiet, and it connects anew with back-off.
 *
 * Threads    start, stop: the main thread, while the loop and the workers run. Quiet and
 *            `on_news`: the loop. Connecting blocks a worker, waiting nobody.
 * Failure    none is told: what cannot be watched is not quiet, so its owner asks.
 */
#pragma once
#include "loop/job.h"
#include "store/store.h"

struct db_watch;

struct db_watch_deps {
	struct db_pool *database;
	struct loop *loop;
	struct pool *workers; /* one connects, when there is something to connect to */
	const char *channel;  /* of NOTIFY: a plain identifier */
	/* Somebody has committed, or may have while the connection was away. May be NULL. */
	void (*on_news)(void *arg);
	void *arg;
};

struct db_watch *db_watch_start(const struct db_watch_deps *deps);
/* Waits for a connection that is being made. NULL-safe, sets *w to NULL. */
void db_watch_stop(struct db_watch **w);
/* Whether nothing was committed since the last call, as far as can be told: false in doubt. */
bool db_watch_is_quiet(struct db_watch *w);
