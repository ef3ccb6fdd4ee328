/*
 * outbox - events that are committed together with the change that causes them
 *
 * A writer puts events in its transaction. A consumer reads events of a topic after its
 * offset, does its work and acknowledges: at least once, in order of commit. Offsets are
 * kept by (consumer, topic).
 *
 * Read and ack in one transaction when several instances run the same consumer; the second
 * then waits or fails with a transient conflict. Ids grow in order of commit: on PostgreSQL
 * outbox_put therefore holds a lock until the end of the transaction, so put last.
 */
#pragma once
#include "store/store.h"

struct outbox_event {
	int64_t id;
	struct str topic;   /* "tenant" */
	struct str key;	    /* events with the same key concern the same thing */
	struct str payload; /* JSON by convention */
	int64_t created_ms;
};

/* Within the caller's transaction. */
enum err outbox_put(struct db *db, struct str topic, struct str key, struct str payload) MUST_USE;
/* At most `max` events after the consumer's offset: array of struct outbox_event. */
enum err outbox_read(struct db *db, struct str consumer, struct str topic, size_t max,
		     struct db_rows *out) MUST_USE;
/* Everything up to `id` is done; never moves back. */
enum err outbox_ack(struct db *db, struct str consumer, struct str topic, int64_t id) MUST_USE;
/* Deletes events older than `before_ms` that no known consumer of their topic still needs. */
enum err outbox_trim(struct db *db, int64_t before_ms) MUST_USE;

/* For the test that prepares everything. */
extern const struct stmt_table outbox_statements;
