/* serve - a server under test, on a free port of loopback */
#pragma once
#include "http/server.h"
#include "unit.h"

/* As `listen` says, at 127.0.0.1; its port. */
static inline uint16_t serve_as(struct http_server *s, struct loops *loops,
				struct http_listen listen)
{
	listen.address = STR("127.0.0.1:0");
	assert_ok(http_server_listen(s, loops, &listen, NULL));
	http_server_accept(s);
	return addr_port(http_server_addr(s, 0));
}

static inline uint16_t serve_anywhere(struct http_server *s, struct loops *loops)
{
	return serve_as(s, loops, (struct http_listen){0});
}
