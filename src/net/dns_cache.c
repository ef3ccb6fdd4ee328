/*
 * The cache of a loop: entries by name, each with the newest set of records and, while it is being
 * looked up, one resolution.
 *
 * A resolution goes through the types of its order, one question at a time, until one has records.
 * SRV records and CNAMEs name further hosts; each is an entry of its own, of the kind that only has
 * addresses (key prefix '=' instead of '*'), and the resolution waits for all of them. Depth
 * grows with each step down, and an entry never waits for one that is not deeper: so a
 * loop of CNAMEs ends.
 *
 *   IDLE -> ASKING (a question is with c-ares) -> IDLE
 *              \-> GATHERING (names of SRV, CNAME) -> IDLE
 *
 * Entries that nobody waits for or watches may be evicted; entries under way may not, so the
 * argument of a question is never stale.
 */
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "net/dns_int.h"

#include <netinet/in.h>
#include <stdlib.h>

#define TTL_MIN_MS 1000
#define TTL_MAX_MS ((uint64_t)7 * 24 * 3600 * 1000)
#define HOSTS_TTL_MS 5000
#define DEPTH_MAX 8
#define PLACES_MAX 64

const struct dns_options dns_options_default = {
	.hosts_file = STR_INIT("/etc/hosts"),
	.order = {DNS_SRV, DNS_A, DNS_AAAA},
	.n_order = 3,
	.stale_ttl_ms = 3600 * 1000,
	.not_found_ttl_ms = 30 * 1000,
	.error_ttl_ms = 1000,
	.timeout_ms = 2000,
	.tries = 3,
	.cache_max = 10000,
};

static const enum dns_kind addresses_only[] = {DNS_A, DNS_AAAA};

enum entry_state { ENTRY_IDLE, ENTRY_ASKING, ENTRY_GATHERING };

/* A host that SRV or CNAME names; lives while its entry gathers. */
struct place {
	struct dns_waiter waiter;
	struct dns_entry *entry;
	struct dns_name name;
	uint16_t port, weight, priority;
	struct dns_entry *sub; /* where it is looked up */
	struct dns_set *set;   /* what was found */
	uint32_t ttl_ms;       /* what is left of it */
};

struct dns_entry {
	struct dns_cache *cache;
	struct list_node lru;
	struct dns_set *set; /* NULL = never known, or too old */
	uint64_t fresh_until_ms, stale_until_ms;
	struct list waiters, watches;
	struct timer timer; /* while watched */
	/* the resolution */
	enum entry_state state;
	enum dns_kind last; /* the kind that answered last */
	enum dns_kind order[DNS_KINDS];
	unsigned n_order, step, depth;
	unsigned pins;	/* calls back are under way */
	enum err worst; /* of the steps that failed */
	enum dns_kind found;
	uint32_t ttl_ms;
	struct place *places;
	size_t n_places, n_pending;
	struct str key; /* '*' or '=' and the name, lower case */
	char text[];
};

struct dns_cache {
	struct loop *loop;
	struct dns_options o;
	struct dns_hosts *hosts;
	struct map entries;
	struct list lru; /* the latest used last */
};

static void resolve(struct dns_entry *e, unsigned depth);
static void ask_next(struct dns_entry *e);

static struct str name_of(const struct dns_entry *e)
{
	return str_skip(e->key, 1);
}

static bool only_addresses(const struct dns_entry *e)
{
	return e->key.p[0] == '=';
}

/* ---- sets ---- */

struct dns_set *dns_set_ref(struct dns_set *s)
{
	s->refs++;
	return s;
}

void dns_set_unref(struct dns_set **sp)
{
	struct dns_set *s = *sp;

	*sp = NULL;
	if (s && --s->refs == 0) {
		mem_free(s->v);
		mem_free(s);
	}
}

struct str dns_set_text(const struct dns_set *s)
{
	static const struct str kinds[DNS_KINDS] = {
		[DNS_NONE] = STR_INIT(""),	 [DNS_A] = STR_INIT("A"),
		[DNS_AAAA] = STR_INIT("AAAA"),	 [DNS_SRV] = STR_INIT("SRV"),
		[DNS_CNAME] = STR_INIT("CNAME"), [DNS_HOSTS] = STR_INIT("A"),
	};

	if (s->result == ERR_OK) {
		return kinds[s->kind];
	}
	return s->result == ERR_NOT_FOUND ? STR("dns server error: 3 name error")
	       : s->result == ERR_TIMEOUT ? STR("dns server error: timeout")
					  : STR("dns server error: no answer");
}

static int compare_addrs(const struct addr *a, const struct addr *b)
{
	if (a->sa.ss_family != b->sa.ss_family) {
		return a->sa.ss_family < b->sa.ss_family ? -1 : 1;
	}
	return memcmp(&a->sa, &b->sa, MIN(a->len, b->len));
}

static int compare_records(const void *x, const void *y)
{
	const struct dns_record *a = x, *b = y;
	int c = compare_addrs(&a->addr, &b->addr);

	return c != 0 ? c : str_cmp(a->name, b->name);
}

/* Names stand behind the records, in the same block. */
struct builder {
	struct dns_record v[DNS_RECORDS_MAX];
	size_t n, name_bytes;
};

static void add_record(struct builder *b, const struct addr *a, uint16_t port, struct str name,
		       uint16_t weight)
{
	struct dns_record *r;

	if (b->n == DNS_RECORDS_MAX) {
		return;
	}
	r = &b->v[b->n++];
	*r = (struct dns_record){.addr = *a, .name = name, .weight = MAX(weight, 1)};
	if (a->sa.ss_family == AF_INET) {
		((struct sockaddr_in *)&r->addr.sa)->sin_port = htons(port);
	} else {
		((struct sockaddr_in6 *)&r->addr.sa)->sin6_port = htons(port);
	}
	b->name_bytes += name.n;
}

static struct dns_set *set_new(enum err result, enum dns_kind kind, uint32_t ttl_ms)
{
	struct dns_set *s = MEM_NEW(struct dns_set);

	*s = (struct dns_set){.result = result, .kind = kind, .ttl_ms = ttl_ms, .refs = 1};
	return s;
}

static void fill_set(struct dns_set *s, struct builder *b)
{
	char *text;

	s->n = b->n;
	s->v = mem_alloc(b->n * sizeof(*s->v) + b->name_bytes);
	text = (char *)(s->v + b->n);
	qsort(b->v, b->n, sizeof(b->v[0]), compare_records);
	for (size_t i = 0; i < b->n; i++) {
		s->v[i] = b->v[i];
		memcpy(text, b->v[i].name.p, b->v[i].name.n);
		s->v[i].name.p = text;
		text += b->v[i].name.n;
	}
	/* Answers are sorted: without this everyone would begin with the lowest address. */
	s->v[rand_below((uint32_t)s->n)].turn = 1;
}

static bool same_sets(const struct dns_set *a, const struct dns_set *b)
{
	if (a->result != b->result || a->n != b->n || a->kind != b->kind) {
		return false;
	}
	for (size_t i = 0; i < a->n; i++) {
		if (compare_records(&a->v[i], &b->v[i]) != 0 || a->v[i].weight != b->v[i].weight) {
			return false;
		}
	}
	return true;
}

/* ---- entries ---- */

static void entry_free(struct dns_entry *e)
{
	struct dns_cache *c = e->cache;

	(void)map_remove(&c->entries, e->key);
	list_remove(&e->lru);
	timer_stop(c->loop, &e->timer);
	dns_set_unref(&e->set);
	for (size_t i = 0; i < e->n_places; i++) {
		dns_wait_cancel(&e->places[i].waiter);
		dns_set_unref(&e->places[i].set);
	}
	mem_free(e->places);
	mem_free(e);
}

static bool is_idle(const struct dns_entry *e)
{
	return e->state == ENTRY_IDLE && e->pins == 0 && list_is_empty(&e->waiters) &&
	       list_is_empty(&e->watches);
}

/* Makes room for one more: the least recently used of those that nobody needs now. */
static void evict(struct dns_cache *c)
{
	LIST_EACH (&c->lru, it) {
		struct dns_entry *e = container_of(it, struct dns_entry, lru);

		if (is_idle(e)) {
			entry_free(e);
			return;
		}
	}
}

static struct dns_entry *entry_new(struct dns_cache *c, struct str key)
{
	struct dns_entry *e;

	if (c->entries.n >= c->o.cache_max) {
		evict(c);
	}
	e = mem_zalloc(sizeof(*e) + key.n);
	e->cache = c;
	memcpy(e->text, key.p, key.n);
	e->key = str_of(e->text, key.n);
	list_init(&e->waiters);
	list_init(&e->watches);
	list_push(&c->lru, &e->lru);
	(void)map_set(&c->entries, e->key, e);
	return e;
}

/* NULL only for names that are too long. */
static struct dns_entry *entry_get(struct dns_cache *c, char mode, struct str name)
{
	char text[DNS_NAME_MAX + 2];
	struct str key = {text, name.n + 1};
	struct dns_entry *e;

	if (name.n == 0 || name.n > DNS_NAME_MAX) {
		return NULL;
	}
	text[0] = mode;
	for (size_t i = 0; i < name.n; i++) {
		text[i + 1] = ascii_lower(name.p[i]);
	}
	e = map_get(&c->entries, key);
	if (!e) {
		return entry_new(c, key);
	}
	list_remove(&e->lru);
	list_push(&c->lru, &e->lru);
	return e;
}

struct dns_cache *dns_cache_new(struct loop *l, const struct dns_options *o)
{
	struct dns_cache *c = MEM_NEW(struct dns_cache);

	c->loop = l;
	c->o = *o;
	list_init(&c->lru);
	if (o->hosts_file.n > 0) {
		c->hosts = dns_hosts_new(o->hosts_file);
	}
	c->o.servers = c->o.hosts_file = STR_NULL; /* borrowed, and copied by those who need them */
	return c;
}

void dns_cache_free(struct dns_cache **cp)
{
	struct dns_cache *c = *cp;
	struct list_node *n;

	if (!c) {
		return;
	}
	*cp = NULL;
	LIST_EACH (&c->lru, it) {
		struct dns_entry *e = container_of(it, struct dns_entry, lru);

		for (n = list_pop(&e->waiters); n;) {
			n = list_pop(&e->waiters);
		}
		ASSERT(list_is_empty(&e->watches));
	}
	while ((n = list_first(&c->lru))) {
		entry_free(container_of(n, struct dns_entry, lru));
	}
	map_free(&c->entries);
	dns_hosts_free(&c->hosts);
	mem_free(c);
}

/* ---- the end of a resolution ---- */

static void on_refresh(struct timer *t)
{
	struct dns_entry *e = container_of(t, struct dns_entry, timer);

	if (e->state == ENTRY_IDLE) {
		resolve(e, 0);
	}
}

static void schedule_refresh(struct dns_entry *e)
{
	uint64_t now = loop_now_ms(e->cache->loop);

	if (!list_is_empty(&e->watches)) {
		timer_start(e->cache->loop, &e->timer,
			    e->fresh_until_ms > now ? e->fresh_until_ms - now : 1, on_refresh);
	}
}

/* An error leaves a good answer in place while that is not too old. */
static bool keeps_old(const struct dns_entry *e, const struct dns_set *s)
{
	return e->set && e->set->result == ERR_OK && s->result != ERR_OK &&
	       s->result != ERR_NOT_FOUND && loop_now_ms(e->cache->loop) < e->stale_until_ms;
}

/* Never 0: whoever waited for an answer must find it when he looks. */
static uint32_t keep_ms(const struct dns_cache *c, const struct dns_set *s)
{
	if (s->result == ERR_NOT_FOUND) {
		return MAX(c->o.not_found_ttl_ms, 1);
	}
	if (s->result != ERR_OK) {
		return MAX(c->o.error_ttl_ms, 1);
	}
	return c->o.valid_ttl_ms > 0 ? c->o.valid_ttl_ms : MAX(s->ttl_ms, TTL_MIN_MS);
}

static void tell(struct dns_entry *e, struct dns_set *s, bool changed)
{
	struct list waiters;
	struct list_node *n;

	list_init(&waiters);
	list_splice(&waiters, &e->waiters);
	while ((n = list_pop(&waiters))) {
		struct dns_waiter *w = container_of(n, struct dns_waiter, node);

		w->fn(w, s);
	}
	if (changed) {
		LIST_EACH (&e->watches, it) {
			struct dns_watch *w = container_of(it, struct dns_watch, node);

			w->fn(w, s);
		}
	}
}

/* Takes `s`. */
static void finish(struct dns_entry *e, struct dns_set *s)
{
	struct dns_cache *c = e->cache;
	uint64_t now = loop_now_ms(c->loop);
	bool changed = !e->set || !same_sets(e->set, s);

	for (size_t i = 0; i < e->n_places; i++) {
		dns_set_unref(&e->places[i].set);
	}
	mem_free(e->places);
	e->places = NULL;
	e->n_places = 0;
	e->state = ENTRY_IDLE;
	e->fresh_until_ms = now + keep_ms(c, s);
	if (keeps_old(e, s)) {
		dns_set_unref(&s);
		s = dns_set_ref(e->set);
		changed = false;
	} else if (!changed && s->result == ERR_OK) {
		/* The old one has the turns of its users. */
		e->set->ttl_ms = s->ttl_ms;
		e->stale_until_ms = e->fresh_until_ms + c->o.stale_ttl_ms;
		dns_set_unref(&s);
		s = dns_set_ref(e->set);
	} else {
		e->stale_until_ms =
			e->fresh_until_ms + (s->result == ERR_OK ? c->o.stale_ttl_ms : 0);
		dns_set_unref(&e->set);
		e->set = dns_set_ref(s);
	}
	if (s->result == ERR_OK) {
		e->last = e->found != DNS_NONE ? e->found : e->last;
	}
	schedule_refresh(e);
	e->pins++;
	tell(e, s, changed);
	e->pins--;
	dns_set_unref(&s);
}

static void finish_error(struct dns_entry *e, enum err why)
{
	e->found = DNS_NONE;
	finish(e, set_new(why, DNS_NONE, 0));
}

/* ---- names behind SRV and CNAME ---- */

/* Only the records of the best priority are used. */
static bool is_best(const struct dns_entry *e, const struct place *p)
{
	for (size_t i = 0; i < e->n_places; i++) {
		if (e->places[i].set && e->places[i].set->result == ERR_OK &&
		    e->places[i].priority < p->priority) {
			return false;
		}
	}
	return true;
}

static void merge_places(struct dns_entry *e)
{
	struct builder *b = MEM_NEW(struct builder);
	enum err worst = ERR_NOT_FOUND;

	for (size_t i = 0; i < e->n_places; i++) {
		const struct place *p = &e->places[i];

		if (!p->set || p->set->result != ERR_OK) {
			worst = p->set && worst == ERR_NOT_FOUND ? p->set->result : worst;
			continue;
		}
		e->ttl_ms = MIN(e->ttl_ms, p->ttl_ms);
		for (size_t k = 0; k < p->set->n && is_best(e, p); k++) {
			add_record(b, &p->set->v[k].addr, p->port,
				   e->found == DNS_SRV ? dns_name_str(&p->name) : name_of(e),
				   p->weight);
		}
	}
	if (b->n == 0) {
		finish_error(e, worst);
	} else {
		struct dns_set *s = set_new(ERR_OK, e->found, e->ttl_ms);

		fill_set(s, b);
		finish(e, s);
	}
	mem_free(b);
}

static void place_done(struct dns_entry *e)
{
	if (--e->n_pending == 0) {
		merge_places(e);
	}
}

static void on_place(struct dns_waiter *w, struct dns_set *set)
{
	struct place *p = container_of(w, struct place, waiter);
	uint64_t now = loop_now_ms(p->entry->cache->loop);

	p->set = dns_set_ref(set);
	p->ttl_ms = p->sub->fresh_until_ms > now ? (uint32_t)(p->sub->fresh_until_ms - now) : 0;
	place_done(p->entry);
}

static void place_failed(struct place *p, enum err why)
{
	p->set = set_new(why, DNS_NONE, 0);
	place_done(p->entry);
}

static void find_place(struct place *p)
{
	struct dns_entry *e = p->entry;
	struct dns_entry *sub = entry_get(e->cache, '=', dns_name_str(&p->name));

	if (!sub || e->depth + 1 >= DEPTH_MAX ||
	    (sub->state != ENTRY_IDLE && sub->depth <= e->depth)) {
		place_failed(p, ERR_UNAVAILABLE);
		return;
	}
	p->sub = sub;
	if (sub->set && loop_now_ms(e->cache->loop) < sub->fresh_until_ms) {
		on_place(&p->waiter, sub->set);
		return;
	}
	p->waiter.fn = on_place;
	list_push(&sub->waiters, &p->waiter.node);
	if (sub->state == ENTRY_IDLE) {
		resolve(sub, e->depth + 1);
	}
}

/* `places` are e's. One more is pending than there are, so that the last word is said here. */
static void gather(struct dns_entry *e)
{
	e->state = ENTRY_GATHERING;
	e->n_pending = e->n_places + 1;
	for (size_t i = 0; i < e->n_places; i++) {
		e->places[i].entry = e;
		find_place(&e->places[i]);
	}
	place_done(e);
}

/* ---- one answer ---- */

static const enum dns_type type_of[DNS_KINDS] = {
	[DNS_A] = DNS_TYPE_A,
	[DNS_AAAA] = DNS_TYPE_AAAA,
	[DNS_SRV] = DNS_TYPE_SRV,
	[DNS_CNAME] = DNS_TYPE_CNAME,
};

static struct addr addr_of(const struct dns_rr *rr)
{
	struct addr a = {0};

	if (rr->type == DNS_TYPE_A) {
		struct sockaddr_in *in = (struct sockaddr_in *)&a.sa;

		a.len = sizeof(*in);
		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, rr->ip, 4);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a.sa;

		a.len = sizeof(*in6);
		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, rr->ip, 16);
	}
	return a;
}

static void add_place(struct dns_entry *e, const struct dns_rr *rr)
{
	struct place *p;

	if (e->n_places == PLACES_MAX) {
		return;
	}
	if (!e->places) {
		e->places = MEM_NEW_ARRAY(struct place, PLACES_MAX);
	}
	if (rr->type == DNS_TYPE_CNAME) {
		e->n_places = 0; /* of a chain the last counts */
	}
	p = &e->places[e->n_places++];
	*p = (struct place){.name = rr->target, .weight = 1};
	if (rr->type == DNS_TYPE_SRV) {
		p->port = rr->port;
		p->weight = rr->weight;
		p->priority = rr->priority;
	}
}

/* Puts addresses into `b`, names into places; the lowest TTL counts. */
static void read_answer(struct dns_entry *e, enum dns_type want, struct dns_reader *r,
			struct builder *b)
{
	struct dns_rr rr;
	uint64_t ttl_ms = TTL_MAX_MS;

	while (dns_reader_next(r, &rr)) {
		if (rr.additional || (rr.type != want && rr.type != DNS_TYPE_CNAME)) {
			continue;
		}
		ttl_ms = MIN(ttl_ms, (uint64_t)rr.ttl_s * 1000);
		if (rr.type == DNS_TYPE_A || rr.type == DNS_TYPE_AAAA) {
			struct addr a = addr_of(&rr);

			add_record(b, &a, 0, name_of(e), 1);
		} else if (rr.type == want || want != DNS_TYPE_SRV) {
			add_place(e, &rr);
		}
	}
	e->ttl_ms = (uint32_t)ttl_ms;
}

static void drop_places(struct dns_entry *e)
{
	mem_free(e->places);
	e->places = NULL;
	e->n_places = 0;
}

static void take_answer(struct dns_entry *e, struct dns_reader *r)
{
	enum dns_kind kind = e->order[e->step];
	struct builder *b = MEM_NEW(struct builder);

	read_answer(e, type_of[kind], r, b);
	e->found = kind;
	if (b->n > 0) {
		struct dns_set *s = set_new(ERR_OK, kind, e->ttl_ms);

		drop_places(e);
		fill_set(s, b);
		finish(e, s);
	} else if (e->n_places > 0) {
		gather(e);
	} else {
		e->step++;
		ask_next(e);
	}
	mem_free(b);
}

static void on_raw(void *arg, enum err result, const uint8_t *p, size_t n)
{
	struct dns_entry *e = arg;
	struct dns_reader r;

	if (result == ERR_OK && dns_reader_init(&r, p, n) == ERR_OK) {
		take_answer(e, &r);
		return;
	}
	if (result != ERR_NOT_FOUND) {
		e->worst = result == ERR_OK ? ERR_UNAVAILABLE : result;
	}
	/* Servers that do not answer will not do so for another type. */
	e->step = result == ERR_TIMEOUT ? e->n_order : e->step + 1;
	ask_next(e);
}

static void ask_next(struct dns_entry *e)
{
	if (e->step >= e->n_order) {
		finish_error(e, e->worst);
		return;
	}
	e->state = ENTRY_ASKING;
	dns_ask_raw(e->cache->loop, name_of(e), type_of[e->order[e->step]], on_raw, e);
}

/* ---- the start of a resolution ---- */

static void add_kind(struct dns_entry *e, enum dns_kind k)
{
	for (unsigned i = 0; i < e->n_order; i++) {
		if (e->order[i] == k) {
			return;
		}
	}
	if (k != DNS_NONE && k != DNS_HOSTS) {
		e->order[e->n_order++] = k;
	}
}

static void make_order(struct dns_entry *e)
{
	const struct dns_options *o = &e->cache->o;

	e->n_order = 0;
	e->step = 0;
	add_kind(e, e->last);
	if (only_addresses(e)) {
		for (size_t i = 0; i < ARRAY_LEN(addresses_only); i++) {
			add_kind(e, addresses_only[i]);
		}
		return;
	}
	for (unsigned i = 0; i < o->n_order; i++) {
		add_kind(e, o->order[i]);
	}
}

static bool resolve_from_hosts(struct dns_entry *e)
{
	struct builder *b;
	struct addr addrs[8];
	size_t n = 0;

	if (e->cache->hosts) {
		n = dns_hosts_find(e->cache->hosts, name_of(e), addrs, ARRAY_LEN(addrs));
	}
	if (n == 0) {
		return false;
	}
	struct dns_set *s = set_new(ERR_OK, DNS_HOSTS, HOSTS_TTL_MS);

	b = MEM_NEW(struct builder);
	for (size_t i = 0; i < n; i++) {
		add_record(b, &addrs[i], 0, name_of(e), 1);
	}
	fill_set(s, b);
	mem_free(b);
	e->found = DNS_NONE;
	finish(e, s);
	return true;
}

static void resolve(struct dns_entry *e, unsigned depth)
{
	ASSERT(e->state == ENTRY_IDLE);
	e->depth = depth;
	e->worst = ERR_NOT_FOUND;
	if (resolve_from_hosts(e)) {
		return;
	}
	make_order(e);
	ask_next(e);
}

/* ---- the interface ---- */

struct dns_set *dns_cache_get(struct loop *l, struct str name)
{
	struct dns_cache *c = dns_cache_of(l);
	struct dns_entry *e = c ? entry_get(c, '*', name) : NULL;
	uint64_t now = loop_now_ms(l);

	if (!e || !e->set || now >= MAX(e->fresh_until_ms, e->stale_until_ms)) {
		return NULL;
	}
	if (now >= e->fresh_until_ms && e->state == ENTRY_IDLE) {
		resolve(e, 0); /* may be answered at once, by the hosts file */
	}
	return e->set;
}

static void refuse(struct dns_waiter *w, enum err why)
{
	struct dns_set *s = set_new(why, DNS_NONE, 0);

	w->fn(w, s);
	dns_set_unref(&s);
}

void dns_wait(struct loop *l, struct str name, struct dns_waiter *w, dns_wait_fn *fn)
{
	struct dns_cache *c = dns_cache_of(l);
	struct dns_entry *e = c ? entry_get(c, '*', name) : NULL;

	w->fn = fn;
	if (!e) {
		refuse(w, c ? ERR_NOT_FOUND : ERR_UNAVAILABLE);
		return;
	}
	if (e->state == ENTRY_IDLE && e->set && loop_now_ms(l) < e->fresh_until_ms) {
		fn(w, e->set);
		return;
	}
	list_push(&e->waiters, &w->node);
	if (e->state == ENTRY_IDLE) {
		resolve(e, 0);
	}
}

void dns_wait_cancel(struct dns_waiter *w)
{
	list_remove(&w->node);
}

void dns_watch_start(struct loop *l, struct str name, struct dns_watch *w, dns_watch_fn *fn)
{
	struct dns_cache *c = dns_cache_of(l);
	struct dns_entry *e = c ? entry_get(c, '*', name) : NULL;
	bool known;

	w->fn = fn;
	w->entry = e;
	if (!e) {
		struct dns_set *s = set_new(c ? ERR_NOT_FOUND : ERR_UNAVAILABLE, DNS_NONE, 0);

		fn(w, s);
		dns_set_unref(&s);
		return;
	}
	known = e->set && loop_now_ms(l) < MAX(e->fresh_until_ms, e->stale_until_ms);
	if (!known) {
		dns_set_unref(&e->set);
	}
	list_push(&e->watches, &w->node);
	if (known) {
		schedule_refresh(e);
		fn(w, e->set);
	} else if (e->state == ENTRY_IDLE) {
		resolve(e, 0);
	}
}

void dns_watch_stop(struct dns_watch *w)
{
	if (w->entry) {
		list_remove(&w->node);
		if (list_is_empty(&w->entry->watches)) {
			timer_pause(&w->entry->timer);
		}
		w->entry = NULL;
	}
}
