/*
 * router_build - from rules to the tables of router_int.h
 *
 * In four steps, each a few sweeps over arrays, since the Admin API may change a rule
 * many times a second:
 *
 *   rank     a rule and one of its paths is a `choice`; these are sorted once
 *   expand   a choice and one of its hosts is a `leaf`; put in order of root, then rank
 *   split    the leaves of a root become its tree, level by level: a node takes what its
 *            leaves have in common, keeps those that end there, and deals the others out
 *            by their next byte. Stable, so order of rank stays; without recursion, so
 *            the children of a node lie side by side
 *   pack     leaves lose what only building needed
 *
 * Compiled regexes are taken over from the router before. router_over does the same with the
 * few rules of a layer.
 */
#include "gateway/router_int.h"

#include "base/mem.h"

#include <stdlib.h>

/* Ranges up to this size are sorted by insertion. */
#define SMALL 24
/* Where a leaf goes from a node: it ends here, or its next byte. */
#define CLASS_PREFIX 0u
#define CLASS_REGEX 1u
#define CLASS_BYTE 2u
#define CLASSES (CLASS_BYTE + 256u)

struct choice {
	const struct router_rule *rule;
	uint32_t index;
	struct str key; /* prefix, or literal beginning of the regex */
	struct regex *regex;
};

/* Small, because it is moved at each level. */
struct leaf {
	const char *key;
	uint32_t key_n : 31;
	uint32_t is_regex : 1;
	uint32_t entry; /* in build.entries */
};

/* What choices are sorted by. */
struct sort_key {
	uint64_t priority;
	int64_t created_at;
	const struct choice *choice;
};

/* The leaves of a node that is not split yet, and how many bytes of theirs led there. */
struct span {
	uint32_t from, to, depth;
};

struct build {
	struct router *router;
	const struct router *old;
	struct fault *fault;
	struct arena scratch;
	struct choice *choices;
	size_t n_choices;
	struct sort_key *order;
	struct router_entry *entries; /* in order of rank */
	uint32_t *roots;	      /* of the entries */
	struct leaf *leaves, *spare;
	size_t n_leaves;
	uint32_t n_roots;
	struct router_node *nodes;
	struct span *spans;
	uint32_t nodes_cap;
	size_t labels_n, labels_cap;
};

/* --- regexes ------------------------------------------------------------------------- */

static bool is_regex_path(struct str path)
{
	return str_starts(path, STR("~"));
}

static enum err regex_compile(struct build *b, const struct router_rule *rule, struct str pattern,
			      enum regex_kind kind, struct regex **out)
{
	struct fault why = {0};
	char id[GUID_D_LEN];

	*out = regex_new(pattern, kind, &why);
	if (*out) {
		return ERR_OK;
	}
	guid_d(&rule->id, id);
	return fault_set(b->fault, ERR_INVALID, "route %.*s: %s", GUID_D_LEN, id, why.text);
}

static struct regex *regex_known(const struct router *r, struct str key)
{
	struct regex *re = NULL;

	for (; r && !re; r = r->below) {
		re = map_get(&r->regexes, key);
	}
	return re;
}

/* From this router, the one before, or new. */
static enum err regex_get(struct build *b, const struct router_rule *rule, struct str pattern,
			  enum regex_kind kind, struct regex **out)
{
	struct str key = regex_key_new(&b->scratch, pattern, kind);
	struct regex *re = map_get(&b->router->regexes, key), *old;

	if (re) {
		*out = re;
		return ERR_OK;
	}
	old = regex_known(b->old, key);
	if (old) {
		re = regex_ref(old);
	} else {
		TRY(regex_compile(b, rule, pattern, kind, &re));
	}
	map_set(&b->router->regexes, regex_key(re), re);
	*out = re;
	return ERR_OK;
}

static enum err compile_headers(struct build *b, size_t index)
{
	const struct router_rule *rule = b->router->rules[index];
	size_t n = 0;
	struct regex **at;

	for (size_t i = 0; i < rule->n_headers; i++) {
		n += rule->headers[i].values.n;
	}
	at = ARENA_NEW_ARRAY(&b->router->arena, struct regex *, n + 1);
	b->router->header_regexes[index] = at;
	for (size_t i = 0; i < rule->n_headers; i++) {
		for (size_t k = 0; k < rule->headers[i].values.n; k++, at++) {
			struct str v = rule->headers[i].values.v[k];

			if (str_starts(v, STR("~*"))) {
				TRY(regex_get(b, rule, str_skip(v, 2), REGEX_HEADER, at));
			}
		}
	}
	return ERR_OK;
}

/* --- rank ---------------------------------------------------------------------------- */

static bool all_hosts_plain(const struct router_rule *rule)
{
	for (size_t i = 0; i < rule->hosts.n; i++) {
		if (str_index(rule->hosts.v[i], '*') >= 0) {
			return false;
		}
	}
	return rule->hosts.n > 0;
}

/* All but what depends on the path. */
static uint64_t rule_priority(const struct router_rule *rule)
{
	uint64_t kinds = (uint64_t)(rule->methods.n > 0) + (rule->hosts.n > 0) +
			 (rule->n_headers > 0) + (rule->snis.n > 0) + (rule->paths.n > 0);

	return kinds << 61 | (uint64_t)all_hosts_plain(rule) << 60 |
	       (uint64_t)MIN(rule->n_headers, 255) << 52;
}

static uint64_t path_priority(const struct router_rule *rule, struct str path)
{
	int64_t p = rule->regex_priority;

	if (!is_regex_path(path)) {
		return MIN(path.n, 0x7ffff);
	}
	/* 32 bits in which the negative ones come last. */
	p = p < INT32_MIN ? INT32_MIN : p > INT32_MAX ? INT32_MAX : p;
	return UINT64_C(1) << 51 | (uint64_t)(p - INT32_MIN) << 19;
}

static int order_cmp(const void *x, const void *y)
{
	const struct sort_key *a = x, *b = y;
	int ids;

	if (a->priority != b->priority) {
		return a->priority > b->priority ? -1 : 1;
	}
	if (a->created_at != b->created_at) {
		return a->created_at < b->created_at ? -1 : 1;
	}
	ids = memcmp(a->choice->rule->id.b, b->choice->rule->id.b, sizeof(struct guid));
	/* Choices stand in the order of rules, then paths. */
	return ids != 0 ? ids : a->choice < b->choice ? -1 : a->choice > b->choice;
}

static enum err choose_paths(struct build *b, uint32_t index)
{
	const struct router_rule *rule = b->router->rules[index];
	uint64_t priority = rule_priority(rule);

	for (uint32_t i = 0; i < MAX(rule->paths.n, 1); i++) {
		struct choice *c = &b->choices[b->n_choices];
		struct sort_key *key = &b->order[b->n_choices++];

		*c = (struct choice){.rule = rule, .index = index};
		*key = (struct sort_key){priority, rule->created_at, c};
		if (rule->paths.n == 0) {
			continue;
		}
		c->key = rule->paths.v[i];
		key->priority |= path_priority(rule, c->key);
		if (is_regex_path(c->key)) {
			struct str pattern = str_skip(c->key, 1);

			TRY(regex_get(b, rule, pattern, REGEX_PATH, &c->regex));
			c->key = regex_literal(&b->scratch, pattern);
		}
	}
	return ERR_OK;
}

static enum err rank(struct build *b)
{
	struct router *r = b->router;
	size_t n = 0;

	for (size_t i = 0; i < r->n_rules; i++) {
		n += MAX(r->rules[i]->paths.n, 1);
	}
	b->choices = mem_alloc(sizeof(*b->choices) * (n + 1));
	b->order = mem_alloc(sizeof(*b->order) * (n + 1));
	for (uint32_t i = 0; i < r->n_rules; i++) {
		TRY(choose_paths(b, i));
		if (r->rules[i]->n_headers > 0) {
			TRY(compile_headers(b, i));
		}
	}
	qsort(b->order, b->n_choices, sizeof(*b->order), order_cmp);
	return ERR_OK;
}

/* --- expand -------------------------------------------------------------------------- */

static void hosts_grow(struct router *r, struct router_hosts *t)
{
	struct router_hosts old = *t;

	if (t->slots && t->n * 2 <= t->mask) {
		return;
	}
	t->mask = t->slots ? t->mask * 2 + 1 : 15;
	t->slots = ARENA_NEW_ARRAY(&r->arena, struct router_host, (size_t)t->mask + 1);
	for (uint32_t i = 0; old.slots && i <= old.mask; i++) {
		if (old.slots[i].text.p) {
			*router_host_slot(t, old.slots[i].text, old.slots[i].hash) = old.slots[i];
		}
	}
}

static enum host_class host_class(struct str *name)
{
	if (str_starts(*name, STR("*"))) {
		*name = str_skip(*name, 1);
		return HOST_SUFFIX;
	}
	if (str_ends(*name, STR("*"))) {
		*name = str_slice(*name, 0, name->n - 1);
		return HOST_PREFIX;
	}
	return HOST_EXACT;
}

/* The root of the tree for a host pattern, made at need. False: it can never match. */
static bool host_root(struct build *b, struct str pattern, uint32_t *out_root, bool *has_port,
		      uint16_t *out_port)
{
	char folded[ROUTER_HOST_MAX];
	struct str name;
	struct router_hosts *t;
	struct router_host *slot;
	uint32_t hash;

	if (!router_host_split(pattern, folded, &name, has_port, out_port)) {
		return false;
	}
	t = &b->router->hosts[host_class(&name)];
	hosts_grow(b->router, t);
	hash = router_host_hash(name);
	slot = router_host_slot(t, name, hash);
	if (!slot->text.p) {
		*slot = (struct router_host){str_dup(&b->router->arena, name), hash, b->n_roots++};
		slot->text.p = slot->text.p ? slot->text.p : "";
		t->lengths[name.n] = 1;
		t->n++;
	}
	*out_root = slot->root;
	return true;
}

static uint16_t method_bits(const struct router_rule *rule)
{
	unsigned bits = 0;

	for (size_t i = 0; i < rule->methods.n; i++) {
		bits |= 1u << http_method_parse(rule->methods.v[i]);
	}
	return (uint16_t)bits;
}

static struct router_entry choice_entry(const struct choice *c, uint32_t place)
{
	struct router_entry e = {.rank = place, .rule = c->index, .regex = c->regex};

	e.methods = method_bits(c->rule);
	e.checks = (uint16_t)((e.methods ? CHECK_METHOD : 0) |
			      (e.methods & 1u << HTTP_OTHER ? CHECK_METHOD_TEXT : 0) |
			      (c->rule->n_headers ? CHECK_HEADERS : 0) |
			      (c->rule->snis.n ? CHECK_SNIS : 0));
	return e;
}

static void add_leaf(struct build *b, const struct choice *c, const struct router_entry *e,
		     uint32_t root)
{
	uint32_t i = (uint32_t)b->n_leaves++;

	b->entries[i] = *e;
	b->roots[i] = root;
	b->spare[i] = (struct leaf){c->key.p, (uint32_t)c->key.n & INT32_MAX, c->regex != NULL, i};
}

static void expand_choice(struct build *b, const struct choice *c, uint32_t place)
{
	struct router_entry entry = choice_entry(c, place);
	uint16_t plain_checks = entry.checks;

	if (c->rule->hosts.n == 0) {
		add_leaf(b, c, &entry, 0);
	}
	for (size_t i = 0; i < c->rule->hosts.n; i++) {
		bool has_port = false;
		uint32_t root;

		if (host_root(b, c->rule->hosts.v[i], &root, &has_port, &entry.port)) {
			entry.checks = plain_checks | (has_port ? CHECK_PORT : 0);
			add_leaf(b, c, &entry, root);
		}
	}
}

/* Leaves from spare[] to leaves[] by root, else as they are; a span for each root. */
static void sort_by_root(struct build *b)
{
	uint32_t *next = mem_zalloc(sizeof(*next) * ((size_t)b->n_roots + 1)), sum = 0;

	for (size_t i = 0; i < b->n_leaves; i++) {
		next[b->roots[i]]++;
	}
	for (uint32_t i = 0; i < b->n_roots; i++) {
		b->spans[i] = (struct span){sum, sum + next[i], 0};
		sum += next[i];
		next[i] = b->spans[i].from;
	}
	for (size_t i = 0; i < b->n_leaves; i++) {
		b->leaves[next[b->roots[i]]++] = b->spare[i];
	}
	mem_free(next);
}

static void nodes_reserve(struct build *b, uint32_t n)
{
	if (n > b->nodes_cap) {
		struct router *r = b->router;

		b->nodes_cap = MAX(n, b->nodes_cap * 2);
		b->nodes = mem_resize(b->nodes, sizeof(*b->nodes) * b->nodes_cap);
		r->bytes = mem_resize(r->bytes, b->nodes_cap);
		b->spans = mem_resize(b->spans, sizeof(*b->spans) * b->nodes_cap);
	}
}

static void expand(struct build *b)
{
	size_t n = 1;

	for (size_t i = 0; i < b->n_choices; i++) {
		n += MAX(b->choices[i].rule->hosts.n, 1);
	}
	b->entries = mem_alloc(sizeof(*b->entries) * n);
	b->roots = mem_alloc(sizeof(*b->roots) * n);
	b->leaves = mem_alloc(sizeof(*b->leaves) * n);
	b->spare = mem_alloc(sizeof(*b->spare) * n);
	b->n_roots = 1;
	for (uint32_t i = 0; i < b->n_choices; i++) {
		expand_choice(b, b->order[i].choice, i);
	}
	nodes_reserve(b, MAX(b->n_roots, (uint32_t)b->n_leaves + 1));
	b->router->n_nodes = b->n_roots;
	sort_by_root(b);
}

/* --- split --------------------------------------------------------------------------- */

static uint32_t leaf_class(const struct leaf *l, uint32_t depth)
{
	if (l->key_n > depth) {
		return CLASS_BYTE + (uint8_t)l->key[depth];
	}
	return l->is_regex ? CLASS_REGEX : CLASS_PREFIX;
}

static uint32_t common_depth(const struct leaf *l, uint32_t n, uint32_t depth)
{
	uint32_t end = l[0].key_n;

	for (uint32_t i = 1; i < n && end > depth; i++) {
		uint32_t most = MIN(end, l[i].key_n), k = depth;

		while (k < most && l[i].key[k] == l[0].key[k]) {
			k++;
		}
		end = k;
	}
	return end;
}

static void sort_small(struct leaf *l, uint32_t n, uint32_t depth)
{
	for (uint32_t i = 1; i < n; i++) {
		struct leaf x = l[i];
		uint32_t class = leaf_class(&x, depth), k = i;

		while (k > 0 && leaf_class(&l[k - 1], depth) > class) {
			l[k] = l[k - 1];
			k--;
		}
		l[k] = x;
	}
}

/* By class, stable. */
static void sort_leaves(struct build *b, uint32_t from, uint32_t n, uint32_t depth)
{
	struct leaf *l = b->leaves + from;
	uint32_t next[CLASSES] = {0}, sum = 0;

	if (n <= SMALL) {
		sort_small(l, n, depth);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		next[leaf_class(&l[i], depth)]++;
	}
	for (uint32_t i = 0; i < CLASSES; i++) {
		uint32_t count = next[i];

		next[i] = sum;
		sum += count;
	}
	for (uint32_t i = 0; i < n; i++) {
		b->spare[next[leaf_class(&l[i], depth)]++] = l[i];
	}
	memcpy(l, b->spare, sizeof(*l) * n);
}

static void set_label(struct build *b, struct router_node *node, const char *p, uint32_t n)
{
	struct router *r = b->router;

	node->label_n = n;
	if (n <= ROUTER_NODE_INLINE) {
		memcpy(node->text, p, n);
		return;
	}
	if (b->labels_n + n > b->labels_cap) {
		b->labels_cap = MAX(b->labels_cap * 2, b->labels_n + n + 1024);
		r->labels = mem_resize(r->labels, b->labels_cap);
	}
	memcpy(r->labels + b->labels_n, p, n);
	node->label = (uint32_t)b->labels_n;
	b->labels_n += n;
}

/* A child for each byte that leaves [at, to), sorted by it, go on with. */
static uint32_t add_children(struct build *b, uint32_t at, uint32_t to, uint32_t depth)
{
	struct router *r = b->router;
	uint32_t before = r->n_nodes;

	while (at < to) {
		char byte = b->leaves[at].key[depth];
		uint32_t end = at + 1;

		while (end < to && b->leaves[end].key[depth] == byte) {
			end++;
		}
		nodes_reserve(b, r->n_nodes + 1);
		r->bytes[r->n_nodes] = (uint8_t)byte;
		b->spans[r->n_nodes++] = (struct span){at, end, depth + 1};
		at = end;
	}
	return r->n_nodes - before;
}

static void split(struct build *b, uint32_t index)
{
	struct span s = b->spans[index];
	struct router_node node = {.entries = s.from, .children = b->router->n_nodes};
	uint32_t at = s.from;

	if (s.from < s.to) {
		struct leaf *l = b->leaves + s.from;
		uint32_t depth = common_depth(l, s.to - s.from, s.depth);

		if (depth > s.depth) {
			set_label(b, &node, l->key + s.depth, depth - s.depth);
		}
		sort_leaves(b, s.from, s.to - s.from, depth);
		while (at < s.to && leaf_class(&b->leaves[at], depth) == CLASS_PREFIX) {
			at++;
		}
		node.n_prefixes = at - s.from;
		while (at < s.to && leaf_class(&b->leaves[at], depth) == CLASS_REGEX) {
			at++;
		}
		node.n_regexes = at - s.from - node.n_prefixes;
		node.n_children = add_children(b, at, s.to, depth);
		if (node.n_children <= ROUTER_NODE_INLINE) {
			memcpy(node.bytes, b->router->bytes + node.children, node.n_children);
		}
	}
	b->nodes[index] = node;
}

static void note_sole(const struct router *r, struct router_node *node)
{
	const struct router_entry *e = &r->entries[node->entries];

	node->sole_rank = ROUTER_NO_RANK;
	if (node->n_prefixes == 1 && node->n_regexes == 0 && e->checks == 0 &&
	    node->label_n <= ROUTER_NODE_INLINE) {
		node->sole_rank = e->rank;
		node->rule = e->rule;
	}
}

static void pack(struct build *b)
{
	struct router *r = b->router;
	size_t size = sizeof(*r->nodes), n = r->n_nodes;

	r->nodes_block = mem_alloc(size * (n + 1));
	r->nodes = (void *)(((uintptr_t)r->nodes_block + size - 1) & ~(uintptr_t)(size - 1));
	memcpy(r->nodes, b->nodes, size * n);
	r->n_entries = b->n_leaves;
	r->entries = mem_alloc(sizeof(*r->entries) * (b->n_leaves + 1));
	for (size_t i = 0; i < b->n_leaves; i++) {
		r->entries[i] = b->entries[b->leaves[i].entry];
	}
	for (size_t i = 0; i < n; i++) {
		note_sole(r, &r->nodes[i]);
	}
	r->priorities = mem_alloc(sizeof(*r->priorities) * (b->n_choices + 1));
	for (size_t i = 0; i < b->n_choices; i++) {
		r->priorities[i] = b->order[i].priority;
	}
}

static void build_fini(struct build *b)
{
	mem_free(b->choices);
	mem_free(b->order);
	mem_free(b->entries);
	mem_free(b->roots);
	mem_free(b->nodes);
	mem_free(b->leaves);
	mem_free(b->spare);
	mem_free(b->spans);
	arena_fini(&b->scratch);
}

enum err router_renew(const struct router *old, const struct router_rule *const *rules, size_t n,
		      struct router **out, struct fault *f)
{
	return router_over(&(struct router_layer){.old = old}, rules, n, out, f);
}

enum err router_over(const struct router_layer *layer, const struct router_rule *const *rules,
		     size_t n, struct router **out, struct fault *f)
{
	struct router *r = MEM_NEW(struct router);
	struct build b = {.router = r, .old = layer->old, .fault = f};
	enum err e;

	ASSERT(!layer->below || !layer->below->below);
	r->below = layer->below;
	r->gone = layer->gone;

	arena_init(&r->arena, 0);
	arena_init(&b.scratch, 0);
	r->rules = rules;
	r->n_rules = n;
	r->header_regexes = ARENA_NEW_ARRAY(&r->arena, struct regex **, n + 1);
	e = rank(&b);
	if (e == ERR_OK) {
		expand(&b);
		for (uint32_t i = 0; i < r->n_nodes; i++) {
			split(&b, i);
		}
		pack(&b);
		*out = r;
	} else {
		router_free(&r);
	}
	build_fini(&b);
	return e;
}

enum err router_new(const struct router_rule *const *rules, size_t n, struct router **out,
		    struct fault *f)
{
	return router_renew(NULL, rules, n, out, f);
}

void router_free(struct router **r)
{
	struct router *old = *r;
	struct map_entry e;
	size_t pos = 0;

	*r = NULL;
	if (!old) {
		return;
	}
	while (map_next(&old->regexes, &pos, &e)) {
		struct regex *re = e.value;

		regex_unref(&re);
	}
	map_free(&old->regexes);
	mem_free(old->nodes_block);
	mem_free(old->bytes);
	mem_free(old->labels);
	mem_free(old->entries);
	mem_free(old->priorities);
	arena_fini(&old->arena);
	mem_free(old);
}
