/*
 * sessions - a database session for each worker, lent to one task at a time
 */
#pragma once
#include "http/rest.h"
#include "loop/job.h"
#include "store/store.h"

/* The worker's value is its struct db *; `arg` of the pool_ops is the db_pool. */
struct pool_ops sessions_pool_ops(struct db_pool *pool);

/* Begins the session's task with the arena, deadline and fault of the REST task. */
extern const struct rest_worker_ops sessions_rest_ops;
