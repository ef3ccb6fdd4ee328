#include "loop/job.h"

#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdio.h>

struct pool {
	/* constant after pool_new */
	char name[16];
	unsigned threads_n, writers_max, queue_max;
	struct pool_ops ops;
	pthread_t *threads;
	/* guarded by mtx */
	pthread_mutex_t mtx;
	pthread_cond_t cond;
	struct list queue;
	struct list held; /* write; came to the head of the queue while writers_max ran */
	unsigned queued, busy, writers;
	uint64_t done, refused;
	bool stopping;
};

static void job_home(struct msg *m, struct loop *l)
{
	struct job *j = container_of(m, struct job, msg);

	(void)l;
	j->done(j);
}

static void job_drop(struct msg *m)
{
	struct job *j = container_of(m, struct job, msg);

	atomic_store(&j->canceled, true);
	j->done(j);
}

static void job_finish(struct job *j)
{
	if (j->home) {
		loop_post(j->home, &j->msg);
	} else {
		j->done(j);
	}
}

/* The oldest that may run. What is held is older than all that write in the queue. */
static struct job *pop(struct pool *p)
{
	bool may_write = p->writers < p->writers_max;

	for (;;) {
		struct list *from = may_write && !list_is_empty(&p->held) ? &p->held : &p->queue;
		struct list_node *n = list_pop(from);
		struct job *j = n ? container_of(n, struct job, node) : NULL;

		if (!j || !j->writes || may_write) {
			return j;
		}
		list_push(&p->held, n);
	}
}

/* NULL at the end. What is held then runs on those threads that write. */
static struct job *next_job(struct pool *p)
{
	struct job *j;

	(void)pthread_mutex_lock(&p->mtx);
	while (!(j = pop(p)) && !p->stopping) {
		(void)pthread_cond_wait(&p->cond, &p->mtx);
	}
	if (j) {
		p->queued--;
		p->busy++;
		p->writers += j->writes;
	}
	(void)pthread_mutex_unlock(&p->mtx);
	return j;
}

static void job_over(struct pool *p, const struct job *j)
{
	(void)pthread_mutex_lock(&p->mtx);
	p->busy--;
	p->writers -= j->writes;
	p->done++;
	(void)pthread_mutex_unlock(&p->mtx);
}

static void *worker_thread(void *arg)
{
	struct pool *p = arg;
	void *worker = p->ops.init ? p->ops.init(p->ops.arg) : NULL;
	struct job *j;

	(void)pthread_setname_np(pthread_self(), p->name);
	while ((j = next_job(p))) {
		j->expired = j->deadline_ms != 0 && clock_mono_ms() >= j->deadline_ms;
		if (!j->expired && !atomic_load(&j->canceled)) {
			j->run(j, worker);
		}
		job_over(p, j);
		job_finish(j);
	}
	if (p->ops.fini) {
		p->ops.fini(worker);
	}
	return NULL;
}

struct pool *pool_new(const char *name, unsigned threads, unsigned queue_max,
		      const struct pool_ops *ops)
{
	struct pool *p = MEM_NEW(struct pool);

	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	p->queue_max = queue_max;
	p->ops = ops ? *ops : (struct pool_ops){0};
	p->writers_max = MAX(threads / 2, 1);
	list_init(&p->queue);
	list_init(&p->held);
	(void)pthread_mutex_init(&p->mtx, NULL);
	(void)pthread_cond_init(&p->cond, NULL);
	p->threads = MEM_NEW_ARRAY(pthread_t, threads);
	for (unsigned i = 0; i < threads; i++) {
		ASSERT(pthread_create(&p->threads[i], NULL, worker_thread, p) == 0);
		p->threads_n++;
	}
	return p;
}

void pool_free(struct pool **pp)
{
	struct pool *p = *pp;

	if (!p) {
		return;
	}
	*pp = NULL;
	(void)pthread_mutex_lock(&p->mtx);
	p->stopping = true;
	(void)pthread_cond_broadcast(&p->cond);
	(void)pthread_mutex_unlock(&p->mtx);
	for (unsigned i = 0; i < p->threads_n; i++) {
		(void)pthread_join(p->threads[i], NULL);
	}
	(void)pthread_mutex_destroy(&p->mtx);
	(void)pthread_cond_destroy(&p->cond);
	mem_free(p->threads);
	mem_free(p);
}

enum err pool_submit(struct pool *p, struct job *j)
{
	enum err e = ERR_OK;

	j->msg = (struct msg){.run = job_home, .drop = job_drop};
	j->expired = false;
	(void)pthread_mutex_lock(&p->mtx);
	if (p->queued >= p->queue_max || p->stopping) {
		p->refused++;
		e = ERR_UNAVAILABLE;
	} else {
		p->queued++;
		list_push(&p->queue, &j->node);
		(void)pthread_cond_signal(&p->cond);
	}
	(void)pthread_mutex_unlock(&p->mtx);
	return e;
}

void pool_stats(struct pool *p, struct pool_stats *out)
{
	(void)pthread_mutex_lock(&p->mtx);
	*out = (struct pool_stats){
		.threads = p->threads_n,
		.busy = p->busy,
		.queued = p->queued,
		.queue_max = p->queue_max,
		.done = p->done,
		.refused = p->refused,
	};
	(void)pthread_mutex_unlock(&p->mtx);
}
