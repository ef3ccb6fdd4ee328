/*
 * h2_call - what a call does differently on a shared connection of HTTP/2
 *
 * A call of that kind has `h2_head` from its start and `h2`, its stream, from when it is
 * sent until it ends. Only the files of the client include this.
 */
#pragma once
#include "http/client_int.h"

enum err h2_call_prepare(struct http_call *c, const struct http_call_spec *s,
			 struct str target) MUST_USE;
/* A server that does not say what it takes may end the connection for it. */
bool h2_call_has_large_head(const struct http_call *c);
/* False when the connection takes no more. */
bool h2_call_send(struct client_conn *k, struct http_call *c);
void h2_call_write(struct http_call *c, struct str data);
void h2_call_finish(struct http_call *c, const struct http_header *trailers, size_t n);
size_t h2_call_pending(const struct http_call *c);
/* These do nothing for a call without a stream. */
void h2_call_pause(struct http_call *c);
void h2_call_resume(struct http_call *c);
void h2_call_let_go(struct http_call *c);
/* It is going to fail as its answer is overdue, or its body stuck. */
void h2_call_overdue(struct http_call *c);
void h2_call_fini(struct http_call *c);
/* Connected: from now on shared. */
void h2_client_start(struct client_conn *k, uint32_t write_timeout_ms);
bool h2_client_has_room(const struct client_conn *k);
/* Also for what this call is going to send; else it had better go over another connection. */
bool h2_client_has_room_for(const struct client_conn *k, const struct http_call *c);
/* The connection is dead: so are its calls. */
void h2_client_gone(struct client_conn *k);
