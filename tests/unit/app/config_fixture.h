/*
 * config_fixture - tables of an imaginary program, for the tests of config*.c
 */
#pragma once
#include "unit.h"

#include "app/config.h"

struct top {
	struct str database;
};

struct relay {
	int64_t expiration_ms;
	struct conf_strs hosts;
	struct str secret;
	bool on;
	int64_t body_max;
	const struct conf_node *listen;
	int mode;
};

static const char *const relay_modes[] = {"fast", "safe", NULL};

static const struct conf_key top_keys[] = {
	{"database", CONF_STR, offsetof(struct top, database), "sqlite:posthouse.db",
	 .doc = "Where data lives."},
};

static const struct conf_key relay_keys[] = {
	{"request_expiration", CONF_DURATION, offsetof(struct relay, expiration_ms), "2m", 1000,
	 .flags = CONF_RELOAD, .doc = "How long a request may take."},
	{"hosts", CONF_STRS, offsetof(struct relay, hosts), .doc = "Names a|b."},
	{"secret", CONF_SECRET, offsetof(struct relay, secret), .doc = "Shared secret."},
	{"on", CONF_BOOL, offsetof(struct relay, on), "true"},
	{"body_max", CONF_SIZE, offsetof(struct relay, body_max), "50MiB", 1, 1073741824},
	{"listen", CONF_NODE, offsetof(struct relay, listen), "127.0.0.1:5000"},
	{"mode", CONF_ENUM, offsetof(struct relay, mode), "fast", .choices = relay_modes},
};

struct api {
	int64_t port;
};

static const struct conf_key api_keys[] = {
	{"port", CONF_INT, offsetof(struct api, port), .min = 1, .max = 65535,
	 .flags = CONF_REQUIRED},
};

static const struct conf_section top_section = {"", "Valid everywhere.", top_keys,
						ARRAY_LEN(top_keys)};
static const struct conf_section relay_section = {"relay", "The relay.", relay_keys,
						  ARRAY_LEN(relay_keys)};
static const struct conf_section api_section = {"portal-api", "", api_keys, ARRAY_LEN(api_keys)};
static const struct conf_section *const section_list[] = {&top_section, &relay_section,
							  &api_section};
static const struct config_tables tables = {section_list, ARRAY_LEN(section_list)};
