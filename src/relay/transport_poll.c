/*
 * Hub connections over long polling: records wait in a buffer until a poll takes them.
 *
 * A poll object outlives its connection for a while, so that the last records and
 * the 204 that tells "closed" find their way.
 *
 * Requests are taken only while a poll is open: until then they wait with the tenant, where another
 * connection can have them. Those in an answer whose client was gone before it was written
 * come back; when no other poll fetches them soon, they were never delivered.
 */
#include "base/mem.h"
#include "relay/transport.h"

enum {
	POLL_IDLE_MS = 90000, /* an empty answer; the client polls again */
	POLL_AWAY_MS = 15000, /* no poll comes: the client has gone */
	POLL_GONE_MS = 5000,  /* the same, after one was broken off */
	POLL_LINGER_MS = 15000,
};

struct poll {
	struct relay_loop *rl;
	struct hub_conn *conn; /* NULL: ended, lingering */
	char token[HUB_TOKEN_LEN];
	struct buf out;
	struct errand *waiting; /* the open poll */
	struct timer timer;	/* of the open poll, else of its absence */
	struct later later;	/* several records of a turn leave together */
	uint64_t n_answered;	/* requests in answers: conn->n_sent then */
};

static struct str token_of(const struct poll *p)
{
	return str_of(p->token, sizeof(p->token));
}

static void poll_free(struct poll *p)
{
	timer_stop(p->rl->loop, &p->timer);
	later_cancel(&p->later);
	(void)map_remove(&p->rl->polls, token_of(p));
	if (p->waiting) {
		errand_free(p->waiting);
	}
	buf_free(&p->out);
	mem_free(p);
}

/* -- answering polls -------------------------------------------------------------------- */

static void on_timer(struct timer *t);
static void on_later(struct later *l);

static void on_given_back(struct errand *e)
{
	struct poll *p = e->rl->stopped ? NULL : map_get(&e->rl->polls, e->token);

	if (p) {
		buf_put(&e->data, buf_str(&p->out));
		buf_free(&p->out);
		buf_move(&p->out, &e->data);
		p->n_answered = MIN(p->n_answered, e->number);
		if (p->waiting) {
			loop_later(p->rl->loop, &p->later, on_later);
		} else if (p->conn) {
			timer_start(p->rl->loop, &p->timer, POLL_GONE_MS, on_timer);
		}
	}
	errand_free(e);
}

/* On the loop of the poll. If its client has gone the records go back, for the next poll. */
static void on_answer(struct errand *e)
{
	if (errand_exchange(e) || e->data.n == 0) {
		errand_reply(e, e->status, STR_NULL);
	} else {
		errand_go(e, e->home, on_given_back);
	}
}

static void answer_poll(struct poll *p, int status)
{
	struct errand *e = p->waiting;

	if (!e) {
		return;
	}
	p->waiting = NULL;
	e->is_poll = true;
	e->status = status;
	e->home = p->rl;
	if (status == 200) {
		buf_move(&e->data, &p->out);
		e->number = p->n_answered;
		p->n_answered = p->conn ? p->conn->n_sent : p->n_answered;
	}
	timer_start(p->rl->loop, &p->timer, p->conn ? POLL_AWAY_MS : POLL_LINGER_MS, on_timer);
	errand_go_back(e, on_answer);
	if (p->conn) {
		hub_drained(p->conn);
	}
}

static void on_timer(struct timer *t)
{
	struct poll *p = container_of(t, struct poll, timer);

	if (p->waiting) {
		answer_poll(p, 200);
	} else if (p->conn) {
		p->conn->n_delivered = p->n_answered;
		hub_lost(p->conn);
		poll_free(p);
	} else {
		poll_free(p);
	}
}

static void on_later(struct later *l)
{
	struct poll *p = container_of(l, struct poll, later);

	if (p->out.n > 0) {
		answer_poll(p, 200);
	} else if (!p->conn && p->waiting) {
		answer_poll(p, 204);
		poll_free(p);
	}
}

/* -- transport_ops ------------------------------------------------------------------------ */

static struct buf *on_begin(struct hub_conn *c)
{
	struct poll *p = c->link;

	return &p->out;
}

static void on_send(struct hub_conn *c)
{
	struct poll *p = c->link;

	loop_later(p->rl->loop, &p->later, on_later);
}

static bool is_there(const struct hub_conn *c)
{
	const struct poll *p = c->link;

	return p->waiting != NULL;
}

static size_t on_pending(const struct hub_conn *c)
{
	const struct poll *p = c->link;

	return p->out.n;
}

static void on_close_wanted(struct hub_conn *c)
{
	struct poll *p = c->link;

	p->conn = NULL;
	if (!p->waiting) {
		timer_start(p->rl->loop, &p->timer, POLL_LINGER_MS, on_timer);
	}
	loop_later(p->rl->loop, &p->later, on_later);
}

static void on_drop_wanted(struct hub_conn *c)
{
	struct poll *p = c->link;

	buf_free(&p->out);
	on_close_wanted(c);
}

static const struct transport_ops poll_ops = {
	.kind = TRANSPORT_POLL,
	.pings = false,
	.is_there = is_there,
	.begin = on_begin,
	.send = on_send,
	.pending = on_pending,
	.close = on_close_wanted,
	.drop = on_drop_wanted,
};

/* -- polls ---------------------------------------------------------------------------------- */

static void on_reserved(struct errand *e)
{
	struct hub_conn *c = transport_reserved(e);
	struct poll *p = MEM_NEW(struct poll);

	ASSERT(c); /* polls do not move between loops, so nothing came in between */
	p->rl = e->rl;
	p->conn = c;
	memcpy(p->token, c->token, sizeof(p->token));
	(void)map_set(&e->rl->polls, token_of(p), p);
	hub_attach(c, &poll_ops, p);
	/* The first poll only opens the transport. */
	p->waiting = e;
	answer_poll(p, 200);
}

static bool is_own(const struct poll *p, const struct errand *e)
{
	return !p->conn || str_eq(p->conn->visitor.tenant_key, e->visitor.tenant_key);
}

static void take_poll(struct poll *p, struct errand *e)
{
	answer_poll(p, 204);
	p->waiting = e;
	if (p->conn) {
		hub_heard(p->conn);
		hub_drained(p->conn);
	}
	if (p->out.n > 0) {
		answer_poll(p, 200);
	} else if (p->conn) {
		timer_start(p->rl->loop, &p->timer, POLL_IDLE_MS, on_timer);
	} else {
		answer_poll(p, 204);
		poll_free(p);
	}
}

void transport_poll(struct errand *e)
{
	struct poll *p = map_get(&e->rl->polls, e->token);

	if (p && is_own(p, e)) {
		take_poll(p, e);
	} else {
		transport_reserve(e, TRANSPORT_POLL, on_reserved);
	}
}

static bool is_same(struct exchange_id a, struct exchange_id b)
{
	return a.loop == b.loop && a.id.slot == b.id.slot && a.id.gen == b.id.gen;
}

void transport_poll_gone(struct errand *e)
{
	struct poll *p = e->rl->stopped ? NULL : map_get(&e->rl->polls, e->token);

	if (p && p->waiting && is_same(p->waiting->client, e->client)) {
		errand_free(p->waiting);
		p->waiting = NULL;
		timer_start(p->rl->loop, &p->timer, p->conn ? POLL_GONE_MS : POLL_LINGER_MS,
			    on_timer);
		if (p->conn) {
			hub_drained(p->conn);
		}
	}
	errand_free(e);
}

void polls_free(struct relay_loop *rl)
{
	struct map_entry e;

	for (size_t pos = 0; map_next(&rl->polls, &pos, &e);) {
		struct poll *p = e.value;

		answer_poll(p, p->out.n > 0 ? 200 : 204);
		poll_free(p);
	}
	map_free(&rl->polls);
}
