/*
 * rest_server - a REST table on a real socket, over a fresh database of either engine
 *
 * The test's *state is a struct rest_server. Keys: "r" may read, "w" write, "rw" both.
 */
#pragma once
#include "http/rest.h"
#include "store/engines.h"
#include "talk.h"

struct rest_server {
	struct test_db *db;
	struct loops loops;
	struct pool *pool;
	struct http_server *http;
	struct rest rest;
	uint16_t port;
	struct arena arena; /* of the answers */
};

/* Schema of relay and identity included. */
void rest_server_start(struct rest_server *s, const struct rest_table *table, void *role);
void rest_server_stop(struct rest_server *s);

/* `key` and `body` may be NULL. */
struct talk_answer rest_ask(struct rest_server *s, const char *method, const char *path,
			    const char *key, const char *body);
