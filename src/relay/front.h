/*
 * front - what a path of the relay server means
 *
 * Literal segments match in any case. Tenant and target are decoded; the rest
 * of a relay URL stays exactly as the client wrote it, since decoding would change
 * the meaning of %3F, %23 and %25 for the target.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/guid.h"

enum front_kind {
	FRONT_NONE, /* 404 */
	FRONT_RELAY,
	FRONT_QUEUE,
	FRONT_TRACE,
	FRONT_DISCOVERY,
	FRONT_ACKNOWLEDGE,
	FRONT_BODY_REQUEST,
	FRONT_BODY_RESPONSE,
	FRONT_NEGOTIATE,
	FRONT_CONNECTOR,
	FRONT_HEALTH_READY,
	FRONT_HEALTH_CHECK,
};

struct front {
	enum front_kind kind;
	struct str tenant, target; /* relay modes; decoded, may be empty */
	struct str url;		   /* relay modes: the rest with the query, raw */
	struct guid origin;	   /* FRONT_ACKNOWLEDGE */
	struct guid request;	   /* FRONT_ACKNOWLEDGE, FRONT_BODY_* */
};

/*
 * `target` is path and query as received, starting with '/'. ERR_INVALID (400):
 * tenant or target are badly escaped or hold controls, or the rest would leave
 * the base address of the target (uri_rest_is_safe).
 */
enum err front_parse(struct arena *a, struct str target, struct front *out) MUST_USE;
