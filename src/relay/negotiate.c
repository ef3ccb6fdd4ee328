/* POST /connector/negotiate, and making connections for those that come without (RelayServer 5.1).
 */
#include "relay/negotiate.h"

#include "base/enc.h"

#define WEB_SOCKETS "[{\"transport\":\"WebSockets\",\"transferFormats\":[\"Text\",\"Binary\"]},"
#define EVENTS "{\"transport\":\"ServerSentEvents\",\"transferFormats\":[\"Text\"]},"
#define LONG_POLLING "{\"transport\":\"LongPolling\",\"transferFormats\":[\"Text\",\"Binary\"]}]"

static const struct str transports = STR_INIT(WEB_SOCKETS EVENTS LONG_POLLING);
/* An event stream takes its connection over, which those of HTTP/2 share. */
static const struct str transports_h2 = STR_INIT(WEB_SOCKETS LONG_POLLING);

/* -- a connection, if the tenant may have one ---------------------------------------- */

static bool is_full(const struct relay_loop *rl)
{
	size_t all = (size_t)rl->epoch->config->connections_max;

	return rl->conns.n >= all / rl->relay->n_loops + 1;
}

static void on_facts(struct tenant_waiter *w, struct tenant *t)
{
	struct errand *e = container_of(w, struct errand, waiter);
	struct relay_loop *rl = e->rl;
	bool welcome = tenant_exists(t) || rl->epoch->config->enable_automatic_tenant_creation;
	int status = 0;

	if (rl->draining || t->facts != TENANT_KNOWN) {
		status = 503;
	} else if (!welcome) {
		status = 403;
	}
	if (status) {
		tenant_unuse(t);
		errand_reply_text(e, status, STR(""));
		return;
	}
	e->link = hub_new(rl, &e->visitor);
	tenant_unuse(t);
	e->resume(e);
}

void negotiate_conn(struct errand *e, errand_fn *then)
{
	struct relay_loop *rl = e->rl;

	if (rl->draining || is_full(rl)) {
		errand_reply_text(e, 503, STR(""));
		return;
	}
	struct tenant *t = tenant_get(rl, e->visitor.tenant_key);

	tenant_use(t);
	e->resume = then;
	e->waiter.fn = on_facts;
	tenant_wait(t, &e->waiter);
}

/* -- the endpoint ---------------------------------------------------------------------- */

static void put(struct json_writer *w, const char *key, struct str value)
{
	json_key(w, str_c(key));
	json_put_str(w, value);
}

static void on_conn(struct errand *e)
{
	struct hub_conn *c = e->link;
	struct json_writer w = json_writer_to(&e->data);
	bool v1 = e->number >= 1;

	e->link = NULL;
	json_begin_object(&w);
	json_key(&w, STR("negotiateVersion"));
	json_put_int(&w, v1 ? 1 : 0);
	if (v1) {
		put(&w, "connectionId", str_of(c->id, sizeof(c->id)));
		put(&w, "connectionToken", hub_token(c));
	} else {
		/* Old clients know one name only: it must be the secret one. */
		put(&w, "connectionId", hub_token(c));
	}
	json_key(&w, STR("availableTransports"));
	json_put_raw(&w, e->flag ? transports_h2 : transports);
	json_end_object(&w);
	errand_reply(e, 200, STR("application/json"));
}

static void on_home(struct errand *e)
{
	negotiate_conn(e, on_conn);
}

/* Absent: 0. */
static enum err version_of(struct exchange *x, uint64_t *out)
{
	struct str text;
	enum err e = form_get_nocase(exchange_arena(x), exchange_request(x)->query,
				     STR("negotiateVersion"), &text);

	*out = 0;
	if (e == ERR_NOT_FOUND) {
		return ERR_OK;
	}
	return e == ERR_OK && str_to_u64(text, out) ? ERR_OK : ERR_INVALID;
}

void endpoint_negotiate(struct relay_loop *rl, struct exchange *x)
{
	struct hub_visitor v;
	uint64_t version;

	if (exchange_request(x)->method != HTTP_POST) {
		exchange_reply_allow(x, STR("POST"));
		return;
	}
	if (!endpoint_visitor(rl, x, TOKEN_IN_QUERY_TOO, &v)) {
		return;
	}
	if (version_of(x, &version) != ERR_OK) {
		exchange_reply_text(x, 200, STR("application/json"),
				    STR("{\"error\":\"The client requested a non-integer protocol "
					"version.\"}"));
		return;
	}
	struct errand *e = errand_new(rl, x);

	e->number = version;
	e->flag = exchange_request(x)->major == 2;
	errand_set_visitor(e, &v);
	errand_go(e, relay_home(rl->relay, v.tenant_key), on_home);
}
