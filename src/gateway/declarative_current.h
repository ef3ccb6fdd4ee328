/*
 * declarative_current - all entities that there are, in the order in which a file loads them
 */
#pragma once
#include "gateway/declarative.h"
#include "gateway/entities.h"

/* Of either back end; copied into the call's arena. */
enum err declarative_current(struct entities *es, struct entity_call *call,
			     struct declarative *out) MUST_USE;
