/*
 * gateway_declarative - a gateway whose entities stand in a file instead of a database
 *
 * `gateway.declarative` names the file. A broken one is a failed start; a broken one at SIGHUP
 * is refused, and what was in force stays.
 *
 * Threads  the main thread, but for the handlers.
 */
#pragma once
#include "gateway/declarative_live.h"

/* `es` is in memory mode. */
enum err gateway_declarative_start(struct entities *es, struct str path,
				   struct declarative_live **out, struct fault *f) MUST_USE;
/* The file again. */
enum err gateway_declarative_reload(struct declarative_live *l, struct str path,
				    struct fault *f) MUST_USE;
