/*
 * connector_int - what the files of the connector share
 *
 *   connector.c   start, discovery, end; what is not delivered
 *   grant.h       the access token
 *   link.h        a connection to the server
 *   trip.h        a request
 *
 * Who holds whom: the connector has its links and all trips. A trip remembers
 * the link that brought it, as a preference only: links live as long as the connector.
 */
#pragma once
#include "connector/connector.h"
#include "connector/known.h"
#include "connector/link.h"
#include "connector/trip.h"

#define CONNECTOR_VERSION "3.1.0+posthouse." POSTHOUSE_VERSION
#define CONNECTOR_AGENT "Posthouse-Connector/" POSTHOUSE_VERSION

struct connector {
	struct loop *loop;
	struct connect_config config;
	struct arena config_arena;
	struct connector_events events;
	struct target_set *targets;
	struct http_client *http;
	struct str machine;
	/* discovery */
	struct arena arena;
	struct endpoints at;
	bool is_found;
	bool trace; /* Configure said so */
	bool told_trouble;
	struct timer timer;
	struct http_fetch *fetch;
	struct grant grant;
	/* connections */
	struct link *links;
	unsigned n_links;
	/* requests */
	struct list running, waiting, spare;
	struct list overtime; /* of `running`; empty while somebody waits */
	unsigned n_running, n_waiting, n_spare;
	struct known known; /* of those that may be sent again */
	struct later work;
	struct backlog backlog; /* not sent */
	struct buf scratch;
	struct link *out_link; /* while an invocation is built; NULL = into scratch */
	size_t out_start;
	bool draining;
	uint64_t leave_by_ms; /* draining: requests that come later are refused */
	bool closed;
};

/*
 * An invocation on an open link, the given one if possible, or for later when there is
 * none: append its text without end to the returned buffer, then the end. Nothing else
 * in between.
 */
struct buf *connector_invoke_begin(struct connector *c, struct link *preferred);
void connector_invoke_end(struct connector *c, uint64_t expires_ms);
/* We drain, and what still comes over this link is not for us. */
bool connector_refuses(const struct connector *c, const struct link *l);
/* Sends what could not be sent before. */
void connector_flush(struct connector *c);
/* Keep-alive, delays and tracing that the server wishes. */
void connector_configure(struct connector *c, const struct wire_configure *w);
/* The first trouble of a series is a warning, the rest debug. */
void connector_trouble(struct connector *c, const char *what, const struct fault *f);
