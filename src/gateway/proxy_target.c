/* Where the request goes: an address, a name, a relay, or a role, of this process or elsewhere. */
#include "base/log.h"
#include "gateway/call_int.h"
#include "gateway/call_values.h"

static void set_peer(struct gw_call *c, struct str host, uint16_t port)
{
	c->peer.uri = (struct uri){
		.host = host,
		.port = port,
		.tls = c->entry->service->tls,
		.path = STR("/"),
	};
	c->peer.tls = c->entry->tls;
}

/* What a balancer hashes. Lists of one name are joined by it. */
static size_t values_of(void *arg, const struct balancer_hash *h, struct str v[BALANCER_VALUES_MAX])
{
	struct gw_call *c = arg;

	switch (h->on) {
	case BALANCER_HASH_CONSUMER:
		if (!c->consumer) {
			return 0;
		}
		v[0] = str_of(c->consumer->id_text, GUID_D_LEN);
		return 1;
	case BALANCER_HASH_IP:
		v[0] = call_client_ip(c);
		return 1;
	case BALANCER_HASH_PATH:
		v[0] = c->path;
		return 1;
	case BALANCER_HASH_HEADER:
		return call_header_values(c, h->name, v, BALANCER_VALUES_MAX);
	case BALANCER_HASH_COOKIE:
		return call_cookie(c, h->name, &v[0]);
	case BALANCER_HASH_QUERY_ARG:
		return call_query_values(c, h->name, v, BALANCER_VALUES_MAX);
	case BALANCER_HASH_URI_CAPTURE:
		return call_capture(c, h->name, &v[0]);
	case BALANCER_HASH_NONE:
		break;
	}
	return 0;
}

static void make_hash_key(struct gw_call *c, const struct balancer *b)
{
	struct balancer_key *key = &c->balance->key;

	balancer_key_make(b, values_of, c, key);
	if (key->set_cookie) {
		call_add_answer_header(c, STR("Set-Cookie"), balancer_key_cookie(b, key, c->arena));
	}
}

static void fail_names(struct gw_call *c)
{
	call_fail(c, 503, STR("name resolution failed"));
}

static void on_names_known(struct balancer_waiter *w)
{
	call_retry_target(container_of(w, struct gw_balance, waiter)->call);
}

static void on_names_overdue(struct timer *t)
{
	struct gw_balance *bal = container_of(t, struct gw_balance, dns_timer);

	balancer_wait_cancel(&bal->waiter);
	fail_names(bal->call);
}

static struct str authority_of(struct gw_call *c, const struct balancer_peer *p)
{
	bool tls = c->entry->service->tls;

	if (p->host_header.n > 0) {
		return p->host_header;
	}
	if (p->port == (tls ? 443 : 80)) {
		return p->host;
	}
	return str_fmt(c->arena, "%.*s:%u", STR_ARG(p->host), p->port);
}

void call_start_balance(struct gw_call *c)
{
	if (c->entry->balancer) {
		c->balance = ARENA_NEW(c->arena, struct gw_balance);
		c->balance->call = c;
		make_hash_key(c, c->entry->balancer);
	}
}

static enum err pick_balanced(struct gw_call *c, struct balancer *b)
{
	const struct service *s = c->entry->service;
	struct gw_balance *bal = c->balance;
	struct balancer_peer p;
	enum err e;

	e = balancer_pick(b, c->gl->loop, &bal->key, &bal->tries, &p);
	if (e == ERR_AGAIN) {
		if (!timer_is_armed(&bal->dns_timer)) {
			timer_start(c->gl->loop, &bal->dns_timer, s->connect_ms, on_names_overdue);
		}
		balancer_wait(b, c->gl->loop, &bal->waiter, on_names_known);
		return e;
	}
	timer_pause(&bal->dns_timer);
	TRY(e);
	bal->balancer = b;
	bal->addr = p.addr;
	set_peer(c, p.host, p.port);
	c->peer.addr = &bal->addr;
	/* A plain host keeps the service's own spelling. */
	c->peer.authority = b == s->plain ? STR_NULL : authority_of(c, &p);
	return ERR_OK;
}

void call_tell_balancer(struct gw_call *c, enum balancer_outcome outcome, int status)
{
	struct gw_balance *bal = c->balance;
	struct balancer *b = bal ? bal->balancer : NULL;

	if (!b) {
		return;
	}
	bal->balancer = NULL;
	balancer_done(b, c->gl->loop, &bal->tries, outcome, status,
		      c->facts.upstream_ms > 0 ? (uint64_t)c->facts.upstream_ms * 1000 : 0);
}

static enum err pick_web(struct gw_call *c)
{
	const struct service *s = c->entry->service;

	if (c->entry->balancer) {
		return pick_balanced(c, c->entry->balancer);
	}
	set_peer(c, s->pub.host, s->port);
	c->peer.addr = &s->addr;
	return ERR_OK;
}

static const struct gateway_role_url *role_url(const struct gateway_role_urls *urls,
					       struct str role)
{
	for (size_t i = 0; i < urls->n; i++) {
		if (str_eq_nocase(urls->v[i].role, role)) {
			return &urls->v[i];
		}
	}
	return NULL;
}

/* For the operator: a client is not told how we are configured. */
static void warn_of_role(struct gw_loop *gl, struct str role)
{
	if (gw_loop_may_warn(gl, &gl->warn_of_roles_at_ms)) {
		log_warn("gateway",
			 "a role does not run here, and gateway.role_urls does not say where",
			 LOG_STR("role", role));
	}
}

static enum err pick_role(struct gw_call *c, struct str role)
{
	const struct gateway *g = c->gl->gateway;
	const struct gateway_ops *ops = &g->deps.ops;
	const struct gateway_role_url *url;

	c->peer.server = ops->role_server ? ops->role_server(ops->arg, role) : NULL;
	if (c->peer.server) {
		set_peer(c, role, 80);
		return ERR_OK;
	}
	url = role_url(&g->role_urls, role);
	if (!url) {
		warn_of_role(c->gl, role);
		return ERR_UNAVAILABLE;
	}
	c->peer.uri = url->uri;
	c->peer.addr = NULL;
	c->peer.authority = url->authority;
	c->peer.tls = g->role_tls;
	return ERR_OK;
}

/* A relayed target is a path of the relay: /relay/TENANT/TARGET/… */
static struct str relay_path(struct gw_call *c)
{
	const struct service *s = c->entry->service;

	return str_fmt(c->arena, "/relay/%.*s%.*s", STR_ARG(s->pub.host),
		       STR_ARG(c->upstream_path));
}

enum err call_pick_peer(struct gw_call *c)
{
	const struct service *s = c->entry->service;
	enum err e = ERR_UNAVAILABLE;

	if (s->tls && !c->entry->tls) { /* the log said why when it was built */
		call_fail_bad_answer(c);
		return ERR_INVALID;
	}
	switch (s->kind) {
	case SERVICE_WEB:
		e = pick_web(c);
		break;
	case SERVICE_RELAY:
		e = pick_role(c, STR("relay"));
		if (e == ERR_OK && c->facts.n_tries == 0) {
			c->upstream_path = relay_path(c);
		}
		break;
	case SERVICE_ROLE:
		e = pick_role(c, s->pub.host);
		break;
	case SERVICE_STREAM:
		break;
	}
	if (e == ERR_AGAIN) {
		return e;
	}
	if (e == ERR_OK) {
		call_set_host(c);
	} else if (c->entry->balancer && e == ERR_UNAVAILABLE) {
		call_fail(c, 503, STR("failure to get a peer from the ring-balancer"));
	} else if (e == ERR_NOT_FOUND) {
		fail_names(c);
	} else {
		call_fail(c, 503, STR("The upstream server is currently unavailable"));
	}
	return e;
}
