/* A request on its way in: its body, and at home what the tenant and the rules say about it. */
#include "base/clock.h"
#include "relay/authority.h"
#include "relay/client.h"
#include "relay/hub.h"
#include "relay/request_int.h"

/* -- body --------------------------------------------------------------------- */

/* It does not fit into a message any more. */
static enum err start_storing(struct relay_request *r)
{
	struct relay *relay = r->rl->relay;
	struct blob_key key = {BLOB_REQUEST, r->id};

	TRY(blob_create(relay->deps.bodies, key, 0, &r->writer));
	TRY(blob_append(r->writer, buf_str(&r->body)));
	body_count_add(&r->stored, r->rl, r->body.n);
	buf_free(&r->body);
	return ERR_OK;
}

enum err request_body_append(struct relay_request *r, struct str data)
{
	r->body_size += data.n;
	if (!r->writer && r->body_size <= INLINE_MAX) {
		buf_put(&r->body, data);
		return ERR_OK;
	}
	if (relay_bodies_full(r->rl)) {
		return ERR_UNAVAILABLE;
	}
	if (!r->writer) {
		TRY(start_storing(r));
	}
	TRY(blob_append(r->writer, data));
	body_count_add(&r->stored, r->rl, data.n);
	return ERR_OK;
}

enum err request_body_end(struct relay_request *r)
{
	relay_count(r->rl, COUNT_REQUEST_BYTES, (int64_t)r->body_size);
	if (!r->writer) {
		return ERR_OK;
	}
	TRY(blob_commit(&r->writer));
	r->is_stored = true;
	relay_count(r->rl, COUNT_BODIES, 1);
	return ERR_OK;
}

/* -- admission ------------------------------------------------------------------ */

int request_check_token(struct relay_request *r)
{
	struct principal who;
	enum err e = ERR_UNAUTHENTICATED;

	if (r->has_two_tokens) {
		return 400;
	}
	if (r->token.p) {
		e = validator_check(r->rl->validator, r->token, clock_wall_ms(), r->arena, &who,
				    NULL);
	}
	if (e == ERR_AGAIN) {
		authority_miss(r->rl->relay->authority);
	}
	if (e == ERR_OK) {
		return 0;
	}
	return e == ERR_UNAVAILABLE ? 503 : 401;
}

int request_check_tenant(const struct tenant *t)
{
	const struct relay_config *config = t->rl->epoch->config;

	if (t->facts != TENANT_KNOWN) {
		return 503;
	}
	if (!t->info.found) {
		return 404;
	}
	return config->require_active_connection && !tenant_is_served(t) ? 503 : 0;
}

static int check(struct relay_request *r, const struct tenant *t)
{
	int status = 0;

	if (tenant_exists(t) && t->info.require_authentication) {
		status = request_check_token(r);
	}
	return status ? status : request_check_tenant(t);
}

static void choose_mode(struct relay_request *r, const struct tenant *t)
{
	r->ack = (uint8_t)r->rl->epoch->config->acknowledge_mode;
	if (t->info.max_concurrent > 0 && r->ack != ACK_MANUAL) {
		r->ack = ACK_CONNECTOR_FINISHED;
	}
	r->is_trace = r->is_trace || (t->info.enable_tracing.has && t->info.enable_tracing.v);
}

static const struct interceptor_answer *run_rules(struct relay_request *r)
{
	struct relay_epoch *e = r->rl->epoch;
	const struct interceptor_answer *direct = NULL;

	if (e->rules.n == 0) {
		return NULL;
	}
	struct interceptor_request in = {r->method, r->tenant_key, r->target, r->url, &r->headers};

	r->matched = interceptors_request(&e->rules, r->arena, &in, &direct);
	r->url = in.url;
	if (r->matched) {
		r->epoch = relay_epoch_ref(e);
	}
	return direct;
}

/* From here on nobody waits for the response: what it says to the client goes out at once. */
static void detach_client(struct relay_request *r, const struct answer *an)
{
	int64_t max_age = r->rl->epoch->config->queue_max_age_ms;
	struct relay_client *local = r->client;
	struct exchange_id remote = r->client_id;
	struct relay *relay = r->rl->relay;

	request_own(r);
	r->client = NULL;
	r->client_id.id.gen = 0;
	r->is_discard = true;
	r->deadline_ms = loop_now_ms(r->rl->loop) + (uint64_t)max_age;
	request_arm(r);
	request_enter(r, REQUEST_QUEUED);
	struct answer full = {.status = 503};

	if (tenant_enqueue(r->tenant, r) != ERR_OK) {
		request_finish(r, REQUEST_FAILED, RELAY_FAILED, NULL);
		an = &full;
	}
	if (local) {
		client_answer(local, an);
	} else if (remote.id.gen != 0) {
		client_post_answer(remote, relay, an);
	}
}

static void answer_directly(struct relay_request *r, const struct interceptor_answer *direct)
{
	struct arena arena, *a = &arena; /* that of the request may end before the answer is out */
	struct answer an = {.status = direct->status, .kind = ANSWER_INLINE, .body = direct->body};

	arena_init(a, 0);
	an.body_size = direct->body.n;
	for (size_t i = 0; i < direct->headers.n; i++) {
		http_header_add(a, &an.headers, direct->headers.v[i].name,
				direct->headers.v[i].value);
	}
	interceptors_response(&r->epoch->rules, r->matched, a, &an.headers);
	if (direct->deliver) {
		detach_client(r, &an);
	} else {
		request_end(r, REQUEST_ANSWERED, RELAY_SUCCEEDED, &an);
	}
	arena_fini(a);
}

static void on_facts(struct tenant_waiter *w, struct tenant *t)
{
	struct relay_request *r = container_of(w, struct relay_request, waiter);
	int status = check(r, t);

	if (status) {
		request_fail(r, REQUEST_FAILED, status,
			     t->facts == TENANT_KNOWN ? RELAY_REFUSED : RELAY_FAILED);
		return;
	}
	r->token = STR_NULL;
	choose_mode(r, t);
	const struct interceptor_answer *direct = run_rules(r);

	if (direct) {
		answer_directly(r, direct);
	} else if (r->is_discard) {
		detach_client(r, &(struct answer){.status = 202});
	} else {
		request_enter(r, REQUEST_QUEUED);
		if (tenant_enqueue(t, r) != ERR_OK) {
			request_fail(r, REQUEST_FAILED, 503, RELAY_FAILED);
		}
	}
}

void request_arrive(struct relay_request *r)
{
	struct relay_loop *rl = r->rl;

	r->is_registered = true;
	(void)map_set(&rl->requests, guid_bytes(&r->id), r);
	relay_count(rl, COUNT_IN_FLIGHT, 1);
	request_enter(r, REQUEST_TENANT);
	if (rl->draining) {
		request_fail(r, REQUEST_FAILED, 503, RELAY_FAILED);
		return;
	}
	request_arm(r);
	r->tenant = tenant_get(rl, r->tenant_key);
	tenant_use(r->tenant);
	r->tenant->n_loose++;
	r->waiter.fn = on_facts;
	tenant_wait(r->tenant, &r->waiter);
}
