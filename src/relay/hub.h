/*
 * hub - one connector's connection: the SignalR JSON hub protocol, over any transport
 *
 *	WAITING --attach--> HANDSHAKE --{}--> JOINING --tenant--> OPEN --+--> CLOSED
 *	   |                    |                |                       |
 *	   +--------------------+----------------+-----------------------+
 *
 *	WAITING    negotiated (or parting from a transport), nobody attached: 15 s
 *	HANDSHAKE  transport open, handshake awaited: handshake_timeout
 *	JOINING    accepted; the facts of the tenant are asked for
 *	OPEN       registered: takes requests
 *	CLOSED     buried at the end of the turn
 *
 * Who holds whom  rl->conns holds connections by token; an OPEN one is also in its
 *     tenant's rings and holds the requests it was sent (in_flight). The transport
 *     holds the connection as its user; hub_close and hub_lost take them apart.
 * Threads  the tenant's home loop.
 * Limits   records of message_max bytes; one timer at any time.
 */
#pragma once
#include "http/server.h"
#include "relay/request.h"
#include "ws/records.h"

#define HUB_TOKEN_LEN 22 /* 16 bytes in base64url */
#define HUB_ATTACH_MS 15000
/* A connection whose peer leaves this much unread gets no more requests. */
#define HUB_BACKLOG_MAX ((size_t)1 << 20)
/* One that makes us say more all the same, by asking without reading, is dropped. */
#define HUB_UNREAD_MAX (2 * HUB_BACKLOG_MAX)

enum hub_state { HUB_WAITING, HUB_HANDSHAKE, HUB_JOINING, HUB_OPEN, HUB_CLOSED, HUB_STATES };

enum transport_kind { TRANSPORT_NONE, TRANSPORT_WS, TRANSPORT_SSE, TRANSPORT_POLL };

struct transport_ops {
	enum transport_kind kind;
	bool pings; /* keep-alive pings are sent and expected */
	/* Whether the peer can be given requests now; NULL: always. */
	bool (*is_there)(const struct hub_conn *c);
	/* Where to append one record with its end byte; then send. */
	struct buf *(*begin)(struct hub_conn *c);
	void (*send)(struct hub_conn *c);
	size_t (*pending)(const struct hub_conn *c);
	/* Sends what is queued, then ends; `c` is forgotten. */
	void (*close)(struct hub_conn *c);
	/* Ends at once, with what is queued; `c` is forgotten. */
	void (*drop)(struct hub_conn *c);
};

/* Who connects, from the token. */
struct hub_visitor {
	struct str tenant_key;
	struct str client_id, client_name, client_description;
	struct str remote_ip;
};

struct hub_conn {
	struct relay_loop *rl;
	enum hub_state state;
	char id[HUB_TOKEN_LEN];	   /* public */
	char token[HUB_TOKEN_LEN]; /* secret */
	struct arena arena;
	struct hub_visitor visitor;
	struct tenant *tenant; /* used from the start */
	struct tenant_waiter waiter;
	struct list_node node; /* tenant: ready or busy */
	struct list_node all;  /* rl->all_conns */
	struct grave grave;

	const struct transport_ops *transport; /* NULL while WAITING */
	void *link;			       /* of the transport */
	size_t mark;			       /* of the transport: message being built */
	struct records records;
	bool is_reserved; /* a transport is on its way */

	struct timer timer;
	uint64_t next_ping_ms;
	uint64_t last_heard_ms;
	uint64_t next_seen_ms; /* then statistics hear that it is there */
	int64_t keep_alive_ms;
	bool peer_pings;
	bool is_ready;	 /* in tenant->ready */
	bool is_leaving; /* said so: gets no more requests */

	unsigned limit; /* unacknowledged requests; 0 = none */
	unsigned counted;
	struct list in_flight; /* requests sent, not yet answered */
	size_t n_in_flight;
	uint64_t n_sent;      /* requests, ever */
	uint64_t n_delivered; /* of these, that the peer may have seen: a transport that knows
				 better corrects it before hub_lost */
	/* what Configure said last */
	struct tenant_info configured;
};

struct hub_conn *hub_new(struct relay_loop *rl, const struct hub_visitor *v);
struct hub_conn *hub_find(struct relay_loop *rl, struct str token);
struct str hub_token(const struct hub_conn *c);

/* The transport is there. */
void hub_attach(struct hub_conn *c, const struct transport_ops *t, void *link);
/* Bytes from the peer, any part of any number of records. The connection may be closed afterwards.
 */
void hub_feed(struct hub_conn *c, struct str data);
/* Something came that is not data (a WebSocket ping). */
void hub_heard(struct hub_conn *c);
/* The transport has room again. */
void hub_drained(struct hub_conn *c);
/* The transport has gone by itself; it must not be used any more. */
void hub_lost(struct hub_conn *c);

enum hub_goodbye {
	HUB_SILENT,    /* just end the transport */
	HUB_COME_BACK, /* type 7 with allowReconnect */
	HUB_BROKEN,    /* type 7 with an error */
};
void hub_close(struct hub_conn *c, enum hub_goodbye how);
/* Sends the record begun. The connection is dropped when its peer leaves too much unread. */
void hub_say(struct hub_conn *c);

/* It owes answers, or could be given a request, or bring an answer, that no connection holds. */
bool hub_is_working(const struct hub_conn *c);
bool hub_can_take(const struct hub_conn *c);
/* Sends the request. ERR_UNAVAILABLE: try another connection. */
enum err hub_send_request(struct hub_conn *c, struct relay_request *r) MUST_USE;
/* The tenant's facts changed. */
void hub_configure(struct hub_conn *c);

/* ---- hub_msg.c: records ---- */

enum hub_record_type {
	HUB_INVOCATION = 1,
	HUB_COMPLETION = 3,
	HUB_PING = 6,
	HUB_CLOSE = 7,
};

/* One complete record after the handshake. ERR_PROTO: not JSON, or no type. */
enum err hub_handle_record(struct hub_conn *c, struct str record) MUST_USE;
/* Checks a handshake record; *out_error (text for the peer) is NULL when it is fine. */
enum err hub_check_handshake(struct arena *a, struct str record, const char **out_error) MUST_USE;

void hub_write_request(struct hub_conn *c, const struct relay_request *r, struct buf *out);
void hub_write_configure(const struct hub_conn *c, struct buf *out);
void hub_write_completion(struct buf *out, struct str invocation_id, struct str error);
