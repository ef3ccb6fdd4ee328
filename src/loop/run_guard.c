#include "loop/run_guard.h"

void run_guard_init(struct run_guard *g)
{
	*g = (struct run_guard){0};
	(void)pthread_mutex_init(&g->mtx, NULL);
	(void)pthread_cond_init(&g->cond, NULL);
}

void run_guard_fini(struct run_guard *g)
{
	(void)pthread_mutex_destroy(&g->mtx);
	(void)pthread_cond_destroy(&g->cond);
}

bool run_guard_begin(struct run_guard *g)
{
	bool may;

	(void)pthread_mutex_lock(&g->mtx);
	may = !g->closing;
	g->running = may;
	(void)pthread_mutex_unlock(&g->mtx);
	return may;
}

void run_guard_end(struct run_guard *g)
{
	(void)pthread_mutex_lock(&g->mtx);
	g->running = false;
	(void)pthread_cond_broadcast(&g->cond);
	(void)pthread_mutex_unlock(&g->mtx);
}

bool run_guard_is_closing(struct run_guard *g)
{
	bool closing;

	(void)pthread_mutex_lock(&g->mtx);
	closing = g->closing;
	(void)pthread_mutex_unlock(&g->mtx);
	return closing;
}

void run_guard_close(struct run_guard *g)
{
	(void)pthread_mutex_lock(&g->mtx);
	g->closing = true;
	while (g->running) {
		(void)pthread_cond_wait(&g->cond, &g->mtx);
	}
	(void)pthread_mutex_unlock(&g->mtx);
}
