/* Hosts that are no upstream: a literal, or a name in the loop's own DNS cache. */
#include "base/mem.h"
#include "gateway/balancer_int.h"

#include <netinet/in.h>

struct balancer *balancer_plain_new(struct str host, uint16_t port)
{
	struct balancer *b = mem_zalloc(sizeof(*b) + host.n);

	b->kind = addr_from_ip(host, port, &b->addr) == ERR_OK ? KIND_LITERAL : KIND_HOST;
	if (host.n > 0) {
		memcpy(b->text, host.p, host.n);
	}
	b->host = str_of(b->text, host.n);
	b->port = port;
	return b;
}

void balancer_plain_free(struct balancer **b)
{
	mem_free(*b);
	*b = NULL;
}

static bool was_tried(const struct balancer_try *t, const struct dns_record *r)
{
	for (unsigned i = 0; i < MIN(t->n_tried, BALANCER_TRIED_MAX); i++) {
		if (t->tried[i] == r) {
			return true;
		}
	}
	return false;
}

/* Smooth weighted round-robin over the records; the turns are this loop's. */
static struct dns_record *next_record(struct dns_set *s, const struct balancer_try *t)
{
	struct dns_record *best = NULL;
	int32_t total = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct dns_record *r = &s->v[i];

		if (was_tried(t, r)) {
			continue;
		}
		r->turn += r->weight;
		total += r->weight;
		best = !best || r->turn > best->turn ? r : best;
	}
	if (best) {
		best->turn -= total;
	}
	return best;
}

static void set_port(struct addr *a, uint16_t port)
{
	if (a->sa.ss_family == AF_INET) {
		((struct sockaddr_in *)&a->sa)->sin_port = htons(port);
	} else {
		((struct sockaddr_in6 *)&a->sa)->sin6_port = htons(port);
	}
}

enum err plain_pick(struct balancer *b, struct loop *l, struct balancer_try *t,
		    struct balancer_peer *out)
{
	struct dns_record *r;
	struct dns_set *s;

	if (b->kind == KIND_LITERAL) {
		t->tries++;
		*out = (struct balancer_peer){.addr = b->addr, .host = b->host, .port = b->port};
		return ERR_OK;
	}
	s = dns_cache_get(l, b->host);
	if (!s) {
		return ERR_AGAIN;
	}
	if (s->result != ERR_OK) {
		return ERR_NOT_FOUND;
	}
	r = next_record(s, t);
	if (!r) {
		t->n_tried = 0;
		r = next_record(s, t);
	}
	t->tried[t->n_tried++ % BALANCER_TRIED_MAX] = r;
	t->tries++;
	t->records = dns_set_ref(s);
	*out = (struct balancer_peer){.addr = r->addr, .host = b->host, .port = b->port};
	if (addr_port(&out->addr) == 0) {
		set_port(&out->addr, b->port);
	}
	out->port = addr_port(&out->addr);
	return ERR_OK;
}

void plain_done(struct balancer_try *t)
{
	struct dns_set *s = t->records;

	t->records = NULL;
	dns_set_unref(&s);
}

/* ---- waiting ---- */

static void on_later(struct later *later)
{
	struct balancer_waiter *w = container_of(later, struct balancer_waiter, later);

	w->fn(w);
}

static void on_known(struct dns_waiter *d, struct dns_set *set)
{
	struct balancer_waiter *w = container_of(d, struct balancer_waiter, dns);

	(void)set; /* the next pick finds it in the cache */
	loop_later(w->loop, &w->later, on_later);
}

void plain_wait(struct balancer *b, struct loop *l, struct balancer_waiter *w)
{
	w->loop = l;
	dns_wait(l, b->host, &w->dns, on_known);
}

void plain_wait_cancel(struct balancer_waiter *w)
{
	dns_wait_cancel(&w->dns);
	later_cancel(&w->later);
}
