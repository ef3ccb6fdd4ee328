#include "app/gateway_role.h"

enum err gateway_role_start(struct gateway_role *r, const struct gateway_role_deps *deps,
			    struct fault *f)
{
	struct gateway_deps gd = {
		.loops = deps->loops,
		.slow = deps->pools[REST_SLOW],
		.config = &deps->settings->gateway,
		.ops = deps->ops,
	};

	r->deps = *deps;
	return gateway_new(&gd, &r->gateway, f);
}

void gateway_role_stop(struct gateway_role *r)
{
	if (r->gateway) {
		gateway_stop(r->gateway);
	}
}

void gateway_role_free(struct gateway_role *r)
{
	gateway_free(&r->gateway);
}
