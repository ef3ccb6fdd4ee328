/*
 * admin_server - the Admin API on a real socket, over a fresh database of either engine
 *
 * The test's *state is a struct admin_server. One plugin is enabled: "knob", with a number
 * `level` (required) and a text `mode` (default "soft").
 */
#pragma once
#include "gateway/admin.h"
#include "store/engines.h"
#include "talk.h"

#include <stdatomic.h>

struct admin_server {
	struct test_db *db;
	struct loops loops;
	struct pool *pool;
	struct http_server *http;
	struct entities *entities;
	struct admin *admin;
	uint16_t port;
	struct arena arena; /* of the answers */
	atomic_uint changes;
	bool memory, has_keys, is_status;
	/* Of is_status: what config_hash tells (NULL = zeros), and is_draining. */
	_Atomic(const char *) hash;
	atomic_bool draining;
};

int admin_server_setup(void **state);
int admin_server_setup_memory(void **state);
/* Keys "r" and "rw". */
int admin_server_setup_keys(void **state);
/* What the status listener has of it. */
int admin_server_setup_status(void **state);
int admin_server_setup_status_memory(void **state);
int admin_server_teardown(void **state);

/* `headers` are whole lines with their line ends, or "". `body` may be NULL. */
struct talk_answer admin_ask(struct admin_server *s, const char *method, const char *path,
			     const char *headers, const char *body);
#define AS_JSON "Content-Type: application/json\r\n"
#define AS_FORM "Content-Type: application/x-www-form-urlencoded\r\n"
