/*
 * gateway_settings - what app reads of section `gateway`: its Admin APIs
 */
#pragma once
#include "app/listen.h"
#include "gateway/config.h"
#include "http/rest.h"

#define GATEWAY_ADMINS_MAX 8

struct admin_settings {
	struct listen_set listen;
	struct rest_keys keys; /* none = open to whoever reaches the listener */
};

struct gateway_settings {
	struct admin_settings admins[GATEWAY_ADMINS_MAX];
	size_t n_admins;
};

/* Without `admin` there is one on 127.0.0.1:8001. */
enum err gateway_settings_read(struct arena *a, const struct gateway_config *config,
			       struct gateway_settings *out, struct fault *f) MUST_USE;
