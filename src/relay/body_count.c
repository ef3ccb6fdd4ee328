#include "relay/body_count.h"

#include "base/mem.h"

struct body_count {
	atomic_uint refs;
	uint64_t bytes;
};

/* What a stream has yet to send may go with it to another loop: here two may write at a time. */
static void count(struct relay_loop *rl, uint64_t by)
{
	atomic_fetch_add_explicit(&rl->counters[COUNT_BODY_BYTES], by, memory_order_relaxed);
}

void body_count_add(struct body_count **c, struct relay_loop *rl, uint64_t bytes)
{
	if (!*c) {
		*c = MEM_NEW(struct body_count);
		atomic_init(&(*c)->refs, 1);
	}
	(*c)->bytes += bytes;
	count(rl, bytes);
}

uint64_t body_count_bytes(const struct body_count *c)
{
	return c ? c->bytes : 0;
}

struct body_count *body_count_ref(struct body_count *c)
{
	if (c) {
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	}
	return c;
}

void body_count_unref(struct body_count **c, struct relay_loop *rl)
{
	struct body_count *it = *c;

	*c = NULL;
	if (it && atomic_fetch_sub_explicit(&it->refs, 1, memory_order_acq_rel) == 1) {
		count(rl, -it->bytes);
		mem_free(it);
	}
}
