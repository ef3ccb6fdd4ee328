/*
 * server - the roles in one process: wired at start, drained at the end
 *
 * Threads  the main thread; see the roles for theirs.
 */
#pragma once
#include "app/settings.h"

struct server;

/* Takes a reference to the settings. `saved` by the former process. On failure nothing is left
 * running. */
enum err server_start(struct settings *s, struct str saved, struct server **out,
		      struct fault *f) MUST_USE;
/* "relay=http://127.0.0.1:5000 identity=… status=…" */
void server_addresses(const struct server *s, struct buf *out);
/* New settings for what can change while running; the fault says what is wrong with them. */
enum err server_reload(struct server *s, struct settings *next, struct fault *f) MUST_USE;
/* Files that are appended to were rotated: they are opened anew. */
void server_reopen(struct server *s);
/* For a process that takes over: what would end with this one. Nothing is added to it until ... */
enum err server_save(struct server *s, struct buf *out) MUST_USE;
/* ... no process takes over any more. */
void server_stay(struct server *s);
/* How long the drain may take, as of the last reload. */
int64_t server_drain_timeout_ms(const struct server *s);
/* No new work; idle connections have `idle_ms` for a last request, which is 0 without an heir. */
void server_drain(struct server *s, uint32_t idle_ms);
/* To be called now and then: true when nothing is under way any more. */
bool server_drain_on(struct server *s);
/* Ends what is left. */
void server_stop(struct server **s);
