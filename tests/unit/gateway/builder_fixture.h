/*
 * builder_fixture - entities as a database would hold them, and the builder that hears of changes
 *
 * A test changes the world (put, forget, change), lets the builder make the next epoch of what
 * changed, and asks it; or makes one from scratch and compares.
 */
#pragma once
#include "unit.h"

#include "gateway/epoch_int.h"

enum {
	ROUTES = 400,
	SERVICES = 40,
	PLUGINS = 60,
	UPSTREAMS = 6,
	TARGETS = 12,
	CONSUMERS = 24,
	CREDENTIALS = 50, /* of each kind */
	ACLS = 60,
	NAMES = 40, /* of consumers, and of credentials of each kind */
	MOST = ROUTES,
	CHANGES_MAX = 600,
};

/* What the database holds, and its next transaction. */
struct world {
	uint64_t seed;
	struct arena arena;
	struct json *docs[ENTITY_KINDS][MOST]; /* NULL: does not exist */
	struct entity_change changes[CHANGES_MAX];
	size_t n_changes;
	struct loops loops, plain_loops;
	struct tls_cert *cert;
	struct builder *builder, *plain;
	struct epoch *now, *scratch;
};

/* Below `n`, the same in every run. */
unsigned any(struct world *w, unsigned n);
struct guid id_of(enum entity_kind kind, unsigned n);
/* {"id":...} of it, or null. */
struct str ref_to(struct world *w, enum entity_kind kind, unsigned n, bool exists);

/* The next transaction. */
void put(struct world *w, enum entity_kind kind, unsigned n, struct str text);
void forget(struct world *w, enum entity_kind kind, unsigned n);
/* And what the database deletes with it. */
void forget_with(struct world *w, enum entity_kind kind, unsigned n);
void put_route(struct world *w, unsigned n);
void put_service(struct world *w, unsigned n);
/* Something or other, with what the database does beside it. */
void change(struct world *w);

/* Tells a builder what changed; as builder_apply. */
struct epoch *apply(struct world *w, struct builder *b, bool all);
/* Tells w->builder and takes its epoch; the former epoch is proven to be as it was. */
void next_epoch(struct world *w);
/* Consumers and credentials as text, to compare. */
struct str people_of(struct arena *a, const struct identity *i);
/* w->scratch, of all that there is; ends with builder_end. */
void make_from_scratch(struct world *w);
void builder_end(struct builder **b, struct epoch **e, struct loops *loops);

/* For cmocka. */
int set_up(void **state);
int tear_down(void **state);
