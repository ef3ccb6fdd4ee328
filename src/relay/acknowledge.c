/* POST /acknowledge/{origin}/{request}: open to anybody who knows both ids, always 204. */
#include "relay/endpoint.h"

static void on_home(struct errand *e)
{
	struct relay_request *r = request_find(e->rl, &e->id);

	if (r && !e->rl->stopped) {
		request_acknowledge(r, true);
	}
	errand_free(e);
}

void endpoint_acknowledge(struct relay_loop *rl, struct exchange *x, const struct front *front)
{
	struct relay_loop *home = relay_request_home(rl->relay, &front->request);

	if (exchange_request(x)->method != HTTP_POST) {
		exchange_reply_allow(x, STR("POST"));
		return;
	}
	if (home && guid_eq(&front->origin, &rl->relay->deps.origin)) {
		struct errand *e = errand_new(rl, x);

		e->id = front->request;
		errand_go(e, home, on_home);
	}
	exchange_reply_status(x, 204);
}
