/*
 * pmap - hash table from byte strings to values, of which former versions stay as they were
 *
 * A trie over the hashes of base/map, six bits a level. Versions share the nodes in which they
 * do not differ: a change copies those on the way to one leaf (three of them with 100,000
 * leaves) unless nobody else has them, and a version costs as much memory as its differences.
 *
 * A leaf is embedded in a value. It may be in any number of versions; `drop` ends the value
 * when the last of them let go.
 *
 * Ownership  leaves are counted; keys are borrowed and usually stand in the value.
 * Threads    a version is changed by one owner, and read by any thread while nobody changes it.
 *            Versions that share nodes may be changed, read and freed at the same time: counts
 *            are atomic. `drop` runs on whichever thread let go last.
 */
#pragma once
#include "base/str.h"

#include <stdatomic.h>

struct pmap_leaf {
	atomic_uint refs; /* versions of nodes that it stands in */
	uint64_t hash;
	struct str key;
};

typedef void pmap_drop_fn(struct pmap_leaf *l);

struct pmap {
	struct pmap_node *root; /* NULL = empty */
	size_t n;
	pmap_drop_fn *drop;
	/* private: where leaves were when it was made, and whose hashes have changed since */
	struct pmap_index *index;
	size_t n_changed;
	uint64_t changed[64];
};

/* Gives the caller one reference, which pmap_set takes over. */
void pmap_leaf_init(struct pmap_leaf *l, struct str key);

#define PMAP_INIT(drop_fn) ((struct pmap){.drop = (drop_fn)})
/* Another version with the same leaves; both are then changed apart. */
struct pmap pmap_copy(const struct pmap *m);
void pmap_free(struct pmap *m);
/*
 * Makes lookups in this version and in later ones as fast as in a map. To be called whenever a
 * version is complete: it costs something only when a thousand leaves have changed.
 */
void pmap_settle(struct pmap *m);

/* NULL when absent. */
struct pmap_leaf *pmap_get(const struct pmap *m, struct str key);
/* For keys whose map_hash is known. */
struct pmap_leaf *pmap_find(const struct pmap *m, uint64_t hash, struct str key);
/* Takes over the caller's reference; a leaf with the same key is replaced. */
void pmap_set(struct pmap *m, struct pmap_leaf *l);
/* False when this leaf is not there, even if another has its key. */
bool pmap_remove(struct pmap *m, const struct pmap_leaf *l);
