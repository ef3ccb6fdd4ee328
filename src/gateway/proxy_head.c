/* Headers: what the service is told, and what the client is told of its answer. */
#include "gateway/call_int.h"
#include "gateway/spelling.h"
#include "http/chars.h"

#include <stdio.h>

#define VIA_NAME "kong/3.10.0"
#define VIA "1.1 " VIA_NAME
#define VIA_HTTP2 "2 " VIA_NAME
#define PASSES_MAX 8

/* ---- who the client is ---- */

static struct addr_nets trusted_nets(const struct gateway *g)
{
	return (struct addr_nets){g->trusted, g->n_trusted};
}

bool call_is_trusted(const struct gw_call *c)
{
	return addr_nets_have(trusted_nets(c->gl->gateway), exchange_peer(c->x));
}

static bool trusts_forwarded(const struct gw_call *c)
{
	return exchange_is_in_process(c->x) || call_is_trusted(c);
}

/* Of several lines the last one: the peer wrote it, or let it pass. */
struct str call_forwarded(const struct gw_call *c, struct str name)
{
	const struct http_headers *h = &exchange_request(c->x)->headers;

	for (size_t i = trusts_forwarded(c) ? h->n : 0; i-- > 0;) {
		if (str_eq_nocase(h->v[i].name, name)) {
			return h->v[i].value.p ? h->v[i].value : STR("");
		}
	}
	return STR_NULL;
}

/* `*room` is what the list has in the arena: 0 at first, when its text is somebody's. */
static void append(struct gw_call *c, struct str *list, size_t *room, struct str value)
{
	size_t n = list->n + 2 + value.n;
	char *at = (char *)list->p;

	if (list->n == 0) {
		*list = value;
		return;
	}
	if (n > *room) {
		*room = 2 * n;
		at = memcpy(arena_alloc(c->arena, *room), list->p, list->n);
	}
	at[list->n] = ',';
	at[list->n + 1] = ' ';
	memcpy(at + list->n + 2, value.p, value.n);
	*list = str_of(at, n);
}

static struct str joined(struct gw_call *c, struct str a, struct str b)
{
	size_t room = 0;

	append(c, &a, &room, b);
	return a;
}

/* Lines of one name are one list (RFC 9110 5.3), as the client sent them. */
static struct str request_list(struct gw_call *c, struct str name)
{
	const struct http_headers *h = &exchange_request(c->x)->headers;
	struct str list = STR_NULL;
	size_t room = 0;

	for (size_t i = 0; i < h->n; i++) {
		if (str_eq_nocase(h->v[i].name, name) && h->v[i].value.n > 0) {
			append(c, &list, &room, h->v[i].value);
		}
	}
	return list;
}

static const struct addr *told_client(struct gw_call *c, struct str list)
{
	const struct gateway *g = c->gl->gateway;
	struct addr a;

	if (!addr_told(list, trusted_nets(g), g->config->real_ip_recursive, &a)) {
		return NULL;
	}
	return memcpy(ARENA_NEW(c->arena, struct addr), &a, sizeof(a));
}

/* "proxy_protocol" is no header: what the PROXY protocol said is the peer already. */
void call_find_client(struct gw_call *c)
{
	const struct gateway *g = c->gl->gateway;

	c->client = exchange_peer(c->x);
	if (call_is_trusted(c) && !str_eq(g->config->real_ip_header, STR("proxy_protocol"))) {
		struct str told = request_list(c, g->config->real_ip_header);
		const struct addr *a = told.n > 0 ? told_client(c, told) : NULL;

		c->client = a ? a : c->client;
	}
	c->client_ip_n = addr_format_ip(c->client, c->client_ip);
}

/* Each pass through this gateway leaves a name in Via (RFC 9110 7.6.3). */
bool call_is_loop(struct gw_call *c)
{
	unsigned passes = 0;
	struct str via, hop;

	if (!exchange_is_in_process(c->x)) {
		return false;
	}
	via = request_list(c, STR("via"));
	while (str_split(&via, ',', &hop)) {
		passes += str_ends(hop, STR(VIA_NAME));
	}
	return passes >= PASSES_MAX;
}

/* ---- to the service ---- */

enum told {
	TOLD_FOR,
	TOLD_PROTO,
	TOLD_HOST,
	TOLD_PORT,
	TOLD_PATH,
	TOLD_PREFIX,
	TOLD_VIA,
	TOLD_HOSTNAME,
	TOLDS
};

static bool forwarded_name(struct str name, enum told *out)
{
	static const struct {
		uint8_t n;
		uint8_t told;
		const char *name;
	} names[] = {
		{15, TOLD_FOR, "x-forwarded-for"},   {17, TOLD_PROTO, "x-forwarded-proto"},
		{16, TOLD_HOST, "x-forwarded-host"}, {16, TOLD_PORT, "x-forwarded-port"},
		{16, TOLD_PATH, "x-forwarded-path"}, {18, TOLD_PREFIX, "x-forwarded-prefix"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (name.n == names[i].n && is_spelling(name, names[i].name)) {
			bool is_exact = str_eq_nocase(name, str_of(names[i].name, name.n));

			/* Otherwise the value counts for nothing. */
			*out = is_exact ? (enum told)names[i].told : TOLDS;
			return true;
		}
	}
	return false;
}

/*
 * Headers that the gateway writes itself, or that are about this connection only. Those of the
 * client's connection are gone already: what a plugin says of framing is not for the service.
 * `*out_told` is only set where the value counts.
 */
static bool is_ours(struct str name, enum told *out_told)
{
	switch (name.n) {
	case 2:
		return is_spelling(name, "te");
	case 3:
		if (is_spelling(name, "via")) {
			*out_told = TOLD_VIA;
			return true;
		}
		return false;
	case 4:
		if (is_spelling(name, "host")) {
			*out_told = TOLD_HOSTNAME;
			return true;
		}
		return false;
	case 5:
		return is_spelling(name, "proxy");
	case 6:
		return is_spelling(name, "expect");
	case 7:
		return is_spelling(name, "upgrade") || is_spelling(name, "trailer");
	case 9:
		return is_spelling(name, "x-real-ip");
	case 10:
		return is_spelling(name, "connection") || is_spelling(name, "keep-alive");
	case 14:
		return is_spelling(name, "content-length");
	case 15:
	case 16:
	case 17:
	case 18:
		if (forwarded_name(name, out_told)) {
			return true;
		}
		if (name.n == 16) {
			return is_spelling(name, "proxy-connection");
		}
		return name.n == 17 && (is_spelling(name, "x-kong-request-id") ||
					is_spelling(name, "transfer-encoding"));
	default:
		return false;
	}
}

static bool starts_as(struct str name, struct str lower)
{
	return name.n >= lower.n && is_spelling(str_slice(name, 0, lower.n), lower.p);
}

/* What the gateway says, of whom it speaks and how they proved it: that is for the head. */
static bool is_for_head(struct str name)
{
	static const struct str names[] = {
		STR_INIT("authorization"),
		STR_INIT("cookie"),
		STR_INIT("forwarded"),
	};
	static const struct str prefixes[] = {
		STR_INIT("proxy-"),	   STR_INIT("x-forwarded-"), STR_INIT("x-consumer-"),
		STR_INIT("x-credential-"), STR_INIT("x-anonymous-"), STR_INIT("x-authenticated-"),
		STR_INIT("x-kong-"),
	};
	enum told told;

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		if (starts_as(name, prefixes[i])) {
			return true;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (name.n == names[i].n && is_spelling(name, names[i].p)) {
			return true;
		}
	}
	return http_is_no_trailer(name) || is_ours(name, &told);
}

const struct http_headers *call_own_trailers(struct gw_call *c)
{
	const struct http_headers *from = c->trailers;
	struct http_headers *kept;

	if (!from) {
		return NULL;
	}
	kept = ARENA_NEW(c->arena, struct http_headers);
	for (size_t i = 0; i < from->n; i++) {
		if (!is_for_head(from->v[i].name) &&
		    !call_is_edited(c, PLUGIN_TO_SERVICE, from->v[i].name)) {
			http_header_add(c->arena, kept, from->v[i].name, from->v[i].value);
		}
	}
	return kept->n > 0 ? kept : NULL;
}

static void add(struct gw_call *c, struct str name, struct str value)
{
	http_header_add(c->arena, &c->headers, name, value);
}

static struct str without_port(struct str authority)
{
	ptrdiff_t colon = str_rindex(authority, ':');

	if (colon < 0 || str_index(authority, ']') > colon) {
		return authority;
	}
	return str_slice(authority, 0, (size_t)colon);
}

/* As TLS has it (RFC 6066 3): no brackets, no dot at the end. */
static struct str server_name(struct str authority)
{
	struct str host = without_port(authority);

	if (str_starts(host, STR("[")) && str_ends(host, STR("]"))) {
		return str_slice(host, 1, host.n - 2);
	}
	return str_ends(host, STR(".")) ? str_slice(host, 0, host.n - 1) : host;
}

/* Whom X-Forwarded-For names: who connected, and, where nobody is named before him, the client. */
static struct str hop_ip(struct gw_call *c, bool is_first)
{
	const struct addr *peer = exchange_peer(c->x);
	char *text;

	if (is_first || peer == c->client) {
		return str_of(c->client_ip, c->client_ip_n);
	}
	text = arena_alloc(c->arena, ADDR_TEXT_MAX);
	return str_of(text, addr_format_ip(peer, text));
}

static struct str number(struct gw_call *c, uint64_t v)
{
	char *end = (char *)arena_alloc(c->arena, 20) + 20, *at = str_put_digits(end, v);

	return str_of(at, (size_t)(end - at));
}

static struct str listener_port(struct gw_call *c, bool tls)
{
	uint16_t port = addr_port(exchange_local(c->x));

	if (port > 0) {
		return number(c, port);
	}
	return tls ? STR("443") : STR("80");
}

static void add_forwarded(struct gw_call *c, const struct str told[TOLDS])
{
	const struct http_request *r = exchange_request(c->x);
	bool trusted = trusts_forwarded(c), tls = exchange_is_tls(c->x);
	/* A pass through ourselves is no hop. */
	bool is_told = exchange_is_in_process(c->x) && told[TOLD_FOR].n > 0;
	struct str prefix = str_slice(c->path, 0, c->match.matched);
	struct str host =
		trusted && told[TOLD_HOST].n > 0 ? told[TOLD_HOST] : without_port(r->authority);

	add(c, STR("X-Forwarded-For"),
	    is_told ? told[TOLD_FOR] : joined(c, told[TOLD_FOR], hop_ip(c, told[TOLD_FOR].n == 0)));
	add(c, STR("X-Forwarded-Proto"),
	    trusted && told[TOLD_PROTO].n > 0 ? told[TOLD_PROTO]
	    : tls			      ? STR("https")
					      : STR("http"));
	if (host.n > 0) {
		add(c, STR("X-Forwarded-Host"), host);
	}
	/* Ours, not that of Host: anybody can write there what he likes. */
	add(c, STR("X-Forwarded-Port"),
	    trusted && told[TOLD_PORT].n > 0 ? told[TOLD_PORT] : listener_port(c, tls));
	add(c, STR("X-Forwarded-Path"),
	    trusted && told[TOLD_PATH].n > 0 ? told[TOLD_PATH] : r->path);
	if (trusted && told[TOLD_PREFIX].n > 0) {
		add(c, STR("X-Forwarded-Prefix"), told[TOLD_PREFIX]);
	} else if (c->entry->traits.strip_path && prefix.n > 0 && !str_eq(prefix, STR("/"))) {
		add(c, STR("X-Forwarded-Prefix"), prefix);
	}
}

/* Lines of a list are one list (RFC 9110 5.3); of others the last counts. */
static void note_told(struct gw_call *c, struct str *told, size_t *room, bool is_list,
		      struct str value)
{
	if (is_list) {
		append(c, told, room, value);
	} else {
		*told = value;
	}
}

/* Plugins may have set any of these: theirs win, but for those that are ours to say. */
void call_prepare_headers(struct gw_call *c)
{
	const struct http_request *r = exchange_request(c->x);
	struct http_headers *h = call_headers(c);
	struct str told[TOLDS + 1] = {0}; /* the last one counts for nothing */
	size_t room[TOLDS + 1] = {0}, kept = 0;

	for (size_t i = 0; i < h->n; i++) {
		enum told which = TOLDS;

		if (is_ours(h->v[i].name, &which)) {
			note_told(c, &told[which], &room[which],
				  which == TOLD_FOR || which == TOLD_VIA, h->v[i].value);
			continue;
		}
		if (kept != i) {
			h->v[kept] = h->v[i];
		}
		kept++;
	}
	h->n = kept;
	/* A line that is not the client's was put there by a plugin. */
	if (told[TOLD_HOSTNAME].p != http_header_get(&r->headers, STR("host")).p) {
		c->host_set = told[TOLD_HOSTNAME];
	}
	/* Whoever runs in circles here must not lose count. */
	if (exchange_is_in_process(c->x)) {
		told[TOLD_VIA] = request_list(c, STR("via"));
	}
	c->host_at = h->n;
	add(c, STR("Host"), STR_NULL);
	add(c, STR("X-Real-IP"), str_of(c->client_ip, c->client_ip_n));
	add_forwarded(c, told);
	add(c, STR("Via"), joined(c, told[TOLD_VIA], r->major == 2 ? STR(VIA_HTTP2) : STR(VIA)));
	if (r->te_trailers) {
		add(c, STR("TE"), STR("trailers"));
	}
	if (c->gl->gateway->config->headers_upstream) {
		add(c, STR("X-Kong-Request-Id"), str_of(c->request_id, sizeof(c->request_id)));
	}
	/*
	 * HTTP/2 has no such upgrade: a service of it answers as if none was asked for. Nor has a
	 * request with a body, were it a plugin's: it would still be on its way when the tunnel
	 * ends.
	 */
	c->upgrade =
		r->upgrade_websocket && r->major == 1 && !c->entry->service->http2 && !c->has_body;
	if (c->upgrade) {
		add(c, STR("Upgrade"), STR("websocket"));
	}
}

void call_set_host(struct gw_call *c)
{
	const struct service *s = c->entry->service;
	struct str said = exchange_request(c->x)->authority; /* HTTP/1.0 may say nothing */
	struct str *value = &c->headers.v[c->host_at].value;

	if (c->host_set.n > 0) {
		*value = c->host_set;
	} else if (c->entry->traits.preserve_host && said.n > 0) {
		*value = said;
	} else {
		*value = c->peer.authority.n > 0 ? c->peer.authority : s->authority;
	}
	if (c->entry->tls) {
		c->peer.sni = server_name(*value);
	}
}

/* ---- to the client ---- */

void call_take_answer_head(struct gw_call *c, const struct http_response *r)
{
	struct http_headers *h = &c->answer;
	size_t kept = 0;

	h->cap = r->headers.n + c->own.n + c->extra.n + 8;
	h->v = arena_alloc(c->arena, h->cap * sizeof(*h->v));
	h->n = r->headers.n;
	if (h->n > 0) {
		memcpy(h->v, r->headers.v, h->n * sizeof(*h->v));
	}
	http_strip_hop_by_hop(h);
	for (size_t i = 0; i < h->n; i++) {
		if (TOKEN_IS(h->v[i].name, "content-length")) {
			continue;
		}
		if (kept != i) {
			h->v[kept] = h->v[i];
		}
		kept++;
	}
	h->n = kept;
}

/* What the gateway tells, and what plugins put into the head, comes behind it from nobody. */
static bool is_of_answer_head(const struct gw_call *c, struct str name)
{
	return starts_as(name, STR("x-kong-")) || str_eq_nocase(name, STR("via")) ||
	       http_header_get(&c->own, name).p || http_header_get(&c->extra, name).p ||
	       call_is_edited(c, PLUGIN_TO_CLIENT, name);
}

const struct http_headers *call_answer_trailers(struct gw_call *c)
{
	const struct http_headers *from = c->answer_trailers;
	struct http_headers *kept;

	if (!from) {
		return NULL;
	}
	kept = ARENA_NEW(c->arena, struct http_headers);
	for (size_t i = 0; i < from->n; i++) {
		if (!is_of_answer_head(c, from->v[i].name)) {
			http_header_add(c->arena, kept, from->v[i].name, from->v[i].value);
		}
	}
	return kept->n > 0 ? kept : NULL;
}

static void add_latencies(struct gw_call *c)
{
	struct http_headers *h = &c->answer;
	uint64_t total = loop_now_ms(c->gl->loop) - c->start_ms;

	if (!c->from_service) {
		http_header_add(c->arena, h, STR("X-Kong-Response-Latency"), number(c, total));
		return;
	}
	http_header_set(c->arena, h, STR("X-Kong-Upstream-Latency"),
			number(c, (uint64_t)c->facts.upstream_ms));
	http_header_set(c->arena, h, STR("X-Kong-Proxy-Latency"), number(c, c->facts.gateway_ms));
}

static void add_debug(struct gw_call *c)
{
	struct http_headers *h = &c->answer;
	const struct gw_route *r = call_route(c);
	const struct gw_service *s = call_service(c);

	if (!str_eq(http_header_get(&exchange_request(c->x)->headers, STR("Kong-Debug")),
		    STR("1"))) {
		return;
	}
	if (r) {
		http_header_add(c->arena, h, STR("Kong-Route-Id"), str_of(r->id_text, GUID_D_LEN));
		http_header_add(c->arena, h, STR("Kong-Route-Name"), r->name);
	}
	if (s) {
		http_header_add(c->arena, h, STR("Kong-Service-Id"),
				str_of(s->id_text, GUID_D_LEN));
		http_header_add(c->arena, h, STR("Kong-Service-Name"), s->name);
	}
}

/* Not beside what the service says there, as another gateway behind this one would. */
void call_finish_answer_head(struct gw_call *c)
{
	struct gateway *g = c->gl->gateway;
	struct http_headers *h = &c->answer;
	uint64_t total = loop_now_ms(c->gl->loop) - c->start_ms;
	uint64_t upstream = c->facts.upstream_ms > 0 ? (uint64_t)c->facts.upstream_ms : 0;

	c->facts.gateway_ms = (uint32_t)(total > upstream ? total - upstream : 0);
	if (g->tell & GW_TELL_SERVER) {
		http_header_add(c->arena, h, c->from_service ? STR("Via") : STR("Server"),
				c->from_service ? STR(VIA) : STR("kong/3.10.0"));
	}
	if (g->tell & GW_TELL_LATENCY) {
		add_latencies(c);
	}
	if (g->tell & GW_TELL_UPSTREAM_STATUS && c->facts.upstream_status > 0) {
		http_header_set(c->arena, h, STR("X-Kong-Upstream-Status"),
				number(c, (uint64_t)c->facts.upstream_status));
	}
	if (g->tell & GW_TELL_REQUEST_ID) {
		http_header_set(c->arena, h, STR("X-Kong-Request-Id"),
				str_of(c->request_id, sizeof(c->request_id)));
	}
	if (g->config->allow_debug_header) {
		add_debug(c);
	}
}
