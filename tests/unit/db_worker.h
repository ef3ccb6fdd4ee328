/*
 * db_worker - a worker with a database session, as the server has them
 *
 *	struct pool_ops ops = {db_worker_init, db_worker_fini, db_pool};
 *	…  .worker_ops = &db_worker_ops
 */
#pragma once
#include "http/rest.h"
#include "store/store.h"
#include "unit.h"

/* `arg` is the pool of sessions. */
static inline void *db_worker_init(void *arg)
{
	struct db *db = NULL;

	assert_ok(db_get(arg, 5000, &db, NULL));
	return db;
}

static inline void db_worker_fini(void *worker)
{
	struct db *db = worker;

	db_put(&db);
}

static inline void db_worker_begin(struct task *t, void *worker)
{
	t->db = worker;
	db_begin_task(t->db, &(struct db_task){.arena = &t->arena, .fault = &t->fault});
}

static inline void db_worker_end(struct task *t, void *worker UNUSED)
{
	db_end_task(t->db);
}

static inline bool db_worker_may_retry(struct task *t, enum err e)
{
	return e == ERR_CONFLICT && db_is_transient(t->db);
}

static const struct rest_worker_ops db_worker_ops UNUSED = {db_worker_begin, db_worker_end,
							    db_worker_may_retry};
