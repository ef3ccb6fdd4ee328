#include "relay/upload_watch.h"

#include "base/mem.h"
#include "loop/loop.h"

struct upload_watch {
	struct msg msg;
	struct list_node node;
	struct exchange_id exchange;
	upload_over_fn *over;
};

static void on_dropped(struct msg *m)
{
	mem_free(container_of(m, struct upload_watch, msg));
}

static void on_over(struct msg *m, struct loop *l)
{
	struct upload_watch *w = container_of(m, struct upload_watch, msg);
	struct exchange *x = exchange_find(w->exchange);

	(void)l;
	if (x) {
		w->over(x);
	}
	mem_free(w);
}

void upload_watch_add(struct upload_watches *w, struct exchange_id x, upload_over_fn *over)
{
	struct upload_watch *one = MEM_NEW(struct upload_watch);

	one->msg = (struct msg){.run = on_over, .drop = on_dropped};
	one->exchange = x;
	one->over = over;
	if (w->n == 0) {
		list_init(&w->list);
	} else if (w->n == UPLOADS_WATCHED) {
		mem_free(container_of(list_pop(&w->list), struct upload_watch, node));
		w->n--;
	}
	list_push(&w->list, &one->node);
	w->n++;
}

void upload_watch_cut(struct upload_watches *w)
{
	for (; w->n > 0; w->n--) {
		struct upload_watch *one =
			container_of(list_pop(&w->list), struct upload_watch, node);

		loop_post(one->exchange.loop, &one->msg);
	}
}
