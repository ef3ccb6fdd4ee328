/*
 * Asking home early: a body that is going to be stored may come from anybody, so before more of
 * it is taken the tenant must exist and want it. The request itself is checked again when it
 * arrives.
 */
#include "relay/client.h"
#include "relay/errand.h"
#include "relay/request_int.h"

/* On the client's loop. */
static void on_told(struct errand *e)
{
	struct exchange *x = errand_exchange(e);
	struct relay_client *c = x ? exchange_user(x) : NULL;
	int status = e->status;
	bool wants_token = e->flag;

	errand_free(e);
	/* Answered, or complete and on its way home in the meantime. */
	if (!c || !c->request || c->request->state != REQUEST_COLLECTING) {
		return;
	}
	if (wants_token && status != 404) {
		int refusal = request_check_token(c->request);

		status = refusal ? refusal : status;
	}
	if (status) {
		request_fail(c->request, REQUEST_FAILED, status,
			     status == 503 ? RELAY_FAILED : RELAY_REFUSED);
	} else {
		exchange_resume_body(x);
	}
}

static void on_facts(struct tenant_waiter *w, struct tenant *t)
{
	struct errand *e = container_of(w, struct errand, waiter);

	e->status = request_check_tenant(t);
	e->flag = tenant_exists(t) && t->info.require_authentication;
	tenant_unuse(t);
	errand_go_back(e, on_told);
}

static void on_home(struct errand *e)
{
	struct tenant *t;

	if (e->rl->draining) {
		e->status = 503;
		errand_go_back(e, on_told);
		return;
	}
	t = tenant_get(e->rl, e->visitor.tenant_key);
	tenant_use(t);
	e->waiter.fn = on_facts;
	tenant_wait(t, &e->waiter);
}

void client_ask(struct relay_client *c)
{
	struct errand *e = errand_new(c->rl, c->x);

	c->has_asked = true;
	exchange_pause_body(c->x);
	errand_set_visitor(e, &(struct hub_visitor){.tenant_key = c->request->tenant_key});
	errand_go(e, c->home, on_home);
}
