/*
 * errand - a small job of an exchange that needs another loop's state, and comes back
 *
 * For everything but relayed requests: negotiation, attaching transports, body
 * endpoints. An errand goes from loop to loop with a function to run there and at last answers the
 * exchange, if that still exists. On one and the same loop nothing is posted.
 *
 * Ownership  whoever runs has it; errand_reply and errand_free end it.
 */
#pragma once
#include "relay/body_count.h"
#include "relay/hub.h"

struct errand;
typedef void errand_fn(struct errand *e);

struct errand {
	struct msg msg;
	struct relay *relay;
	struct relay_loop *rl; /* where it is */
	struct exchange_id client;
	errand_fn *fn;
	struct arena arena;
	struct tenant_waiter waiter;
	errand_fn *resume;	    /* of negotiate_conn */
	errand_fn *resume_reserved; /* of transport_reserve */
	/* payload */
	struct hub_visitor visitor;
	struct str token; /* of a connection; p NULL = none */
	struct guid id;	  /* of a request */
	bool flag;
	uint64_t number;
	struct body_count *count; /* of a body that it deals with */
	struct blob_writer *writer;
	struct buf data;
	struct relay_loop *home; /* of the reserved connection */
	void *link;		 /* a detached transport */
	void (*drop_link)(void *link);
	/* answer */
	int status;
	struct str content_type;
	bool is_poll; /* answer with the headers of a poll */
};

/* For an exchange of the current loop. */
struct errand *errand_new(struct relay_loop *rl, struct exchange *x);
void errand_set_visitor(struct errand *e, const struct hub_visitor *v);
/* Runs `fn` on that loop. */
void errand_go(struct errand *e, struct relay_loop *to, errand_fn *fn);
/* Back to the loop of the exchange. */
void errand_go_back(struct errand *e, errand_fn *fn);
/* Answers with e->data as body and ends. */
void errand_reply(struct errand *e, int status, struct str content_type);
void errand_reply_text(struct errand *e, int status, struct str text);
/* The exchange it serves; NULL when the client has gone. On the exchange's loop. */
struct exchange *errand_exchange(struct errand *e);
void errand_free(struct errand *e);
