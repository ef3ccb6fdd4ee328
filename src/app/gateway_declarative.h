/*
 * gateway_declarative - a gateway whose entities stand in a file instead of a database
 *
 * `gateway.declarative` names the file, or `gateway.declarative_text` is what would stand in it.
 * A broken one is a failed start; a broken one at SIGHUP is refused, and what was in force stays.
 * With an empty text there is nothing at the start, and SIGHUP keeps what POST /config brought. So
 * does SIGUSR2: the former process saves it and the new one starts with it.
 *
 * Threads  the main thread, but for the handlers.
 */
#pragma once
#include "gateway/config.h"
#include "gateway/declarative_live.h"

/* Whether there is either of them, and so no database for entities. */
bool gateway_is_declarative(const struct gateway_config *c);
/*
 * `es` is in memory mode. `saved` by the former process; empty = by none. Nothing is posted until
 * it is released.
 */
enum err gateway_declarative_start(struct entities *es, const struct gateway_config *c,
				   struct str saved, struct declarative_live **out,
				   struct fault *f) MUST_USE;
/* The file or text again. */
enum err gateway_declarative_reload(struct declarative_live *l, const struct gateway_config *c,
				    struct fault *f) MUST_USE;
/* The same for no gateway: whether they could be loaded. */
enum err gateway_declarative_check(const struct gateway_config *c, struct fault *f) MUST_USE;
/* For the next process, what it does not find in the file or text; nothing more is posted. */
enum err gateway_declarative_save(struct declarative_live *l, const struct gateway_config *c,
				  struct buf *out) MUST_USE;
