/* GET /.well-known/relayserver-configuration (RelayServer 2.1) and the health endpoints. */
#include "base/clock.h"
#include "relay/endpoint.h"
#include "relay/forwarded.h"

enum { PARKED_MS = 2000 };

static struct str base_url(struct relay_loop *rl, struct exchange *x)
{
	const struct relay_epoch *e = rl->epoch;
	struct str url = e->config->public_url;

	if (url.n > 0) {
		return str_ends(url, STR("/")) ? str_slice(url, 0, url.n - 1) : url;
	}
	if (exchange_is_in_process(x)) {
		return exchange_base_url(x);
	}
	struct forwarded f = {.peer = *exchange_peer(x), .is_tls = exchange_is_tls(x)};

	f.peer_is_trusted = relay_epoch_trusts(e, &f.peer);
	return str_fmt(exchange_arena(x), "%.*s://%.*s",
		       STR_ARG(forwarded_scheme(&f, exchange_headers(x))),
		       STR_ARG(exchange_host(x)));
}

static void put(struct json_writer *w, const char *key, struct str value)
{
	json_key(w, str_c(key));
	json_put_str(w, value);
}

static void put_span(struct json_writer *w, const char *key, int64_t ms)
{
	char text[TIMESPAN_LEN_MAX];

	put(w, key, str_of(text, timespan_format(ms, text)));
}

static void put_endpoint(struct json_writer *w, struct arena *a, const char *key, struct str base,
			 const char *path)
{
	put(w, key, str_fmt(a, "%.*s%s", STR_ARG(base), path));
}

/* An issuer in this process that was given no address answers on the relay's own. */
static void put_authority(struct json_writer *w, struct relay_loop *rl, struct arena *a,
			  struct str base)
{
	struct str authority = rl->epoch->config->authority;
	struct str token_endpoint = trust_token_endpoint(rl->trust);

	if (authority.n == 0) {
		authority = token_endpoint.n > 0 ? trust_issuer(rl->trust) : base;
	}
	put_endpoint(w, a, "authorizationServer", authority,
		     str_ends(authority, STR("/")) ? "" : "/");
	if (token_endpoint.n > 0) {
		put(w, "authorizationTokenEndpoint", token_endpoint);
	} else {
		put_endpoint(w, a, "authorizationTokenEndpoint", base, "/connect/token");
	}
}

static void write_document(struct relay_loop *rl, struct exchange *x, struct buf *out)
{
	const struct relay_config *c = rl->epoch->config;
	struct json_writer w = json_writer_to(out);
	struct arena *a = exchange_arena(x);
	struct str base = base_url(rl, x);

	json_begin_object(&w);
	put(&w, "serverVersion", STR("3.1.0+posthouse." POSTHOUSE_VERSION));
	put_authority(&w, rl, a, base);
	put_endpoint(&w, a, "connectorEndpoint", base, "/connector");
	put_endpoint(&w, a, "acknowledgeEndpoint", base, "/acknowledge");
	put_endpoint(&w, a, "requestEndpoint", base, "/body/request");
	put_endpoint(&w, a, "responseEndpoint", base, "/body/response");
	put_span(&w, "endpointTimeout", c->endpoint_timeout_ms);
	put_span(&w, "reconnectMinimumDelay", c->reconnect_minimum_delay_ms);
	put_span(&w, "reconnectMaximumDelay", c->reconnect_maximum_delay_ms);
	put_span(&w, "handshakeTimeout", c->handshake_timeout_ms);
	put_span(&w, "keepAliveInterval", c->keep_alive_interval_ms);
	json_end_object(&w);
}

static void answer(struct relay_loop *rl, struct exchange *x)
{
	struct buf b = {0};

	if (!rl->trust) {
		exchange_reply_status(x, 503); /* connectors ask again every 10 s */
		return;
	}
	write_document(rl, x, &b);
	exchange_reply_text(x, 200, STR("application/json; charset=utf-8"), buf_str(&b));
	buf_free(&b);
}

void discovery_unpark(struct relay_loop *rl)
{
	timer_pause(&rl->parked_timer);
	while (rl->n_parked > 0) {
		struct exchange *x = exchange_find(rl->parked[--rl->n_parked]);

		if (x) {
			answer(rl, x);
		}
	}
}

static void on_parked_long(struct timer *t)
{
	discovery_unpark(container_of(t, struct relay_loop, parked_timer));
}

/* Just started: the first fetch is under way, and a 503 would cost the connector 10 s. */
void endpoint_discovery(struct relay_loop *rl, struct exchange *x)
{
	if (rl->trust || rl->draining || rl->n_parked == RELAY_PARKED_MAX) {
		answer(rl, x);
		return;
	}
	if (rl->n_parked == 0) {
		timer_start(rl->loop, &rl->parked_timer, PARKED_MS, on_parked_long);
	}
	rl->parked[rl->n_parked++] = exchange_id(x);
}

void endpoint_ready(struct relay_loop *rl, struct exchange *x)
{
	bool ready = relay_ready(rl->relay);

	exchange_reply_text(x, ready ? 200 : 503, STR("text/plain"),
			    ready ? STR("ready") : STR("not ready"));
}
