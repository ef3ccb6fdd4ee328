/*
 * call_int - what the files behind a gateway call share
 *
 * Who holds whom: the gateway has a gw_loop for each event loop; that has the hold of the
 * current epoch and the HTTP client towards services. A call is made in the arena of its
 * exchange and holds a hold; it has at most one upstream call at a time.
 *
 *   proxy.c           from the request to the answer: the state machine
 *   proxy_upstream.c  tries, and the service's answer
 *   proxy_target.c    where the upstream request goes
 *   proxy_head.c      headers to the service and to the client
 *   proxy_answer.c    answers of our own
 *   tunnel.c          after 101
 *   call.c            what plugins see
 */
#pragma once
#include "gateway/body_budget.h"
#include "gateway/call.h"
#include "gateway/gateway.h"
#include "http/client.h"

/* An epoch in use on a loop; the count needs no atomics. */
struct hold {
	struct epoch *epoch;
	unsigned calls;
	bool current;
};

struct gw_loop {
	struct gateway *gateway;
	struct loop *loop;
	struct hold *hold;
	struct http_client *client;
	struct list calls; /* for gateway_stop */
	struct list tunnels;
	struct body_share bodies;
	uint64_t warn_of_bodies_at_ms, warn_of_roles_at_ms;
	uint64_t warn_of_answers_at_ms, warn_of_requests_at_ms;
	_Atomic uint32_t active;
	bool is_flushed;
};

enum header_flags {
	GW_TELL_SERVER = 1,
	GW_TELL_LATENCY = 2,
	GW_TELL_REQUEST_ID = 4,
	GW_TELL_UPSTREAM_STATUS = 8,
};

struct gateway {
	struct gateway_deps deps;
	const struct gateway_config *config;
	uint64_t flush_until_ms; /* 0 = not ending */
	struct addr_net *trusted;
	size_t n_trusted;
	unsigned tell; /* enum header_flags */
	struct builder *builder;
	struct epoch *epoch; /* the latest */
	struct guid node_id;
	struct gw_loop *per_loop;
	struct body_budget bodies;
	struct arena texts; /* of `dns` and `role_urls` */
	struct dns_options dns;
	enum err dns_result;
	struct gateway_role_urls role_urls;
	struct tls_client *role_tls; /* of https ones; NULL = as any client */
};

enum call_state {
	CALL_NEW,
	CALL_BODY,     /* collecting the client's body */
	CALL_UPSTREAM, /* a try is under way, no head yet */
	CALL_ANSWER,   /* the service's answer is passed on */
	CALL_WHOLE,    /* the service's answer is collected for plugins */
	CALL_TUNNEL,   /* both sides are streams */
	CALL_DONE,
	CALL_STATES,
};

#define GW_TRIES_MAX 16

/* Where this try goes. */
struct gw_peer {
	struct uri uri;
	const struct addr *addr;    /* NULL = to be looked up */
	struct http_server *server; /* instead: of this process */
	struct str authority;	    /* of the balancer's target; empty = the service's */
	struct tls_client *tls;	    /* NULL = plain, or as any client */
	struct str sni;
};

/* What the tries of a call need when they are balanced. */
struct gw_balance {
	struct gw_call *call;
	struct balancer *balancer; /* of the try under way; NULL = none */
	struct balancer_try tries;
	struct balancer_waiter waiter;
	struct balancer_key key;
	struct addr addr;
	struct timer dns_timer; /* names get as long as a connection does */
};

struct gw_call {
	struct list_node node;
	struct exchange *x;
	struct gw_loop *gl;
	struct hold *hold;
	const struct entry *entry; /* NULL = no route */
	struct arena *arena;
	enum call_state state;
	unsigned protocol; /* enum gw_protocol */
	/* the request */
	struct str path; /* normalized */
	struct router_match match;
	struct http_headers headers;
	struct str upstream_path, upstream_query;
	struct str method;
	struct str body;		     /* collected, or set by a plugin */
	uint64_t body_max;		     /* of call_limit_body */
	const struct http_headers *trailers; /* of the body, as they came; NULL = none */
	struct buf kept_body;		     /* streamed: all that has come, for another try */
	size_t bytes_held;		     /* for plugins, of either body: out of the budget */
	bool has_body;			     /* `body` is what is sent */
	bool streams_body;
	bool keeps_body; /* it is small so far, and may be sent again */
	bool body_over;	 /* the end of a streamed one has come */
	bool answered;	 /* by us */
	bool body_asked; /* exchange_stream was called */
	bool sent;	 /* bytes of this try may have reached a service */
	bool from_service;
	bool upgrade;
	bool logged;
	const struct addr *client;
	char client_ip[ADDR_TEXT_MAX];
	size_t client_ip_n;
	char request_id[32];
	/* plugins */
	const struct plan *plan;
	const struct plugin_instance *const *plugins;
	size_t n_plugins;
	unsigned needs;
	size_t turn; /* in access: whose it is */
	const struct gw_consumer *consumer;
	const struct gw_credential *credential;
	/* towards the service */
	struct http_call *call;
	unsigned tries_left;
	struct gw_balance *balance; /* NULL = the service needs none */
	struct gw_peer peer;
	size_t host_at;	     /* of the Host line in `headers` */
	struct str host_set; /* by a plugin; empty = ours */
	uint64_t upstream_start_ms;
	/* the answer */
	int status;
	struct http_headers answer;
	struct http_headers extra; /* of plugins, for any answer: added to it */
	struct http_headers own;   /* the same, in place of the service's */
	struct str upgrade_to;	   /* of an answer that asks for another protocol */
	const struct http_headers *answer_trailers; /* known just before the end */
	struct buf answer_body;
	bool answer_body_set;
	bool answer_refused;   /* by a plugin */
	int64_t answer_length; /* as announced; -1 = chunked */
	/* for logs */
	struct call_facts facts;
	struct call_try *tries; /* GW_TRIES_MAX at most; made with the first */
	int64_t start_wall_ms;
	uint64_t start_ms;
	struct str log_record;
};

/* proxy.c */
void call_enter(struct gw_call *c, enum call_state to);
void call_run_response_head(struct gw_call *c);
/* Whether a plugin that runs for this call is to have the body of the answer with this head. */
bool call_wants_answer_body(const struct gw_call *c);
void call_run_response_body(struct gw_call *c);
/* Whether a plugin has its own mind about headers of that name. */
bool call_is_edited(const struct gw_call *c, enum plugin_side to, struct str name);
/* The log phase, once. */
void call_log(struct gw_call *c);
/*
 * The exchange is about to end, and with it the call's memory: nothing of the gateway points to
 * it any more. The hold is put back when the answer is out, since headers and body may stand in
 * the epoch.
 */
struct hold *call_leave(struct gw_call *c);
void hold_put(struct hold *h);

/* proxy_target.c */
/* Before the gateway adds its headers: what is hashed is the client's and plugins'. */
void call_start_balance(struct gw_call *c);
/* The next peer. ERR_AGAIN: call_retry_target comes later. Any other failure: it was answered. */
enum err call_pick_peer(struct gw_call *c) MUST_USE;
/* The try ended: tells the balancer, once. */
void call_tell_balancer(struct gw_call *c, enum balancer_outcome outcome, int status);

/* proxy_upstream.c */
/* The request is complete, or its body is streamed: to the service. */
void call_go_upstream(struct gw_call *c);
/* The next piece of a streamed body, and its end. */
void call_pass_body(struct gw_call *c, struct str data);
void call_end_body(struct gw_call *c);
/* Of an answer that is cut: for that nobody is blamed, nor praised. */
enum balancer_outcome call_cut_outcome(const struct gw_call *c);
/* As call_pick_peer announced. */
void call_retry_target(struct gw_call *c);

/* proxy.c, on the loop */
void gw_loop_take_epoch(struct gw_loop *gl, struct epoch *e);
void gw_loop_drop_epoch(struct gw_loop *gl);
/* Seldom enough for a log, whatever clients do; notes that it was said. */
bool gw_loop_may_warn(const struct gw_loop *gl, uint64_t *at_ms);

/* proxy_head.c */
void call_prepare_headers(struct gw_call *c);
/* Trailers that are the client's to say; NULL = none. Known when sent: plugins may edit. */
const struct http_headers *call_own_trailers(struct gw_call *c);
/* Those that are the service's to say. */
const struct http_headers *call_answer_trailers(struct gw_call *c);
/* Host of this try. */
void call_set_host(struct gw_call *c);
bool call_is_trusted(const struct gw_call *c);
/* An X-Forwarded- header of a trusted peer or of this gateway on its way to itself; else p NULL. */
struct str call_forwarded(const struct gw_call *c, struct str name);
void call_find_client(struct gw_call *c);
/* role://gateway has brought it back here too often. */
bool call_is_loop(struct gw_call *c);
/* Headers of an answer that came from the service; `r` is borrowed for the call. */
void call_take_answer_head(struct gw_call *c, const struct http_response *r);
/* What every answer carries: Via or Server, latencies, request id, what plugins added. */
void call_finish_answer_head(struct gw_call *c);

/* proxy_answer.c */
/* Errors of the HTTP layer: by Accept, else request Content-Type, else the default type. */
void call_fail(struct gw_call *c, int status, struct str message);
/* 426 with Upgrade. */
void call_ask_upgrade(struct gw_call *c, struct str protocol, struct str message);
/* What frames an answer, or is about one connection, is not for plugins to add: out with it. */
void call_strip_framing(struct gw_call *c);
/* Of an answer that cannot be passed on: 502. */
void call_fail_bad_answer(struct gw_call *c);
/* Before `n` more bytes are kept for plugins. False: there is no room, and 503 was answered. */
bool call_hold_bytes(struct gw_call *c, size_t n) MUST_USE;
/* Whether a gRPC route fits the request; otherwise it was answered. */
bool call_grpc_fits(struct gw_call *c);

/* tunnel.c */
void tunnel_start(struct gw_call *c, struct stream *service, struct str early);
void tunnel_stop_all(struct gw_loop *gl);
