#include "app/sessions.h"

#include "base/log.h"

/* There are as many sessions as workers, so one is always free. */
#define GET_WAIT_MS 60000

static void *session_init(void *arg)
{
	struct fault f = {0};
	struct db *db = NULL;

	if (db_get(arg, GET_WAIT_MS, &db, &f) != ERR_OK) {
		log_error("store", "a worker has no database session", LOG_FAULT(&f));
	}
	return db;
}

static void session_fini(void *worker)
{
	struct db *db = worker;

	db_put(&db);
}

struct pool_ops sessions_pool_ops(struct db_pool *pool)
{
	return (struct pool_ops){session_init, session_fini, pool};
}

static void task_begin(struct task *t, void *worker)
{
	t->db = worker;
	db_begin_task(t->db, &(struct db_task){
				     .arena = &t->arena,
				     .deadline_mono_ms = t->deadline_ms,
				     .canceled = t->canceled,
				     .fault = &t->fault,
			     });
}

static void task_end(struct task *t, void *worker)
{
	(void)worker;
	db_end_task(t->db);
}

static bool task_may_retry(struct task *t, enum err e)
{
	return e == ERR_CONFLICT && db_is_transient(t->db);
}

const struct rest_worker_ops sessions_rest_ops = {task_begin, task_end, task_may_retry};
