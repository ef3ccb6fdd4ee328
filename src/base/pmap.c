/*
 * pmap - a table of which former versions stay as they were, see pmap.h
 *
 * A node has a slot for each value of six bits of the hash, of which only those in use take
 * room, in their order. A slot has a leaf as long as it is alone there, else a node in which the
 * next six bits tell. So below any node but the root there are at least two leaves. Hashes that
 * agree in all bits end in a node that is a plain list.
 *
 * A node with a count of one, reached through nodes with a count of one, is in no other version
 * and may be changed: others could come to it only by a version that has it.
 *
 * The trie is the truth; an index makes it fast. That is a flat table of what the trie had when it
 * was made, shared by later versions, each of which marks the hashes that have changed since
 * (or share a bit with one): those are looked up in the trie. So a leaf in the index that has gone
 * is never looked at, and needs no count.
 */
#include "base/pmap.h"

#include "base/map.h"
#include "base/mem.h"

enum {
	BITS = 6,
	SLOTS = 1 << BITS,
	HASH_BITS = 64,
	INDEX_MIN = 16,	    /* leaves; fewer are found as fast without */
	CHANGED_MAX = 1024, /* of 4096 bits: one lookup in four goes to the trie */
};

struct pmap_index {
	atomic_uint refs;
	size_t mask;
	struct place {
		uint64_t hash;
		struct pmap_leaf *leaf; /* NULL = free */
	} v[];
};

union slot {
	struct pmap_leaf *leaf;
	struct pmap_node *node;
};

struct pmap_node {
	atomic_uint refs;
	uint64_t used;	/* a bit for each slot in use; in a list they mean nothing else */
	uint64_t below; /* of these, the slots with a node */
	union slot v[];
};

void pmap_leaf_init(struct pmap_leaf *l, struct str key)
{
	atomic_init(&l->refs, 1);
	l->key = key;
	l->hash = map_hash(key);
}

static size_t count(uint64_t bits)
{
	return (size_t)__builtin_popcountll(bits);
}

static uint64_t bit_at(uint64_t hash, unsigned shift)
{
	return UINT64_C(1) << (hash >> shift & (SLOTS - 1));
}

/* Where the slot of this bit is, or would be. */
static size_t place_of(const struct pmap_node *node, uint64_t bit)
{
	return count(node->used & (bit - 1));
}

static bool is_at(const struct pmap_leaf *l, uint64_t hash, struct str key)
{
	return l->hash == hash && str_eq(l->key, key);
}

/* ---- reading ---- */

static struct pmap_leaf *find_in_list(const struct pmap_node *list, uint64_t hash, struct str key)
{
	for (size_t i = 0; i < count(list->used); i++) {
		if (is_at(list->v[i].leaf, hash, key)) {
			return list->v[i].leaf;
		}
	}
	return NULL;
}

static struct pmap_leaf *find_in_trie(const struct pmap *m, uint64_t hash, struct str key)
{
	const struct pmap_node *node = m->root;

	for (unsigned shift = 0; node && shift < HASH_BITS; shift += BITS) {
		uint64_t bit = bit_at(hash, shift);
		union slot s;

		if (!(node->used & bit)) {
			return NULL;
		}
		s = node->v[place_of(node, bit)];
		if (!(node->below & bit)) {
			return is_at(s.leaf, hash, key) ? s.leaf : NULL;
		}
		node = s.node;
	}
	return node ? find_in_list(node, hash, key) : NULL;
}

static uint64_t changed_bit(uint64_t hash)
{
	return UINT64_C(1) << (hash >> 52 & 63);
}

static struct pmap_leaf *find_in_index(const struct pmap_index *x, uint64_t hash, struct str key)
{
	for (size_t i = hash & x->mask; x->v[i].leaf; i = (i + 1) & x->mask) {
		if (x->v[i].hash == hash && str_eq(x->v[i].leaf->key, key)) {
			return x->v[i].leaf;
		}
	}
	return NULL;
}

struct pmap_leaf *pmap_find(const struct pmap *m, uint64_t hash, struct str key)
{
	if (m->index && !(m->changed[hash >> 58] & changed_bit(hash))) {
		return find_in_index(m->index, hash, key);
	}
	return find_in_trie(m, hash, key);
}

struct pmap_leaf *pmap_get(const struct pmap *m, struct str key)
{
	return m->root ? pmap_find(m, map_hash(key), key) : NULL;
}

/* ---- counts ---- */

static void leaf_unref(const struct pmap *m, struct pmap_leaf *l)
{
	if (atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) == 1) {
		m->drop(l);
	}
}

/* Goes down at most one level for each six bits of a hash. */
static void node_unref(const struct pmap *m, struct pmap_node *node)
{
	uint64_t below = node->below;
	size_t i = 0;

	if (atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	for (uint64_t left = node->used; left; left &= left - 1, i++) {
		if (below & left & -left) {
			node_unref(m, node->v[i].node);
		} else {
			leaf_unref(m, node->v[i].leaf);
		}
	}
	mem_free(node);
}

static size_t size_of(size_t n_slots)
{
	return sizeof(struct pmap_node) + n_slots * sizeof(union slot);
}

static struct pmap_node *copy_of(const struct pmap_node *node)
{
	size_t n = count(node->used), i = 0;
	struct pmap_node *copy = mem_alloc(size_of(n));

	atomic_init(&copy->refs, 1);
	copy->used = node->used;
	copy->below = node->below;
	for (uint64_t left = node->used; left; left &= left - 1, i++) {
		copy->v[i] = node->v[i];
		atomic_fetch_add_explicit(node->below & left & -left ? &copy->v[i].node->refs
								     : &copy->v[i].leaf->refs,
					  1, memory_order_relaxed);
	}
	return copy;
}

/* The node at `at`, which this version alone has from now on. */
static struct pmap_node *own(const struct pmap *m, struct pmap_node **at)
{
	struct pmap_node *node = *at;

	if (atomic_load_explicit(&node->refs, memory_order_acquire) != 1) {
		*at = copy_of(node);
		node_unref(m, node);
	}
	return *at;
}

struct pmap pmap_copy(const struct pmap *m)
{
	if (m->root) {
		atomic_fetch_add_explicit(&m->root->refs, 1, memory_order_relaxed);
	}
	if (m->index) {
		atomic_fetch_add_explicit(&m->index->refs, 1, memory_order_relaxed);
	}
	return *m;
}

static void forget_index(struct pmap *m)
{
	if (m->index && atomic_fetch_sub_explicit(&m->index->refs, 1, memory_order_acq_rel) == 1) {
		mem_free(m->index);
	}
	m->index = NULL;
	m->n_changed = 0;
	memset(m->changed, 0, sizeof(m->changed));
}

void pmap_free(struct pmap *m)
{
	if (m->root) {
		node_unref(m, m->root);
	}
	forget_index(m);
	m->root = NULL;
	m->n = 0;
}

/* ---- the index ---- */

static void put_in_index(struct pmap_index *x, const struct pmap_node *node)
{
	size_t i = 0;

	for (uint64_t left = node->used; left; left &= left - 1, i++) {
		struct pmap_leaf *l = node->v[i].leaf;
		size_t at;

		if (node->below & left & -left) {
			put_in_index(x, node->v[i].node);
			continue;
		}
		for (at = l->hash & x->mask; x->v[at].leaf; at = (at + 1) & x->mask) {
		}
		x->v[at] = (struct place){l->hash, l};
	}
}

void pmap_settle(struct pmap *m)
{
	size_t cap = SLOTS;

	if (m->n < INDEX_MIN || (m->index && m->n_changed <= CHANGED_MAX)) {
		return;
	}
	while (cap / 3 * 2 < m->n) {
		cap *= 2;
	}
	forget_index(m);
	m->index = mem_zalloc(sizeof(*m->index) + cap * sizeof(struct place));
	atomic_init(&m->index->refs, 1);
	m->index->mask = cap - 1;
	put_in_index(m->index, m->root);
}

static void mark_changed(struct pmap *m, uint64_t hash)
{
	m->changed[hash >> 58] |= changed_bit(hash);
	m->n_changed++;
}

/* ---- changing: nodes that are owned ---- */

static struct pmap_node *node_new(void)
{
	struct pmap_node *node = mem_zalloc(size_of(1));

	atomic_init(&node->refs, 1);
	return node;
}

static void insert(struct pmap_node **at, uint64_t bit, struct pmap_leaf *l)
{
	size_t n = count((*at)->used), i = place_of(*at, bit);
	struct pmap_node *node = *at = mem_resize(*at, size_of(n + 1));

	memmove(&node->v[i + 1], &node->v[i], (n - i) * sizeof(union slot));
	node->v[i].leaf = l;
	node->used |= bit;
}

static void erase(struct pmap_node **at, uint64_t bit)
{
	size_t n = count((*at)->used), i = place_of(*at, bit);
	struct pmap_node *node = *at;

	memmove(&node->v[i], &node->v[i + 1], (n - i - 1) * sizeof(union slot));
	node->used &= ~bit;
	node->below &= ~bit;
	*at = mem_resize(node, size_of(n - 1));
}

static uint64_t bit_in_list(const struct pmap_node *list, const struct pmap_leaf *l)
{
	size_t i = 0;

	for (uint64_t left = list->used; left; left &= left - 1, i++) {
		if (is_at(list->v[i].leaf, l->hash, l->key)) {
			return left & -left;
		}
	}
	ASSERT(list->used != UINT64_MAX); /* so many equal hashes do not come by chance */
	return ~list->used & (list->used + 1);
}

/* Of the slot that the leaf has or would get. */
static uint64_t bit_of(const struct pmap_node *node, const struct pmap_leaf *l, unsigned shift)
{
	return shift < HASH_BITS ? bit_at(l->hash, shift) : bit_in_list(node, l);
}

/* Puts a leaf one level further down, where another may stand beside it. */
static void push_down(struct pmap_node *node, uint64_t bit, unsigned shift)
{
	union slot *s = &node->v[place_of(node, bit)];
	struct pmap_node *under = node_new();

	insert(&under, bit_of(under, s->leaf, shift + BITS), s->leaf);
	s->node = under;
	node->below |= bit;
}

void pmap_set(struct pmap *m, struct pmap_leaf *l)
{
	struct pmap_node **at = &m->root;

	mark_changed(m, l->hash);
	if (!m->root) {
		m->root = node_new();
	}
	for (unsigned shift = 0;; shift += BITS) {
		struct pmap_node *node = own(m, at);
		uint64_t bit = bit_of(node, l, shift);
		union slot *s = &node->v[place_of(node, bit)];

		if (!(node->used & bit)) {
			insert(at, bit, l);
			m->n++;
			return;
		}
		if (!(node->below & bit) && is_at(s->leaf, l->hash, l->key)) {
			leaf_unref(m, s->leaf);
			s->leaf = l;
			return;
		}
		if (!(node->below & bit)) {
			push_down(node, bit, shift);
		}
		at = &s->node;
	}
}

/* A leaf that is alone in its node goes back to where the node hangs. */
static void pull_up(struct pmap_node *node, uint64_t bit)
{
	union slot *s = &node->v[place_of(node, bit)];
	struct pmap_node *under = s->node;

	if (count(under->used) == 1 && under->below == 0) {
		s->leaf = under->v[0].leaf;
		node->below &= ~bit;
		mem_free(under);
	}
}

static void take_out(const struct pmap *m, struct pmap_node **at, const struct pmap_leaf *l,
		     unsigned shift)
{
	struct pmap_node *node = own(m, at);
	uint64_t bit = bit_of(node, l, shift);
	union slot *s = &node->v[place_of(node, bit)];

	if (node->below & bit) {
		take_out(m, &s->node, l, shift + BITS);
		pull_up(node, bit);
		return;
	}
	leaf_unref(m, s->leaf);
	erase(at, bit);
}

bool pmap_remove(struct pmap *m, const struct pmap_leaf *l)
{
	if (pmap_find(m, l->hash, l->key) != l) {
		return false;
	}
	mark_changed(m, l->hash);
	take_out(m, &m->root, l, 0);
	if (--m->n == 0) {
		pmap_free(m);
	}
	return true;
}
