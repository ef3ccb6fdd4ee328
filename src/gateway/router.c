/*
 * router - matching, see router.h; the tables are in router_int.h
 *
 * The trees of the host patterns that fit are walked along the path. On the way the best
 * rank among the prefixes is found at once, and nodes with regexes that could still beat
 * it are noted. Only then regexes run, in order of rank, until one matches or the rest
 * ranks below the prefix or below one that gave up.
 */
#include "gateway/router_int.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Nodes with regexes on the way; more take memory from the arena. */
#define CURSORS_MIN 32

struct cursor {
	const struct router_entry *next, *end;
};

struct walk {
	const struct router *router;
	const uint64_t *gone; /* rules to pass over; NULL: none */
	const struct router_input *in;
	struct arena *arena;
	uint16_t port;
	uint16_t method;
	const struct router_entry *best; /* not looked at while its rank and rule are enough */
	uint32_t best_rank, best_rule;
	size_t best_depth;
	const struct router_entry *checked; /* whose headers are looked at */
	const struct router_entry *gave_up; /* the first by rank; NULL: none */
	uint64_t *budget_ns;		    /* of all regexes of this match */
	struct cursor *cursors;
	size_t n_cursors, cursors_cap;
};

/* --- hosts --------------------------------------------------------------------------- */

uint32_t router_host_hash(struct str text)
{
	/* Only the administrator chooses what is stored, so there is nothing to key. */
	uint64_t h = text.n * UINT64_C(0x9e3779b97f4a7c15);
	size_t i = 0;

	for (; i + 8 <= text.n; i += 8) {
		uint64_t x;

		memcpy(&x, text.p + i, 8);
		h = (h ^ x) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	for (; i < text.n; i++) {
		h = (h ^ (uint8_t)text.p[i]) * UINT64_C(0x100000001b3);
	}
	h ^= h >> 29;
	return (uint32_t)((h * UINT64_C(0xc4ceb9fe1a85ec53)) >> 32);
}

struct router_host *router_host_slot(const struct router_hosts *t, struct str text, uint32_t hash)
{
	uint32_t i = hash & t->mask;

	while (t->slots[i].text.p &&
	       (t->slots[i].hash != hash || !str_eq(t->slots[i].text, text))) {
		i = (i + 1) & t->mask;
	}
	return &t->slots[i];
}

/* Where ":port" begins, host.n without one. An empty port is none (RFC 3986 3.2.3). */
static size_t port_colon(struct str host)
{
	ptrdiff_t colon = str_rindex(host, ':');

	if (colon < 0 ||
	    (host.p[0] == '[' ? host.p[colon - 1] != ']'
			      : str_index(str_slice(host, 0, (size_t)colon), ':') >= 0)) {
		return host.n;
	}
	return (size_t)colon;
}

bool router_host_split(struct str host, char to[ROUTER_HOST_MAX], struct str *out_name,
		       bool *has_port, uint16_t *out_port)
{
	size_t end = port_colon(host);
	uint64_t port = 0;

	*has_port = end + 1 < host.n;
	if (*has_port && (!str_to_u64(str_skip(host, end + 1), &port) || port > UINT16_MAX)) {
		return false;
	}
	if (*has_port) {
		*out_port = (uint16_t)port;
	}
	end -= end > 1 && host.p[end - 1] == '.' ? 1u : 0u;
	if (end > ROUTER_HOST_MAX) {
		return false;
	}
	for (size_t i = 0; i < end; i++) {
		to[i] = ascii_lower(host.p[i]);
	}
	*out_name = str_of(to, end);
	return true;
}

/* --- checks -------------------------------------------------------------------------- */

static struct str without_dot(struct str name)
{
	return name.n > 1 && name.p[name.n - 1] == '.' ? str_slice(name, 0, name.n - 1) : name;
}

static bool name_fits(struct str name, struct str pattern)
{
	if (str_starts(pattern, STR("*"))) {
		struct str suffix = str_skip(pattern, 1);

		return name.n > suffix.n &&
		       str_eq_nocase(str_skip(name, name.n - suffix.n), suffix);
	}
	if (str_ends(pattern, STR("*"))) {
		struct str prefix = str_slice(pattern, 0, pattern.n - 1);

		return name.n > prefix.n && str_starts_nocase(name, prefix);
	}
	return str_eq_nocase(name, pattern);
}

static bool sni_fits(struct str sni, struct router_strs patterns)
{
	sni = without_dot(sni);
	for (size_t i = 0; i < patterns.n; i++) {
		if (name_fits(sni, without_dot(patterns.v[i]))) {
			return true;
		}
	}
	return false;
}

static bool strs_have(struct router_strs list, struct str s)
{
	for (size_t i = 0; i < list.n; i++) {
		if (str_eq(list.v[i], s)) {
			return true;
		}
	}
	return false;
}

static void note_gave_up(struct walk *w, const struct router_entry *e)
{
	if (!w->gave_up || e->rank < w->gave_up->rank) {
		w->gave_up = e;
	}
}

static bool value_fits(struct walk *w, const struct router_header *h, struct regex *const *regexes,
		       struct str value)
{
	for (size_t i = 0; i < h->values.n; i++) {
		if (!regexes[i]) {
			if (str_eq_nocase(h->values.v[i], value)) {
				return true;
			}
			continue;
		}
		switch (regex_match(regexes[i], value, w->budget_ns)) {
		case REGEX_YES:
			return true;
		case REGEX_GAVE_UP:
			note_gave_up(w, w->checked);
			break;
		case REGEX_NO:
			break;
		}
	}
	return false;
}

static bool header_fits(struct walk *w, const struct router_header *h, struct regex *const *regexes)
{
	const struct http_headers *all = w->in->headers;

	for (size_t i = 0; all && i < all->n; i++) {
		if (str_eq_nocase(all->v[i].name, h->name) &&
		    (h->values.n == 0 || value_fits(w, h, regexes, all->v[i].value))) {
			return true;
		}
	}
	return false;
}

static bool headers_fit(struct walk *w, uint32_t index)
{
	const struct router_rule *rule = w->router->rules[index];
	struct regex *const *regexes = w->router->header_regexes[index];

	for (size_t i = 0; i < rule->n_headers; i++) {
		if (!header_fits(w, &rule->headers[i], regexes)) {
			return false;
		}
		regexes += rule->headers[i].values.n;
	}
	return true;
}

static bool is_gone(const struct walk *w, uint32_t rule)
{
	return w->gone && w->gone[rule / 64] >> rule % 64 & 1;
}

/* Everything but host and path. */
static bool entry_fits(struct walk *w, const struct router_entry *e)
{
	const struct router_rule *rule;

	if (is_gone(w, e->rule)) {
		return false;
	}
	if (!e->checks) {
		return true;
	}
	if ((e->checks & CHECK_PORT && e->port != w->port) ||
	    (e->checks & CHECK_METHOD && !(e->methods & w->method))) {
		return false;
	}
	rule = w->router->rules[e->rule];
	if (e->checks & CHECK_METHOD_TEXT && w->method == 1u << HTTP_OTHER &&
	    !strs_have(rule->methods, w->in->method)) {
		return false;
	}
	if (e->checks & CHECK_SNIS && w->in->tls && !sni_fits(w->in->sni, rule->snis)) {
		return false;
	}
	w->checked = e;
	return !(e->checks & CHECK_HEADERS) || headers_fit(w, e->rule);
}

/* --- walk ---------------------------------------------------------------------------- */

static void cursor_add(struct walk *w, const struct router_entry *first, uint32_t n)
{
	if (w->n_cursors == w->cursors_cap) {
		struct cursor *more = ARENA_NEW_ARRAY(w->arena, struct cursor, w->cursors_cap * 2);

		memcpy(more, w->cursors, sizeof(*more) * w->n_cursors);
		w->cursors = more;
		w->cursors_cap *= 2;
	}
	w->cursors[w->n_cursors++] = (struct cursor){first, first + n};
}

static void take(struct walk *w, const struct router_entry *e, uint32_t rank, uint32_t rule)
{
	w->best = e;
	w->best_rank = rank;
	w->best_rule = rule;
}

static void visit(struct walk *w, const struct router_node *node, size_t depth)
{
	const struct router_entry *e = w->router->entries + node->entries;
	const struct router_entry *end = e + node->n_prefixes;

	if (node->sole_rank != ROUTER_NO_RANK) {
		if (node->sole_rank < w->best_rank && !is_gone(w, node->rule)) {
			take(w, e, node->sole_rank, node->rule);
			w->best_depth = depth;
		}
		return;
	}
	if (node->n_regexes && end->rank < w->best_rank) {
		cursor_add(w, end, node->n_regexes);
	}
	for (; e < end && e->rank < w->best_rank; e++) {
		if (entry_fits(w, e)) {
			take(w, e, e->rank, e->rule);
			w->best_depth = depth;
			return;
		}
	}
}

/* Index of the child that the byte leads to, or -1. */
static int child_of(const struct router *r, const struct router_node *node, char byte)
{
	const uint8_t *bytes = r->bytes + node->children, *found;

	if (node->n_children <= ROUTER_NODE_INLINE) {
#ifdef __SSE2__
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)node->bytes);
		unsigned hits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8(byte)));

		hits &= (1u << node->n_children) - 1;
		return hits ? __builtin_ctz(hits) : -1;
#else
		bytes = node->bytes;
#endif
	}
	found = memchr(bytes, (uint8_t)byte, node->n_children);
	return found ? (int)(found - bytes) : -1;
}

static bool label_fits(const struct router *r, const struct router_node *node, struct str path,
		       size_t depth)
{
	if (path.n - depth < node->label_n) {
		return false;
	}
	if (node->label_n > ROUTER_NODE_INLINE) {
		return memcmp(path.p + depth, r->labels + node->label, node->label_n) == 0;
	}
	for (uint32_t i = 0; i < node->label_n; i++) {
		if (path.p[depth + i] != node->text[i]) {
			return false;
		}
	}
	return true;
}

static void walk_tree(struct walk *w, uint32_t root)
{
	const struct router *r = w->router;
	const struct router_node *node = &r->nodes[root];
	struct str path = w->in->path;
	size_t depth = 0;

	for (;;) {
		int child;

		if (!label_fits(r, node, path, depth)) {
			return;
		}
		depth += node->label_n;
		if (node->n_prefixes + node->n_regexes > 0) {
			visit(w, node, depth);
		}
		if (depth == path.n) {
			return;
		}
		child = child_of(r, node, path.p[depth]);
		if (child < 0) {
			return;
		}
		node = &r->nodes[node->children + (uint32_t)child];
		depth++;
	}
}

static void walk_host(struct walk *w, enum host_class class, struct str text)
{
	const struct router_hosts *t = &w->router->hosts[class];
	const struct router_host *slot;

	if (!t->lengths[text.n]) {
		return;
	}
	slot = router_host_slot(t, text, router_host_hash(text));
	if (slot->text.p) {
		walk_tree(w, slot->root);
	}
}

static void walk_hosts(struct walk *w)
{
	const struct router_hosts *hosts = w->router->hosts;
	char folded[ROUTER_HOST_MAX];
	struct str name;
	bool has_port;

	if (hosts[HOST_EXACT].n + hosts[HOST_SUFFIX].n + hosts[HOST_PREFIX].n == 0 ||
	    !router_host_split(w->in->host, folded, &name, &has_port, &w->port) || name.n == 0) {
		return;
	}
	walk_host(w, HOST_EXACT, name);
	for (size_t n = 0; n < name.n && hosts[HOST_SUFFIX].n > 0; n++) {
		walk_host(w, HOST_SUFFIX, str_skip(name, name.n - n));
	}
	for (size_t n = 0; n < name.n && hosts[HOST_PREFIX].n > 0; n++) {
		walk_host(w, HOST_PREFIX, str_slice(name, 0, n));
	}
}

/* --- regexes ------------------------------------------------------------------------- */

/* What ranks here or lower can only lose: to the prefix, or to what the caller must refuse for. */
static uint32_t rank_bound(const struct walk *w)
{
	return w->gave_up ? MIN(w->gave_up->rank, w->best_rank) : w->best_rank;
}

/* The next regex by rank, NULL when what follows could only lose. */
static const struct router_entry *next_regex(struct walk *w)
{
	struct cursor *first = NULL;

	for (size_t i = 0; i < w->n_cursors; i++) {
		struct cursor *c = &w->cursors[i];

		if (c->next < c->end && (!first || c->next->rank < first->next->rank)) {
			first = c;
		}
	}
	return first && first->next->rank < rank_bound(w) ? first->next++ : NULL;
}

static bool try_regexes(struct walk *w, struct router_match *out)
{
	const struct router_entry *e = w->n_cursors > 0 ? next_regex(w) : NULL;

	for (; e; e = next_regex(w)) {
		enum regex_result result = REGEX_NO;

		if (entry_fits(w, e)) {
			result = regex_match(e->regex, w->in->path, w->budget_ns);
		}
		if (result == REGEX_YES) {
			take(w, e, e->rank, e->rule);
			out->by_regex = true;
			out->matched = regex_captures(e->regex, w->arena, w->in->path, out);
			return true;
		}
		if (result == REGEX_GAVE_UP) {
			note_gave_up(w, e);
		}
	}
	return false;
}

/* --- layers -------------------------------------------------------------------------- */

/* What one router says: without looking at what is below it. */
struct side {
	const struct router *router;
	uint64_t *budget_ns;
	const struct router_entry *won;	    /* NULL: nothing matches */
	const struct router_entry *gave_up; /* the first of those */
	struct router_match match;
};

static void match_side(struct side *s, const uint64_t *gone, struct arena *a,
		       const struct router_input *in)
{
	struct cursor few[CURSORS_MIN];
	struct walk w = {
		.router = s->router, .gone = gone, .in = in, .arena = a, .budget_ns = s->budget_ns};

	w.port = in->port;
	w.method = (uint16_t)(1u << http_method_parse(in->method));
	w.best_rank = ROUTER_NO_RANK;
	w.cursors = few;
	w.cursors_cap = CURSORS_MIN;
	walk_hosts(&w);
	walk_tree(&w, 0);
	if (!try_regexes(&w, &s->match) && w.best) {
		s->match.matched = w.best_depth;
	}
	if (w.best) {
		s->match.rule = w.best_rule;
	}
	s->won = w.best;
	s->gave_up = w.gave_up;
}

/* As order_cmp of the build has it; the same rule is never on both sides. */
static bool precedes(const struct router *ra, const struct router_entry *a, const struct router *rb,
		     const struct router_entry *b)
{
	const struct router_rule *x = ra->rules[a->rule], *y = rb->rules[b->rule];
	uint64_t px = ra->priorities[a->rank], py = rb->priorities[b->rank];

	if (ra == rb) {
		return a->rank < b->rank;
	}
	if (px != py) {
		return px > py;
	}
	if (x->created_at != y->created_at) {
		return x->created_at < y->created_at;
	}
	return memcmp(x->id.b, y->id.b, sizeof(x->id.b)) < 0;
}

static bool gave_up_before(const struct side *s, const struct side *winner)
{
	return s->gave_up &&
	       (!winner->won || precedes(s->router, s->gave_up, winner->router, winner->won));
}

static bool match_layers(const struct router *r, struct arena *a, const struct router_input *in,
			 struct side *own, struct router_match *out)
{
	struct side below = {.router = r->below, .budget_ns = own->budget_ns}, *won = own;

	match_side(&below, r->gone, a, in);
	own->match.rule += r->below->n_rules;
	if (!own->won || (below.won && precedes(below.router, below.won, own->router, own->won))) {
		won = &below;
	}
	won->match.gave_up = gave_up_before(own, won) || gave_up_before(&below, won);
	*out = won->match;
	return won->won != NULL;
}

bool router_match(const struct router *r, struct arena *a, const struct router_input *in,
		  struct router_match *out)
{
	uint64_t budget_ns = REGEX_BUDGET_NS;
	struct side own = {.router = r, .budget_ns = &budget_ns};

	match_side(&own, NULL, a, in);
	if (r->below) {
		return match_layers(r, a, in, &own, out);
	}
	own.match.gave_up = gave_up_before(&own, &own);
	*out = own.match;
	return own.won != NULL;
}
