/* Where the request goes: an address, a name, a relay, or a role of this process. */
#include "gateway/call_int.h"

static void set_peer(struct gw_call *c, struct str host, uint16_t port)
{
	c->peer.uri = (struct uri){
		.host = host,
		.port = port,
		.tls = c->entry->service->tls,
		.path = STR("/"),
	};
}

static enum err pick_web(struct gw_call *c)
{
	const struct service *s = c->entry->service;

	set_peer(c, s->host, s->port);
	c->peer.has_addr = s->has_addr;
	if (s->has_addr) {
		c->peer.addr = s->addr;
	}
	return ERR_OK;
}

static enum err pick_role(struct gw_call *c, struct str role)
{
	const struct gateway_ops *ops = &c->gl->gateway->deps.ops;

	if (!ops->role_address || !ops->role_address(ops->arg, role, &c->peer.addr)) {
		return ERR_UNAVAILABLE;
	}
	c->peer.has_addr = true;
	set_peer(c, role, addr_port(&c->peer.addr));
	return ERR_OK;
}

static enum err pick_relay(struct gw_call *c)
{
	const struct gateway *g = c->gl->gateway;

	if (pick_role(c, STR("relay")) == ERR_OK) {
		return ERR_OK;
	}
	if (!g->has_relay_url) {
		return ERR_UNAVAILABLE;
	}
	c->peer.uri = g->relay_url;
	c->peer.has_addr = false;
	return ERR_OK;
}

/* A relayed target is a path of the relay: /relay/TENANT/TARGET/… */
static struct str relay_path(struct gw_call *c)
{
	const struct service *s = c->entry->service;

	return str_fmt(c->arena, "/relay/%.*s%.*s", STR_ARG(s->host), STR_ARG(c->upstream_path));
}

enum err call_pick_peer(struct gw_call *c)
{
	const struct service *s = c->entry->service;
	enum err e = ERR_UNAVAILABLE;

	switch (s->kind) {
	case SERVICE_WEB:
		e = pick_web(c);
		break;
	case SERVICE_RELAY:
		e = pick_relay(c);
		if (e == ERR_OK && c->facts.n_tries == 0) {
			c->upstream_path = relay_path(c);
		}
		break;
	case SERVICE_ROLE:
		e = pick_role(c, s->host);
		break;
	case SERVICE_STREAM:
		break;
	}
	if (e == ERR_OK) {
		call_set_host(c);
	} else if (e == ERR_NOT_FOUND) {
		call_fail(c, 503, STR("name resolution failed"));
	} else {
		call_fail(c, 503, STR("The upstream server is currently unavailable"));
	}
	return e;
}
