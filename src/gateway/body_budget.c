#include "gateway/body_budget.h"

/* Small against the whole, since what one loop has to spare the others miss. */
enum { STEP_MAX = 256 << 10, STEPS_OF_A_SHARE = 16 };

void body_budget_init(struct body_budget *b, size_t max, unsigned n_shares)
{
	b->step = MIN((size_t)STEP_MAX, max / n_shares / STEPS_OF_A_SHARE);
	atomic_store_explicit(&b->left, max, memory_order_relaxed);
}

static bool draw(struct body_share *s, size_t n)
{
	_Atomic size_t *left = &s->of->left;
	size_t was = atomic_load_explicit(left, memory_order_relaxed);

	do {
		if (was < n) {
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(left, &was, was - n, memory_order_relaxed,
							memory_order_relaxed));
	s->spare += n;
	return true;
}

/* No atomic addition: nobody else writes. */
static void count(_Atomic uint64_t *v, uint64_t by)
{
	atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + by,
			      memory_order_relaxed);
}

bool body_share_take(struct body_share *s, size_t n)
{
	if (s->spare < n && !draw(s, n - s->spare + s->of->step) && !draw(s, n - s->spare)) {
		count(&s->refused, 1);
		return false;
	}
	s->spare -= n;
	count(&s->held, n);
	return true;
}

void body_share_give(struct body_share *s, size_t n)
{
	size_t keep = s->of->step;

	s->spare += n;
	count(&s->held, -(uint64_t)n);
	if (s->spare > 2 * keep) {
		atomic_fetch_add_explicit(&s->of->left, s->spare - keep, memory_order_relaxed);
		s->spare = keep;
	}
}

void body_share_stats_add(const struct body_share *s, struct body_share_stats *sum)
{
	sum->held += atomic_load_explicit(&s->held, memory_order_relaxed);
	sum->refused += atomic_load_explicit(&s->refused, memory_order_relaxed);
}
