/*
 * call - one client request on its way through the gateway, as plugins see it
 *
 * Everything lives in the request's arena. Headers of the upstream request start as those of
 * the client without hop-by-hop ones and those that say who it is; what a plugin changes is what
 * the service gets.
 *
 * Threads  the loop of the client's connection.
 * Life     from routing to the end of the log phase. Plugins keep no pointer to it.
 */
#pragma once
#include "base/guid.h"
#include "gateway/router.h"
#include "http/message.h"
#include "net/addr.h"

struct gw_call;
struct loop;

struct gw_service {
	struct guid id;
	char id_text[GUID_D_LEN];
	struct str name, host;
	const struct json *json; /* for logs */
	struct str log_json;	 /* of log_record_of_entity; p NULL = made from `json` */
};

struct gw_route {
	struct guid id;
	char id_text[GUID_D_LEN];
	struct str name;
	const struct json *json;
	struct str log_json;
};

struct gw_consumer {
	struct guid id;
	char id_text[GUID_D_LEN];
	struct str username;	   /* p NULL = not set */
	struct str custom_id;	   /* p NULL = not set */
	struct router_strs groups; /* acls, sorted */
	const struct json *json;
	struct str log_json;
};

enum gw_credential_kind { GW_KEY_AUTH, GW_BASIC_AUTH, GW_CREDENTIAL_KINDS };

struct gw_credential {
	enum gw_credential_kind kind;
	char id_text[GUID_D_LEN];
	struct str key;	       /* key-auth: key; basic-auth: username */
	struct str secret;     /* basic-auth: hex sha1(password + consumer id) */
	struct str identifier; /* X-Credential-Identifier */
	int64_t expires_ms;    /* wall; 0 = never */
	struct guid consumer_id;
};

/* ---- who and what ---- */

struct loop *call_loop(const struct gw_call *c);
struct arena *call_arena(struct gw_call *c);
/* As received: its headers may say that the client is anybody. */
const struct http_request *call_request(const struct gw_call *c);
bool call_is_tls(const struct gw_call *c);
/* "http", "https", "grpc", "grpcs" */
struct str call_protocol(const struct gw_call *c);
struct str call_request_id(const struct gw_call *c);	      /* 32 hex digits */
const struct addr *call_client_addr(const struct gw_call *c); /* after trusted_ips */
struct str call_client_ip(const struct gw_call *c);
const struct gw_route *call_route(const struct gw_call *c);	/* NULL = none matched */
const struct gw_service *call_service(const struct gw_call *c); /* NULL = route without one */
struct str call_path(const struct gw_call *c);			/* normalized; what was routed */
const struct router_match *call_match(const struct gw_call *c);
int64_t call_start_wall_ms(const struct gw_call *c);

/* ---- authentication ---- */

/* NULL when unknown, or past its ttl. */
const struct gw_credential *call_find_credential(const struct gw_call *c,
						 enum gw_credential_kind kind, struct str key);
/* By id or username; NULL when there is none. */
const struct gw_consumer *call_find_consumer(const struct gw_call *c, struct str id_or_name);
const struct gw_consumer *call_consumer(const struct gw_call *c);
const struct gw_credential *call_credential(const struct gw_call *c);
/*
 * Sets the X-Consumer-* and X-Credential-Identifier headers for the service, in place of all that
 * was said of another consumer, and selects plugins of the consumer anew. False, and nothing is
 * done: the credential is nobody's.
 */
bool call_authenticate(struct gw_call *c, const struct gw_credential *credential) MUST_USE;
/* The same with X-Anonymous-Consumer in place of the credential. */
void call_authenticate_anonymous(struct gw_call *c, const struct gw_consumer *consumer);

/* ---- the request to the service ---- */

/*
 * As the service gets them so far. Of who the client is they hold nothing that it said itself:
 * whatever decides or tells that reads these.
 */
struct http_headers *call_headers(struct gw_call *c);
/* Those that came, as people are shown them: but who the client is as the gateway says it. */
const struct http_headers *call_shown_headers(struct gw_call *c);
/* Path of the upstream request, escaped, and raw query without '?' (p NULL = none). */
struct str call_upstream_path(const struct gw_call *c);
void call_set_upstream_path(struct gw_call *c, struct str path);
struct str call_upstream_query(const struct gw_call *c);
void call_set_upstream_query(struct gw_call *c, struct str query);
/* Only for plugins that need it (plugin.needs); the whole body, collected before their `access`. */
struct str call_body(const struct gw_call *c);
void call_set_body(struct gw_call *c, struct str body);
void call_set_method(struct gw_call *c, struct str method);
/* In access: a body that grows longer while it is passed on is cut off, with 413 if there is no
 * answer yet. The least of all calls counts. */
void call_limit_body(struct gw_call *c, uint64_t max);

/* ---- answers of our own; the access phase ends with the first ---- */

/* R(status, message): template by Accept, with the request id; gRPC gets grpc-status. */
void call_error(struct gw_call *c, int status, struct str message);
struct call_answer {
	int status;
	struct str content_type; /* p NULL = none */
	struct str body;
};
void call_answer(struct gw_call *c, const struct call_answer *a);
/* J(status, …): compact JSON, "application/json; charset=utf-8". */
void call_answer_json(struct gw_call *c, int status, struct str json);

/* ---- the answer to the client ---- */

/*
 * From access on: a header for whatever answer the client gets. Not copied: literals, what the
 * request or the plugin's configuration holds, or of call_arena.
 */
void call_add_answer_header(struct gw_call *c, struct str name, struct str value);
/* The same, in place of what the service says under that name. */
void call_set_answer_header(struct gw_call *c, struct str name, struct str value);
/* In response_head: status and headers that came (or that we made), to be edited. */
int call_status(const struct gw_call *c);
void call_set_status(struct gw_call *c, int status);
struct http_headers *call_answer_headers(struct gw_call *c);
/* In response_body: the whole body, may be replaced. */
struct str call_answer_body(const struct gw_call *c);
void call_set_answer_body(struct gw_call *c, struct str body);
/*
 * In response_body: the client gets a 502 in place of this answer, and nothing of it; the log
 * gets `why`.
 */
void call_refuse_answer(struct gw_call *c, const char *why);
/* Whether the service answered (true) or the gateway did. */
bool call_is_from_service(const struct gw_call *c);

/* ---- log phase ---- */

struct call_try {
	char ip[ADDR_TEXT_MAX];
	uint16_t port;
	int64_t start_wall_ms;
	uint32_t latency_ms;
};

/* Of the client's connection; static texts. */
struct call_tls {
	struct str version, cipher; /* p NULL = no TLS */
	struct str verify;	    /* as of struct tls_info */
};

struct call_facts {
	int status;
	int upstream_status;	/* 0 = none */
	uint64_t request_bytes; /* head and body as received */
	uint64_t answer_bytes;	/* head and body as sent */
	uint32_t total_ms;	/* until the last byte was queued to the client */
	uint32_t gateway_ms;	/* our own part */
	int32_t upstream_ms;	/* to the head of the answer; -1 = none */
	uint32_t receive_ms;	/* reading the client's body */
	const struct call_try *tries;
	size_t n_tries;
	struct str upstream_uri;
	struct call_tls tls;
};
const struct call_facts *call_facts(const struct gw_call *c);
/* The record that all log plugins send (kong-gateway §13), as JSON. Made once per call. */
struct str call_log_record(struct gw_call *c);
