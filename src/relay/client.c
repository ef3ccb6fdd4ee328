#include "relay/client.h"

#include "base/log.h"
#include "base/mem.h"
#include "relay/forwarded.h"
#include "relay/request_int.h"

/* -- answers --------------------------------------------------------------------- */

void client_answer(struct relay_client *c, const struct answer *an)
{
	c->request = NULL;
	c->answered = true;
	/* With nothing left to send the exchange has ended, and `c` with it. */
	struct body_send *send = answer_write(c->x, c->rl, an);

	if (send) {
		c->send = send;
	}
}

struct answer_msg {
	struct msg msg;
	struct relay *relay;
	struct exchange_id to;
	struct arena arena;
	struct answer answer;
};

static void answer_msg_free(struct answer_msg *m)
{
	arena_fini(&m->arena);
	mem_free(m);
}

static void on_answer(struct msg *msg, struct loop *l)
{
	struct answer_msg *m = container_of(msg, struct answer_msg, msg);
	struct exchange *x = exchange_find(m->to);
	struct relay_client *c = x ? exchange_user(x) : NULL;

	if (c && !c->answered) {
		client_answer(c, &m->answer);
	} else {
		answer_drop(relay_loop_of(m->relay, l), &m->answer);
	}
	answer_msg_free(m);
}

static void on_answer_dropped(struct msg *msg)
{
	struct answer_msg *m = container_of(msg, struct answer_msg, msg);

	/* The loops have ended: nobody reads what they counted. */
	answer_drop(&m->relay->loops[0], &m->answer);
	answer_msg_free(m);
}

void client_post_answer(struct exchange_id x, struct relay *r, const struct answer *an)
{
	struct answer_msg *m = MEM_NEW(struct answer_msg);
	struct arena *a = &m->arena;

	arena_init(a, 0);
	m->msg = (struct msg){.run = on_answer, .drop = on_answer_dropped};
	m->relay = r;
	m->to = x;
	m->answer = *an;
	m->answer.headers = (struct http_headers){0};
	for (size_t i = 0; i < an->headers.n; i++) {
		http_header_add(a, &m->answer.headers, str_dup(a, an->headers.v[i].name),
				str_dup(a, an->headers.v[i].value));
	}
	m->answer.body = str_dup(a, an->body);
	loop_post(x.loop, &m->msg);
}

/* -- going home -------------------------------------------------------------------- */

static void on_moved(struct msg *msg, struct loop *l)
{
	struct relay_request *r = container_of(msg, struct relay_request, msg);

	(void)l;
	request_arrive(r);
}

static void on_move_dropped(struct msg *msg)
{
	request_discard(container_of(msg, struct relay_request, msg));
}

static void go_home(struct relay_client *c)
{
	struct relay_request *r = c->request;

	if (c->home == c->rl) {
		request_arrive(r);
		return;
	}
	request_own(r);
	timer_stop(c->rl->loop, &r->timer);
	r->client = NULL;
	r->client_id = exchange_id(c->x);
	c->request = NULL;
	r->rl = c->home;
	r->msg = (struct msg){.run = on_moved, .drop = on_move_dropped};
	loop_post(c->home->loop, &r->msg);
}

struct abort_msg {
	struct msg msg;
	struct relay_loop *home;
	struct guid id;
};

static void on_abort_home(struct msg *msg, struct loop *l)
{
	struct abort_msg *m = container_of(msg, struct abort_msg, msg);
	struct relay_request *r = request_find(m->home, &m->id);

	(void)l;
	if (r && !r->is_discard) {
		request_abort(r);
	}
	mem_free(m);
}

static void on_abort_dropped(struct msg *msg)
{
	mem_free(container_of(msg, struct abort_msg, msg));
}

/* -- the exchange -------------------------------------------------------------------- */

static void on_data(struct exchange *x, struct str data)
{
	struct relay_client *c = exchange_user(x);

	/* Answered early (expired): the rest of the body does not matter. */
	if (!c->request) {
		return;
	}
	if (request_body_append(c->request, data) != ERR_OK) {
		request_fail(c->request, REQUEST_FAILED, 503, RELAY_FAILED);
	} else if (c->request->writer && !c->has_asked) {
		client_ask(c);
	}
}

static void on_end(struct exchange *x)
{
	struct relay_client *c = exchange_user(x);

	if (!c->request) {
		return;
	}
	if (request_body_end(c->request) != ERR_OK) {
		request_fail(c->request, REQUEST_FAILED, 503, RELAY_FAILED);
		return;
	}
	go_home(c);
}

static void on_drained(struct exchange *x)
{
	struct relay_client *c = exchange_user(x);

	if (c->send) {
		(void)body_send_more(c->send);
	}
}

static void on_abort(struct exchange *x, int status)
{
	struct relay_client *c = exchange_user(x);

	(void)status;
	if (c->send) {
		body_send_stop(c->send);
	} else if (c->request) {
		request_abort(c->request);
	} else if (!c->answered) {
		struct abort_msg *m = MEM_NEW(struct abort_msg);

		*m = (struct abort_msg){{NULL, on_abort_home, on_abort_dropped}, c->home, c->id};
		loop_post(c->home->loop, &m->msg);
	}
}

static const struct exchange_handler handler = {
	.on_data = on_data,
	.on_end = on_end,
	.on_drained = on_drained,
	.on_abort = on_abort,
};

static struct str bearer_of(const struct http_headers *h)
{
	struct str header = http_header_get(h, STR("Authorization")), token;

	return header.p && bearer_from_header(header, &token) ? token : STR_NULL;
}

/* Which of two lines the target would believe is not for us to guess. */
static bool has_two(const struct http_headers *h, struct str name)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++) {
		n += str_eq_nocase(h->v[i].name, name);
	}
	return n > 1;
}

/* Some targets take "RelayServer_X" for the same header. */
static bool is_own_name(struct str name)
{
	struct str own = STR("RelayServer");

	return str_starts_nocase(name, own) && name.n > own.n &&
	       (name.p[own.n] == '-' || name.p[own.n] == '_');
}

/* Ours and the connector's to set: targets trust the URL for acknowledgements. */
static void strip_own_names(struct http_headers *h)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->n; i++) {
		if (!is_own_name(h->v[i].name)) {
			h->v[kept++] = h->v[i];
		}
	}
	h->n = kept;
}

static void take_headers(struct relay_request *r, struct exchange *x)
{
	const struct relay_epoch *e = r->rl->epoch;
	struct http_headers *h = exchange_headers(x);
	struct forwarded f = {
		.peer = *exchange_peer(x),
		.by_gateway = exchange_is_in_process(x),
		.is_tls = exchange_is_tls(x),
		.host = exchange_host(x),
		.mode = e->config->forwarded_headers,
	};

	f.peer_is_trusted = relay_epoch_trusts(e, &f.peer);
	r->token = bearer_of(h);
	r->has_two_tokens = has_two(h, STR("Authorization"));
	strip_own_names(h);
	/* The client's own hop-by-hop list must not touch what we add. */
	http_strip_hop_by_hop(h);
	(void)http_header_remove(h, STR("Expect"));
	forwarded_apply(exchange_arena(x), &f, h);
	r->headers = *h;
}

static struct relay_request *make_request(struct relay_loop *rl, struct exchange *x,
					  const struct front *front)
{
	const struct relay_config *config = rl->epoch->config;
	const struct http_request *q = exchange_request(x);
	struct relay_request *r = request_new(rl);

	r->arena = exchange_arena(x);
	r->target = front->target;
	r->url = front->url;
	r->method = q->method_text;
	r->is_head = q->method == HTTP_HEAD;
	r->is_trace = front->kind == FRONT_TRACE;
	r->is_discard = front->kind == FRONT_QUEUE;
	r->start_ms = exchange_start_ms(x);
	if (config->request_expiration_ms > 0) {
		r->deadline_ms = r->start_ms + (uint64_t)config->request_expiration_ms;
	}
	take_headers(r, x);
	return r;
}

void client_begin(struct relay_loop *rl, struct exchange *x, const struct front *front)
{
	struct str key = tenant_normalize(exchange_arena(x), front->tenant);
	struct relay_client *c = ARENA_NEW(exchange_arena(x), struct relay_client);

	if (!key.p) {
		relay_count(rl, RELAY_REFUSED, 1);
		exchange_reply_status(x, 404);
		return;
	}
	struct relay_request *r = make_request(rl, x, front);

	c->rl = rl;
	c->x = x;
	c->home = relay_home(rl->relay, key);
	c->id = relay_request_id(c->home);
	c->request = r;
	r->id = c->id;
	r->tenant_key = key;
	r->client = c;
	exchange_set_user(x, c);
	request_enter(r, REQUEST_COLLECTING);
	if (exchange_request(x)->framing != HTTP_BODY_NONE) {
		request_arm(r);
	}
	exchange_stream(x, (uint64_t)rl->epoch->config->max_request_body_size, &handler);
}
