/*
 * request - one relayed request, from its head to its end
 *
 *	NEW --> COLLECTING --> TENANT --> QUEUED <--> SENT --> ACKED
 *	            |            |          |           |        |
 *	            +------------+----------+-----------+--------+--> ANSWERED, EXPIRED,
 *	                                                              ABORTED or FAILED
 *
 *	COLLECTING  the body arrives, on the loop of the client
 *	TENANT      at home, waiting for the facts of the tenant
 *	QUEUED      waiting for a connection that can take it
 *	SENT        on a connection; or, in mode Disabled, on one that has gone: the
 *	            connector may still come back with the response
 *	ACKED       acknowledged: not sent again, whatever happens to the connection
 *
 * SENT goes back to QUEUED when the connection is lost and the mode is not
 * Disabled, or the connector cannot have seen it: the same id goes to another connection,
 * the first response wins.
 *
 * Ownership  a request is held by the loop it lives on (rl->requests once at home)
 *            and by nobody else. Its strings live in the arena of the exchange while the client
 *            is on the same loop, else in its own (request_own).
 * Deadline   one timer from the head to the end.
 * Bodies     up to INLINE_MAX bytes in memory, larger ones in the blob store; both
 *            stored bodies are removed when the request ends, however it ends, and what
 *            is still being uploaded is cut.
 */
#pragma once
#include "http/server.h"
#include "relay/answer.h"
#include "relay/tenant.h"
#include "relay/upload_watch.h"

#define INLINE_MAX ((size_t)16384)

enum request_state {
	REQUEST_NEW,
	REQUEST_COLLECTING,
	REQUEST_TENANT,
	REQUEST_QUEUED,
	REQUEST_SENT,
	REQUEST_ACKED,
	REQUEST_ANSWERED,
	REQUEST_EXPIRED,
	REQUEST_ABORTED,
	REQUEST_FAILED,
	REQUEST_STATES,
};

struct relay_client;

struct relay_request {
	/* travels */
	struct msg msg;
	struct relay_loop *rl; /* where it lives */
	enum request_state state;
	struct guid id;
	struct arena *arena; /* of its strings: own, or the exchange's */
	struct arena own;
	struct str tenant_key; /* normalized name */
	struct str target, url, method;
	struct http_headers headers;
	struct str token; /* bearer token; p NULL = none. Only until TENANT */
	bool is_trace : 1;
	bool is_discard : 1; /* nobody waits for the response (any more) */
	bool is_head : 1;
	bool is_stored : 1;	 /* the request body is in the blob store */
	bool is_promised : 1;	 /* to one who takes it away: nobody else gets it */
	bool has_response : 1;	 /* a response body is in the blob store */
	bool was_replaced : 1;	 /* it took the place of another one */
	bool is_counted : 1;	 /* against the limit of its connection */
	bool is_kept : 1;	 /* counted among such of its tenant */
	bool is_registered : 1;	 /* in rl->requests */
	bool is_local : 1;	 /* `client` is on this loop */
	bool has_two_tokens : 1; /* more than one Authorization line */
	uint8_t ack;		 /* enum ack_mode */
	/* the client: one of them, or nobody */
	struct relay_client *client;  /* is_local */
	struct exchange_id client_id; /* otherwise; id.gen 0 = nobody */
	/* body */
	struct buf body;
	struct blob_writer *writer;
	uint64_t body_size;
	uint64_t weight;		      /* of head and body; from tenant_enqueue on */
	struct body_count *stored, *response; /* NULL = nothing is stored */
	struct upload_watches uploads;
	/* home */
	struct tenant *tenant;
	struct hub_conn *conn;
	uint64_t conn_seq; /* its number among those sent on `conn` */
	struct tenant_waiter waiter;
	struct list_node node;	   /* tenant's queue or abandoned, or the connection's in_flight */
	struct relay_epoch *epoch; /* whose rules matched; NULL = none did */
	uint64_t matched;
	uint64_t start_ms;    /* loop time of the head */
	uint64_t deadline_ms; /* 0 = none */
	struct timer timer;
	unsigned sent;	  /* how often */
	unsigned refused; /* fetches whose failure has yet to come */
};

struct relay_request *request_new(struct relay_loop *rl);
void request_enter(struct relay_request *r, enum request_state to);
/* Copies all strings into its own arena, so that it can outlive the exchange. */
void request_own(struct relay_request *r);
/* (Re)starts the timer of its deadline on the loop it lives on. */
void request_arm(struct relay_request *r);

/* At home, body complete. */
void request_arrive(struct relay_request *r);
struct relay_request *request_find(struct relay_loop *rl, const struct guid *id);

/* A connection takes it. */
void request_sent(struct relay_request *r, struct hub_conn *c);
/* Its connection has gone. */
void request_conn_lost(struct relay_request *r);
/* We drain: it does not wait long for a connector to fetch its body. */
void request_drain(struct relay_request *r);
void request_acknowledge(struct relay_request *r, bool remove_body);
/* The response, unless it is that of a copy which got no body, or whose own was replaced; `answer`
 * and its strings are valid during the call. */
void request_answer(struct relay_request *r, const struct answer *answer, bool failed);

/* Ends it; the client, if any, gets `status`. */
void request_fail(struct relay_request *r, enum request_state as, int status,
		  enum relay_outcome outcome);
/* The client has gone. */
void request_abort(struct relay_request *r);
/* The stored request body was fetched with delete=true. */
void request_body_taken(struct relay_request *r);
/* It could not be fetched. */
void request_body_refused(struct relay_request *r);

/* Body while COLLECTING. ERR_UNAVAILABLE: the store is full. */
enum err request_body_append(struct relay_request *r, struct str data) MUST_USE;
enum err request_body_end(struct relay_request *r) MUST_USE;

/* The connector stored a response; takes its count. */
void request_response_stored(struct relay_request *r, struct body_count **count);

/* Frees it and what it stored, wherever it is; the client is not told. */
void request_discard(struct relay_request *r);
void requests_free(struct relay_loop *rl);
