/* What plugins see of a call. */
#include "base/clock.h"
#include "gateway/call_int.h"
#include "gateway/spelling.h"

struct loop *call_loop(const struct gw_call *c)
{
	return c->gl->loop;
}

struct arena *call_arena(struct gw_call *c)
{
	return c->arena;
}

const struct http_request *call_request(const struct gw_call *c)
{
	return exchange_request(c->x);
}

bool call_is_tls(const struct gw_call *c)
{
	return exchange_is_tls(c->x);
}

struct str call_protocol(const struct gw_call *c)
{
	switch (c->protocol) {
	case GW_HTTPS:
		return STR("https");
	case GW_GRPC:
		return STR("grpc");
	case GW_GRPCS:
		return STR("grpcs");
	default:
		return STR("http");
	}
}

struct str call_request_id(const struct gw_call *c)
{
	return str_of(c->request_id, sizeof(c->request_id));
}

const struct addr *call_client_addr(const struct gw_call *c)
{
	return c->client;
}

struct str call_client_ip(const struct gw_call *c)
{
	return str_of(c->client_ip, c->client_ip_n);
}

const struct gw_route *call_route(const struct gw_call *c)
{
	return c->entry ? &routing_route(c->hold->epoch->routing, c->match.rule)->pub : NULL;
}

const struct gw_service *call_service(const struct gw_call *c)
{
	return c->entry && c->entry->service ? &c->entry->service->pub : NULL;
}

struct str call_path(const struct gw_call *c)
{
	return c->path;
}

const struct router_match *call_match(const struct gw_call *c)
{
	return &c->match;
}

/* Asked for by few: the clock is read then, and set back by what has passed. */
int64_t call_start_wall_ms(const struct gw_call *c)
{
	return clock_wall_ms() - (int64_t)(loop_now_ms(c->gl->loop) - c->start_ms);
}

/* ---- authentication ---- */

const struct gw_credential *call_find_credential(const struct gw_call *c,
						 enum gw_credential_kind kind, struct str key)
{
	const struct gw_credential *found =
		identity_credential(c->hold->epoch->identity, kind, key);

	if (found && found->expires_ms > 0 && clock_wall_ms() >= found->expires_ms) {
		return NULL;
	}
	return found;
}

const struct gw_consumer *call_find_consumer(const struct gw_call *c, struct str id_or_name)
{
	return identity_consumer(c->hold->epoch->identity, id_or_name);
}

const struct gw_consumer *call_consumer(const struct gw_call *c)
{
	return c->consumer;
}

const struct gw_credential *call_credential(const struct gw_call *c)
{
	return c->credential;
}

/* What call_authenticate says, and plugins say of who was authenticated. */
static const struct str identity_names[] = {
	STR_INIT("x-consumer-id"),	    STR_INIT("x-consumer-custom-id"),
	STR_INIT("x-consumer-username"),    STR_INIT("x-credential-identifier"),
	STR_INIT("x-anonymous-consumer"),   STR_INIT("x-consumer-groups"),
	STR_INIT("x-authenticated-userid"), STR_INIT("x-authenticated-scope"),
	STR_INIT("x-authenticated-groups"),
};
#define SHORTEST_IDENTITY 13

static bool is_identity(struct str name)
{
	if (name.n < SHORTEST_IDENTITY || ascii_lower(name.p[0]) != 'x') {
		return false;
	}
	char first = ascii_lower(name.p[2]);

	if (first != 'a' && first != 'c') {
		return false; /* as those that proxies add */
	}
	for (size_t i = 0; i < ARRAY_LEN(identity_names); i++) {
		if (name.n == identity_names[i].n && is_spelling(name, identity_names[i].p)) {
			return true;
		}
	}
	return false;
}

static bool has_identity(const struct http_headers *h)
{
	size_t i = 0;

	while (i < h->n && !is_identity(h->v[i].name)) {
		i++;
	}
	return i < h->n;
}

static void strip_identity(struct http_headers *h)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->n; i++) {
		if (!is_identity(h->v[i].name)) {
			h->v[kept++] = h->v[i];
		}
	}
	h->n = kept;
}

/* Left out with blanks at an end: who reads it takes them off, and "admin " is not "admin". */
static void tell_identity(struct gw_call *c, struct str name, struct str value)
{
	if (value.n > 0 && str_trim(value).n == value.n) {
		http_header_add(c->arena, call_headers(c), name, value);
	}
}

static void authenticate(struct gw_call *c, const struct gw_consumer *consumer,
			 const struct gw_credential *credential)
{
	strip_identity(call_headers(c));
	c->consumer = consumer;
	c->credential = credential;
	tell_identity(c, STR("X-Consumer-ID"), str_of(consumer->id_text, GUID_D_LEN));
	tell_identity(c, STR("X-Consumer-Custom-ID"), consumer->custom_id);
	tell_identity(c, STR("X-Consumer-Username"), consumer->username);
	if (credential) {
		tell_identity(c, STR("X-Credential-Identifier"), credential->identifier);
	} else {
		tell_identity(c, STR("X-Anonymous-Consumer"), STR("true"));
	}
	if (c->plan->n_choices > 0) {
		c->plugins = plan_for_consumer(c->arena, c->plan, &consumer->id);
	}
}

bool call_authenticate(struct gw_call *c, const struct gw_credential *credential)
{
	const struct gw_consumer *owner = identity_owner(c->hold->epoch->identity, credential);

	if (owner) {
		authenticate(c, owner, credential);
	}
	return owner != NULL;
}

void call_authenticate_anonymous(struct gw_call *c, const struct gw_consumer *consumer)
{
	authenticate(c, consumer, NULL);
}

/* ---- the request to the service ---- */

struct http_headers *call_headers(struct gw_call *c)
{
	struct http_headers *h = &c->headers;
	const struct http_headers *from = &exchange_request(c->x)->headers;

	if (!h->v) {
		h->cap = from->n + 16;
		h->v = arena_alloc(c->arena, h->cap * sizeof(*h->v));
		h->n = from->n;
		if (from->n > 0) {
			memcpy(h->v, from->v, from->n * sizeof(*h->v));
		}
		http_strip_hop_by_hop(h);
		/*
		 * Also where no plugin authenticates: another route to the service may. In this
		 * process it was a former pass through the gateway that said who the client is.
		 */
		if (!exchange_is_in_process(c->x)) {
			strip_identity(h);
		}
	}
	return h;
}

const struct http_headers *call_shown_headers(struct gw_call *c)
{
	const struct http_headers *sent = &exchange_request(c->x)->headers, *own;
	struct http_headers *h;

	if (!c->consumer && !has_identity(sent) && !has_identity(&c->headers)) {
		return sent;
	}
	own = call_headers(c);
	h = ARENA_NEW(c->arena, struct http_headers);
	h->cap = sent->n + own->n;
	h->v = arena_alloc(c->arena, h->cap * sizeof(*h->v));
	for (size_t i = 0; i < sent->n; i++) {
		if (!is_identity(sent->v[i].name)) {
			http_header_add(c->arena, h, sent->v[i].name, sent->v[i].value);
		}
	}
	for (size_t i = 0; i < own->n; i++) {
		if (is_identity(own->v[i].name)) {
			http_header_add(c->arena, h, own->v[i].name, own->v[i].value);
		}
	}
	return h;
}

struct str call_upstream_path(const struct gw_call *c)
{
	return c->upstream_path;
}

void call_set_upstream_path(struct gw_call *c, struct str path)
{
	c->upstream_path = path;
}

struct str call_upstream_query(const struct gw_call *c)
{
	return c->upstream_query;
}

void call_set_upstream_query(struct gw_call *c, struct str query)
{
	c->upstream_query = query;
}

struct str call_body(const struct gw_call *c)
{
	return c->body;
}

void call_set_body(struct gw_call *c, struct str body)
{
	c->body = body;
	c->has_body = true;
}

void call_set_method(struct gw_call *c, struct str method)
{
	c->method = method;
}

void call_limit_body(struct gw_call *c, uint64_t max)
{
	c->body_max = MIN(c->body_max, max);
}

/* ---- the answer ---- */

void call_add_answer_header(struct gw_call *c, struct str name, struct str value)
{
	http_header_add(c->arena, &c->extra, name, value);
}

void call_set_answer_header(struct gw_call *c, struct str name, struct str value)
{
	http_header_set(c->arena, &c->own, name, value);
}

int call_status(const struct gw_call *c)
{
	return c->status;
}

void call_set_status(struct gw_call *c, int status)
{
	c->status = status;
}

struct http_headers *call_answer_headers(struct gw_call *c)
{
	return &c->answer;
}

struct str call_answer_body(const struct gw_call *c)
{
	return buf_str(&c->answer_body);
}

void call_set_answer_body(struct gw_call *c, struct str body)
{
	struct buf old = c->answer_body;

	c->answer_body = (struct buf){0};
	buf_put(&c->answer_body, body); /* may stand in the old one */
	buf_free(&old);
}

bool call_is_from_service(const struct gw_call *c)
{
	return c->from_service;
}

const struct call_facts *call_facts(const struct gw_call *c)
{
	return &c->facts;
}
