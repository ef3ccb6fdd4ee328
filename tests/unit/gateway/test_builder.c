/*
 * Epochs made from change to change against epochs made from scratch: random changes of a few
 * hundred entities, each with what the database would do beside them, and after each the same
 * questions to both.
 */
#include "unit.h"

#include "gateway/certificates.h"
#include "gateway/epoch_int.h"
#include "gateway/router_int.h"

#include <stdio.h>
#include <stdlib.h>

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
	STEPS = 250,
	PROBES = 60,
};

static const char *const plugin_names[] = {"key-auth", "cors", "request-termination",
					   "correlation-id"};

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

static unsigned any(struct world *w, unsigned n)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return (unsigned)(w->seed >> 33) % n;
}

static struct guid id_of(enum entity_kind kind, unsigned n)
{
	return (struct guid){
		.b = {[0] = (uint8_t)(kind + 1), [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n}};
}

static struct str ref_to(struct world *w, enum entity_kind kind, unsigned n, bool exists)
{
	struct guid id = id_of(kind, n);
	char text[GUID_D_LEN];

	guid_d(&id, text);
	return exists ? str_fmt(&w->arena, "{\"id\":\"%.*s\"}", GUID_D_LEN, text) : STR("null");
}

/* One of those that exist, if luck has it. */
static struct str some_ref(struct world *w, enum entity_kind kind, unsigned n)
{
	unsigned i = any(w, n);

	return ref_to(w, kind, i, w->docs[kind][i] != NULL);
}

static void put(struct world *w, enum entity_kind kind, unsigned n, struct str text)
{
	struct guid id = id_of(kind, n);
	struct json *doc = NULL;

	assert_ok(json_parse(&w->arena, text, &doc, NULL));
	assert_true(w->n_changes < CHANGES_MAX);
	w->docs[kind][n] = doc;
	w->changes[w->n_changes++] =
		(struct entity_change){kind, id, entity_item_new(kind, &id, doc)};
}

static void forget(struct world *w, enum entity_kind kind, unsigned n)
{
	if (w->docs[kind][n]) {
		assert_true(w->n_changes < CHANGES_MAX);
		w->docs[kind][n] = NULL;
		w->changes[w->n_changes++] = (struct entity_change){kind, id_of(kind, n), NULL};
	}
}

static bool refers(const struct json *doc, const char *field, const struct guid *id)
{
	struct guid got = doc ? compile_foreign(doc, field) : (struct guid){0};

	return doc && guid_eq(&got, id);
}

/* What refers to it goes first, as the repository sees to. */
static void forget_with(struct world *w, enum entity_kind kind, unsigned n)
{
	struct guid id = id_of(kind, n);
	const char *field = entity_defs[kind].singular;

	for (unsigned i = 0; i < PLUGINS; i++) {
		if (refers(w->docs[ENTITY_PLUGIN][i], field, &id)) {
			forget(w, ENTITY_PLUGIN, i);
		}
	}
	for (unsigned i = 0; i < MOST && kind == ENTITY_CONSUMER; i++) {
		static const enum entity_kind theirs[] = {ENTITY_KEY_AUTH, ENTITY_BASIC_AUTH,
							  ENTITY_ACL};

		for (size_t k = 0; k < ARRAY_LEN(theirs); k++) {
			if (refers(w->docs[theirs[k]][i], field, &id)) {
				forget(w, theirs[k], i);
			}
		}
	}
	for (unsigned i = 0; i < ROUTES && kind == ENTITY_SERVICE; i++) {
		if (refers(w->docs[ENTITY_ROUTE][i], field, &id)) {
			forget_with(w, ENTITY_ROUTE, i);
		}
	}
	for (unsigned i = 0; i < TARGETS && kind == ENTITY_UPSTREAM; i++) {
		if (refers(w->docs[ENTITY_TARGET][i], field, &id)) {
			forget(w, ENTITY_TARGET, i);
		}
	}
	forget(w, kind, n);
}

/* ---- random entities ---- */

static void put_route(struct world *w, unsigned n)
{
	static const char *const hosts[] = {"null", "[\"a.b\"]", "[\"*.b\"]"};
	static const char *const more[] = {"", ",\"methods\":[\"GET\"]", ",\"regex_priority\":3"};
	const char *path = any(w, 4) ? "/p" : "~/p";
	struct str service = some_ref(w, ENTITY_SERVICE, SERVICES);

	put(w, ENTITY_ROUTE, n,
	    str_fmt(&w->arena,
		    "{\"paths\":[\"%s%u\",\"/q%u\"],\"hosts\":%s,\"protocols\":[\"http\"],"
		    "\"created_at\":%u,\"service\":%.*s%s}",
		    path, any(w, 40), any(w, 100), hosts[any(w, 3)], any(w, 3), STR_ARG(service),
		    more[any(w, 3)]));
}

static void put_service(struct world *w, unsigned n)
{
	put(w, ENTITY_SERVICE, n,
	    str_fmt(&w->arena,
		    "{\"host\":\"%s%u\",\"port\":80,\"protocol\":\"http\",\"enabled\":%s}",
		    any(w, 2) ? "U" : "10.0.0.", any(w, 2 * UPSTREAMS),
		    any(w, 8) ? "true" : "false"));
}

static bool same_member(const struct json *a, const struct json *b, const char *name)
{
	return str_eq(json_str(json_get(json_get(a, str_c(name)), STR("id"))),
		      json_str(json_get(json_get(b, str_c(name)), STR("id"))));
}

/* The repository refuses two of a name with the same scope. */
static bool is_taken(struct world *w, unsigned n, const struct json *doc)
{
	for (unsigned i = 0; i < PLUGINS; i++) {
		const struct json *other = w->docs[ENTITY_PLUGIN][i];

		if (i != n && other &&
		    str_eq(json_str(json_get(doc, STR("name"))),
			   json_str(json_get(other, STR("name")))) &&
		    same_member(doc, other, "route") && same_member(doc, other, "service") &&
		    same_member(doc, other, "consumer")) {
			return true;
		}
	}
	return false;
}

static void put_plugin(struct world *w, unsigned n)
{
	unsigned scope = any(w, 20);
	struct str none = STR("null");
	struct str route = scope < 10 ? some_ref(w, ENTITY_ROUTE, ROUTES) : none;
	struct str service = scope > 8 && scope < 19 ? some_ref(w, ENTITY_SERVICE, SERVICES) : none;
	struct str consumer = ref_to(w, ENTITY_CONSUMER, any(w, 3), any(w, 4) == 0);
	struct str text =
		str_fmt(&w->arena,
			"{\"name\":\"%s\",\"enabled\":%s,\"config\":{},\"protocols\":[\"http\"],"
			"\"route\":%.*s,\"service\":%.*s,\"consumer\":%.*s}",
			plugin_names[any(w, ARRAY_LEN(plugin_names))], any(w, 5) ? "true" : "false",
			STR_ARG(route), STR_ARG(service), STR_ARG(consumer));
	struct json *doc;

	assert_ok(json_parse(&w->arena, text, &doc, NULL));
	if (!is_taken(w, n, doc)) {
		put(w, ENTITY_PLUGIN, n, text);
	}
}

static void put_upstream(struct world *w, unsigned n)
{
	put(w, ENTITY_UPSTREAM, n,
	    str_fmt(&w->arena, "{\"name\":\"u%u\",\"algorithm\":\"round-robin\",\"slots\":100}",
		    n + UPSTREAMS * any(w, 2)));
}

static void put_target(struct world *w, unsigned n)
{
	unsigned upstream = any(w, UPSTREAMS);
	struct str ref = ref_to(w, ENTITY_UPSTREAM, upstream, true);

	if (w->docs[ENTITY_UPSTREAM][upstream]) {
		put(w, ENTITY_TARGET, n,
		    str_fmt(&w->arena,
			    "{\"target\":\"10.1.0.%u:80\",\"weight\":%u,\"upstream\":%.*s}", n + 1,
			    any(w, 100), STR_ARG(ref)));
	}
}

/* ---- people ---- */

static const char *const name_fields[ENTITY_KINDS] = {[ENTITY_CONSUMER] = "username",
						      [ENTITY_KEY_AUTH] = "key",
						      [ENTITY_BASIC_AUTH] = "username"};

static struct str name_of(const struct world *w, enum entity_kind kind, unsigned n)
{
	return json_str(json_get(w->docs[kind][n], str_c(name_fields[kind])));
}

static void put_named(struct world *w, enum entity_kind kind, unsigned n, struct str name,
		      struct str owner)
{
	struct str more = str_fmt(&w->arena, "\"custom_id\":\"c%u\"", any(w, 100));

	if (kind != ENTITY_CONSUMER) {
		more = str_fmt(&w->arena,
			       "\"password\":\"p%u\",\"ttl\":%u,\"created_at\":9,\"consumer\":%.*s",
			       any(w, 100), any(w, 3), STR_ARG(owner));
	}
	put(w, kind, n,
	    str_fmt(&w->arena, "{\"%s\":\"%.*s\",%.*s}", name_fields[kind], STR_ARG(name),
		    STR_ARG(more)));
}

/* Whoever has the name already gets the one that this had: names move between entities. */
static void change_named(struct world *w, enum entity_kind kind, unsigned n)
{
	struct str owner = some_ref(w, ENTITY_CONSUMER, CONSUMERS);
	struct str name = str_fmt(&w->arena, "n%u", any(w, NAMES));
	struct str former = w->docs[kind][n] ? name_of(w, kind, n) : STR_NULL;

	if (kind != ENTITY_CONSUMER && str_eq(owner, STR("null"))) {
		return;
	}
	for (unsigned i = 0; i < MOST; i++) {
		if (i == n || !w->docs[kind][i] || !str_eq(name_of(w, kind, i), name)) {
			continue;
		}
		if (former.n == 0) {
			return;
		}
		put_named(w, kind, i, former, owner);
	}
	put_named(w, kind, n, name, owner);
}

/* The repository refuses one twice. */
static void put_acl(struct world *w, unsigned n)
{
	struct str owner = some_ref(w, ENTITY_CONSUMER, CONSUMERS);
	struct str text = str_fmt(&w->arena, "{\"group\":\"g%u\",\"consumer\":%.*s}", any(w, 9),
				  STR_ARG(owner));
	struct json *doc;

	assert_ok(json_parse(&w->arena, text, &doc, NULL));
	for (unsigned i = 0; i < ACLS; i++) {
		const struct json *other = w->docs[ENTITY_ACL][i];

		if (i != n && other && same_member(doc, other, "consumer") &&
		    str_eq(json_str(json_get(doc, STR("group"))),
			   json_str(json_get(other, STR("group"))))) {
			return;
		}
	}
	if (!str_eq(owner, STR("null"))) {
		put(w, ENTITY_ACL, n, text);
	}
}

static void change_people(struct world *w)
{
	unsigned what = any(w, 100);

	if (what < 25) {
		change_named(w, ENTITY_CONSUMER, any(w, CONSUMERS));
	} else if (what < 30) {
		forget_with(w, ENTITY_CONSUMER, any(w, CONSUMERS));
	} else if (what < 50) {
		change_named(w, ENTITY_KEY_AUTH, any(w, CREDENTIALS));
	} else if (what < 55) {
		forget(w, ENTITY_KEY_AUTH, any(w, CREDENTIALS));
	} else if (what < 70) {
		change_named(w, ENTITY_BASIC_AUTH, any(w, CREDENTIALS));
	} else if (what < 75) {
		forget(w, ENTITY_BASIC_AUTH, any(w, CREDENTIALS));
	} else if (what < 95) {
		put_acl(w, any(w, ACLS));
	} else {
		forget(w, ENTITY_ACL, any(w, ACLS));
	}
}

static void change(struct world *w)
{
	unsigned kind = any(w, 100);

	for (unsigned i = any(w, 6); i > 0; i--) {
		change_people(w);
	}
	if (kind < 60) {
		put_route(w, any(w, ROUTES));
	} else if (kind < 70) {
		forget_with(w, ENTITY_ROUTE, any(w, ROUTES));
	} else if (kind < 80) {
		put_service(w, any(w, SERVICES));
	} else if (kind < 81) {
		forget_with(w, ENTITY_SERVICE, any(w, SERVICES));
	} else if (kind < 90) {
		put_plugin(w, any(w, PLUGINS));
	} else if (kind < 92) {
		forget(w, ENTITY_PLUGIN, any(w, PLUGINS));
	} else if (kind < 97) {
		put_target(w, any(w, TARGETS));
	} else if (kind < 98) {
		forget(w, ENTITY_TARGET, any(w, TARGETS));
	} else if (kind < 99) {
		put_upstream(w, any(w, UPSTREAMS));
	} else {
		forget_with(w, ENTITY_UPSTREAM, any(w, UPSTREAMS));
	}
}

/* ---- epochs ---- */

/* A transaction tells each entity once, as it is at the end. */
static void only_last(struct world *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_changes; i++) {
		struct entity_change *c = &w->changes[i];
		bool again = false;

		for (size_t k = i + 1; k < w->n_changes; k++) {
			again |= guid_eq(&w->changes[k].id, &c->id);
		}
		if (again && c->item) {
			entity_item_unref(&c->item);
		}
		if (!again) {
			w->changes[n++] = *c;
		}
	}
	w->n_changes = n;
}

/* They are told in the order of what happened first, whatever they are in the end. */
static void shuffle(struct world *w)
{
	for (size_t n = w->n_changes; n > 1; n--) {
		size_t i = any(w, (unsigned)n);
		struct entity_change c = w->changes[i];

		w->changes[i] = w->changes[n - 1];
		w->changes[n - 1] = c;
	}
}

static struct epoch *apply(struct world *w, struct builder *b, bool all)
{
	struct epoch *e;

	only_last(w);
	shuffle(w);
	e = builder_apply(b, w->changes, w->n_changes, all);
	for (size_t i = 0; i < w->n_changes; i++) {
		if (w->changes[i].item) {
			entity_item_unref(&w->changes[i].item);
		}
	}
	w->n_changes = 0;
	return e;
}

static void make_from_scratch(struct world *w)
{
	struct fault f = {0};

	assert_ok(loops_start(&w->plain_loops, 1, &f));
	w->plain = builder_new(&(struct plugin_host){.loops = &w->plain_loops}, w->cert);
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++) {
		for (unsigned i = 0; i < MOST; i++) {
			struct guid id = id_of((enum entity_kind)kind, i);

			if (w->docs[kind][i]) {
				w->changes[w->n_changes++] = (struct entity_change){
					(enum entity_kind)kind, id,
					entity_item_new((enum entity_kind)kind, &id,
							w->docs[kind][i])};
			}
		}
	}
	w->scratch = apply(w, w->plain, true);
}

/* Balancers have timers on the loops, so these end first. */
static void builder_end(struct builder **b, struct epoch **e, struct loops *loops)
{
	loops_join(loops);
	epoch_unref(e);
	builder_joined(*b);
	loops_free(loops);
	builder_free(b);
}

/* ---- questions ---- */

static void same_instance(const struct plugin_instance *a, const struct plugin_instance *b)
{
	assert_int_equal(!a, !b);
	if (a) {
		assert_memory_equal(&a->id, &b->id, sizeof(a->id));
		assert_int_equal(a->enabled, b->enabled);
		assert_ptr_equal(a->plugin, b->plugin);
	}
}

static void same_plan(struct arena *a, const struct plan *p, const struct plan *q)
{
	assert_int_equal(p->n, q->n);
	assert_int_equal(p->needs, q->needs);
	assert_int_equal(p->n_choices, q->n_choices);
	for (unsigned consumer = 0; consumer < 4; consumer++) {
		struct guid id = id_of(ENTITY_CONSUMER, consumer);
		const struct plugin_instance *const *v = plan_for_consumer(a, p, &id);
		const struct plugin_instance *const *u = plan_for_consumer(a, q, &id);

		for (size_t i = 0; i < p->n; i++) {
			same_instance(v[i], u[i]);
		}
	}
}

static void same_entry(struct arena *a, const struct entry *x, const struct entry *y)
{
	assert_memory_equal(&x->traits, &y->traits, sizeof(x->traits));
	assert_int_equal(!x->service, !y->service);
	if (x->service) {
		assert_memory_equal(&x->service->pub.id, &y->service->pub.id, sizeof(struct guid));
		assert_str(x->service->host, y->service->host);
		assert_int_equal(!x->balancer, !y->balancer);
		/* Of an upstream, or the plain one of the service. */
		assert_int_equal(x->balancer == x->service->plain,
				 y->balancer == y->service->plain);
	}
	same_plan(a, x->plan, y->plan);
}

static void same_answers(struct world *w, const struct epoch *x, const struct epoch *y)
{
	static const char *const hosts[] = {"a.b", "c.b", "z"};
	struct arena a;

	arena_init(&a, 0);
	same_plan(&a, x->routing->global, y->routing->global);
	for (int i = 0; i < PROBES; i++) {
		char path[16];
		int n = snprintf(path, sizeof(path), "/%c%u", any(w, 4) ? 'p' : 'q', any(w, 100));
		struct router_input in = {.method = any(w, 2) ? STR("GET") : STR("POST"),
					  .host = str_c(hosts[any(w, 3)]),
					  .path = str_of(path, (size_t)n)};
		struct router_match m, plain;
		bool found = router_match(x->routing->router, &a, &in, &m);

		assert_int_equal(found, router_match(y->routing->router, &a, &in, &plain));
		if (found) {
			assert_int_equal(m.matched, plain.matched);
			assert_int_equal(m.by_regex, plain.by_regex);
			const struct route *r = routing_route(x->routing, m.rule),
					   *q = routing_route(y->routing, plain.rule);

			assert_true(guid_eq(&r->pub.id, &q->pub.id));
			same_entry(&a, routing_entry(x->routing, m.rule),
				   routing_entry(y->routing, plain.rule));
		}
	}
	arena_fini(&a);
}

static void tell_consumer(struct buf *out, const struct gw_consumer *c)
{
	if (!c) {
		return;
	}
	buf_printf(out, "%.*s %.*s %.*s:", GUID_D_LEN, c->id_text, STR_ARG(c->username),
		   STR_ARG(c->custom_id));
	for (size_t i = 0; i < c->groups.n; i++) {
		buf_printf(out, " %.*s", STR_ARG(c->groups.v[i]));
	}
	buf_putc(out, '\n');
}

static void tell_credential(struct buf *out, const struct identity *i, enum gw_credential_kind kind,
			    struct str key)
{
	const struct gw_credential *c = identity_credential(i, kind, key);

	if (c) {
		buf_printf(out, "%.*s %.*s %.*s %.*s %lld of ", GUID_D_LEN, c->id_text,
			   STR_ARG(c->key), STR_ARG(c->secret), STR_ARG(c->identifier),
			   (long long)c->expires_ms);
		tell_consumer(out, identity_owner(i, c));
	}
}

/* All that can be asked. */
static struct str people_of(struct arena *a, const struct identity *i)
{
	struct buf b = {0};
	struct str text;

	for (unsigned n = 0; n < CONSUMERS; n++) {
		struct guid id = id_of(ENTITY_CONSUMER, n);

		tell_consumer(&b, identity_consumer(i, guid_d_str(a, &id)));
	}
	for (unsigned n = 0; n < NAMES; n++) {
		struct str name = str_fmt(a, "n%u", n);

		tell_consumer(&b, identity_consumer(i, name));
		tell_credential(&b, i, GW_KEY_AUTH, name);
		tell_credential(&b, i, GW_BASIC_AUTH, name);
	}
	text = str_dup(a, buf_str(&b));
	buf_free(&b);
	return text;
}

static void same_people(const struct epoch *x, const struct epoch *y)
{
	struct arena a;

	arena_init(&a, 0);
	assert_str(people_of(&a, x->identity), people_of(&a, y->identity));
	arena_fini(&a);
}

/* Targets in the order of their numbers. */
static struct str targets_of(struct arena *a, struct builder *b)
{
	struct buf out = {0};
	struct str text;

	for (unsigned n = 0; n < UPSTREAMS; n++) {
		struct guid id = id_of(ENTITY_UPSTREAM, n);
		struct balancer_status s;

		if (balancer_set_status(builder_balancers(b), &id, a, &s) != ERR_OK) {
			continue;
		}
		buf_printf(&out, "%.*s:", STR_ARG(s.name));
		for (unsigned k = 0; k < TARGETS; k++) {
			for (size_t i = 0; i < s.n_targets; i++) {
				const struct balancer_target_status *t = &s.targets[i];

				if (t->id.b[15] == k) {
					buf_printf(&out, " %.*s=%u", STR_ARG(t->target), t->weight);
				}
			}
		}
		buf_putc(&out, '\n');
	}
	text = str_dup(a, buf_str(&out));
	buf_free(&out);
	return text;
}

static void same_targets(struct builder *x, struct builder *y)
{
	struct arena a;

	arena_init(&a, 0);
	assert_str(targets_of(&a, x), targets_of(&a, y));
	arena_fini(&a);
}

static void next_epoch(struct world *w)
{
	struct epoch *former = w->now; /* a request may still have it */
	struct str before = STR_NULL;
	struct arena a;

	arena_init(&a, 0);
	if (former) {
		before = people_of(&a, former->identity);
	}
	w->now = apply(w, w->builder, false);
	if (former) {
		assert_str(people_of(&a, former->identity), before);
	}
	epoch_unref(&former);
	arena_fini(&a);
}

static void changes_add_up(void **state)
{
	struct world *w = *state;
	unsigned layered = 0, whole = 0;
	bool people = false;

	for (int step = 0; step < STEPS; step++) {
		unsigned n = any(w, 10) ? 1 + any(w, 3) : 30;

		for (unsigned i = 0; i < n; i++) {
			change(w);
		}
		next_epoch(w);
		layered += w->now->routing->base != NULL;
		whole += w->now->routing->base == NULL;
		make_from_scratch(w);
		assert_null(w->scratch->routing->base);
		same_answers(w, w->now, w->scratch);
		same_people(w->now, w->scratch);
		same_targets(w->builder, w->plain);
		people |= w->now->identity->consumers.n > CONSUMERS / 2 &&
			  w->now->identity->credentials[GW_KEY_AUTH].n > NAMES / 3;
		builder_end(&w->plain, &w->scratch, &w->plain_loops);
	}
	assert_true(layered > 50);
	assert_true(whole > 20);
	assert_true(people);
}

/* ---- */

static const struct entry *entry_of(const struct routing *r, unsigned route)
{
	struct guid id = id_of(ENTITY_ROUTE, route);

	for (size_t i = 0; i < r->n; i++) {
		if (guid_eq(&r->routes[i]->pub.id, &id)) {
			return r->entries[i];
		}
	}
	return r->base ? entry_of(r->base, route) : NULL;
}

static void routes_that_go_the_same_way_share_an_entry(void **state)
{
	struct world *w = *state;
	struct str service = ref_to(w, ENTITY_SERVICE, 0, true);
	const char *const more[] = {"", "", ",\"preserve_host\":true", ",\"strip_path\":false"};
	const struct routing *r;

	put(w, ENTITY_SERVICE, 0, STR("{\"host\":\"10.0.0.1\",\"port\":80,\"enabled\":true}"));
	for (unsigned i = 0; i < ARRAY_LEN(more); i++) {
		put(w, ENTITY_ROUTE, i,
		    str_fmt(&w->arena,
			    "{\"paths\":[\"/p%u\"],\"protocols\":[\"http\"],\"service\":%.*s%s}", i,
			    STR_ARG(service), more[i]));
	}
	next_epoch(w);
	r = w->now->routing;
	assert_ptr_equal(entry_of(r, 0), entry_of(r, 1));
	assert_ptr_not_equal(entry_of(r, 0), entry_of(r, 2));
	assert_ptr_not_equal(entry_of(r, 0), entry_of(r, 3));
	assert_true(entry_of(r, 2)->traits.preserve_host);
	assert_false(entry_of(r, 3)->traits.strip_path);
	assert_ptr_equal(entry_of(r, 0)->service, entry_of(r, 2)->service);
}

static void put_vault(struct world *w, const char *prefix)
{
	put(w, ENTITY_VAULT, 0,
	    str_fmt(&w->arena,
		    "{\"name\":\"env\",\"prefix\":\"mine\",\"config\":{\"prefix\":\"%s\"}}",
		    prefix));
}

/* A service, its route, and a certificate that is in the environment. */
static void put_secret_service(struct world *w)
{
	struct str certificate = ref_to(w, ENTITY_CERTIFICATE, 0, true);
	struct str service = ref_to(w, ENTITY_SERVICE, 0, true);
	struct tls_pem pem;

	assert_ok(tls_self_signed(&w->arena, TLS_KEY_EC, STR("client.test"), 2, &pem, NULL));
	(void)setenv("BUILDER_TEST_CERT", str_cstr(&w->arena, pem.cert), 1);
	(void)setenv("BUILDER_TEST_KEY", str_cstr(&w->arena, pem.key), 1);
	put(w, ENTITY_CERTIFICATE, 0,
	    STR("{\"cert\":\"{vault://mine/cert}\",\"key\":\"{vault://mine/key}\"}"));
	put(w, ENTITY_SERVICE, 0,
	    str_fmt(&w->arena,
		    "{\"host\":\"10.0.0.1\",\"port\":443,\"protocol\":\"https\",\"enabled\":true,"
		    "\"client_certificate\":%.*s}",
		    STR_ARG(certificate)));
	put(w, ENTITY_ROUTE, 0,
	    str_fmt(&w->arena, "{\"paths\":[\"/p\"],\"protocols\":[\"http\"],\"service\":%.*s}",
		    STR_ARG(service)));
}

/* However many routes there are: beyond a few hundred, not all entries are made anew. */
static void a_vault_reaches_services(void **state)
{
	struct world *w = *state;

	put_secret_service(w);
	put_vault(w, "not_there_");
	next_epoch(w);
	assert_null(entry_of(w->now->routing, 0)->tls);
	put_vault(w, "builder_test_");
	next_epoch(w);
	assert_non_null(entry_of(w->now->routing, 0)->tls);
	forget(w, ENTITY_VAULT, 0);
	next_epoch(w);
	assert_null(entry_of(w->now->routing, 0)->tls);
}

static void put_certificate(struct world *w, enum entity_kind kind, unsigned n, const char *name)
{
	struct tls_pem pem;
	struct buf b = {0};
	struct json_writer j = json_writer_to(&b);

	assert_ok(tls_self_signed(&w->arena, TLS_KEY_EC, str_c(name), 2, &pem, NULL));
	json_put_str(&j, pem.cert);
	if (kind == ENTITY_CERTIFICATE) {
		buf_puts(&b, ",\"key\":");
		j = json_writer_to(&b);
		json_put_str(&j, pem.key);
	}
	put(w, kind, n, str_fmt(&w->arena, "{\"cert\":%.*s}", STR_ARG(buf_str(&b))));
	buf_free(&b);
}

/* Routes of services that show or trust it get other contexts, and all others stay. */
static void a_certificate_reaches_its_services(void **state)
{
	static const struct {
		enum entity_kind kind;
		const char *member;
	} cases[] = {{ENTITY_CERTIFICATE, "\"client_certificate\":{\"id\":\"%.*s\"}"},
		     {ENTITY_CA_CERTIFICATE, "\"ca_certificates\":[\"%.*s\"]"}};
	struct world *w = *state;

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct guid id = id_of(cases[i].kind, 1);
		struct str service = ref_to(w, ENTITY_SERVICE, SERVICES + i, true);
		struct str member = str_fmt(&w->arena, cases[i].member, GUID_D_LEN,
					    guid_d_str(&w->arena, &id).p);
		struct tls_client *former;

		put_certificate(w, cases[i].kind, 1, "one.test");
		put(w, ENTITY_SERVICE, SERVICES + i, /* with one route only */
		    str_fmt(&w->arena,
			    "{\"host\":\"10.0.0.1\",\"port\":443,\"protocol\":\"https\","
			    "\"enabled\":true,%.*s}",
			    STR_ARG(member)));
		put(w, ENTITY_ROUTE, i,
		    str_fmt(&w->arena,
			    "{\"paths\":[\"/x\"],\"protocols\":[\"http\"],\"service\":%.*s}",
			    STR_ARG(service)));
		next_epoch(w);
		former = tls_client_ref(entry_of(w->now->routing, i)->tls);
		put_certificate(w, cases[i].kind, 2, "other.test");
		next_epoch(w);
		assert_ptr_equal(entry_of(w->now->routing, i)->tls, former);
		put_certificate(w, cases[i].kind, 1, "two.test");
		next_epoch(w);
		assert_non_null(w->now->routing->base);
		assert_non_null(entry_of(w->now->routing, i)->tls);
		assert_ptr_not_equal(entry_of(w->now->routing, i)->tls, former);
		tls_client_unref(&former);
	}
}

static void put_sni(struct world *w, unsigned n, unsigned certificate)
{
	struct str ref = ref_to(w, ENTITY_CERTIFICATE, certificate, true);

	put(w, ENTITY_SNI, n,
	    str_fmt(&w->arena, "{\"name\":\"n%u.test\",\"certificate\":%.*s}", n, STR_ARG(ref)));
}

static const struct tls_cert *cert_of(const struct world *w, const char *name)
{
	return tls_sni_map_get(w->now->names, str_c(name));
}

/* A certificate is read once for all its names, and again when it or its vault changes. */
static void names_share_certificates(void **state)
{
	struct world *w = *state;
	struct tls_cert *former[2];

	put_secret_service(w); /* certificate 0 comes from the vault */
	put_vault(w, "builder_test_");
	put_certificate(w, ENTITY_CERTIFICATE, 1, "n.test");
	put_sni(w, 0, 0);
	put_sni(w, 1, 1);
	put_sni(w, 2, 1);
	next_epoch(w);
	assert_ptr_equal(cert_of(w, "n1.test"), cert_of(w, "n2.test"));
	assert_ptr_not_equal(cert_of(w, "n1.test"), cert_of(w, "n0.test"));
	assert_ptr_not_equal(cert_of(w, "n0.test"), w->cert);
	former[0] = tls_cert_ref((struct tls_cert *)(uintptr_t)cert_of(w, "n0.test"));
	former[1] = tls_cert_ref((struct tls_cert *)(uintptr_t)cert_of(w, "n1.test"));
	put_sni(w, 3, 1);
	next_epoch(w);
	assert_ptr_equal(cert_of(w, "n0.test"), former[0]);
	assert_ptr_equal(cert_of(w, "n3.test"), former[1]);
	put_vault(w, "builder_test_");
	put_certificate(w, ENTITY_CERTIFICATE, 1, "m.test");
	next_epoch(w);
	assert_ptr_not_equal(cert_of(w, "n0.test"), former[0]);
	assert_ptr_not_equal(cert_of(w, "n3.test"), former[1]);
	assert_ptr_not_equal(cert_of(w, "n3.test"), w->cert);
	tls_cert_unref(&former[0]);
	tls_cert_unref(&former[1]);
}

static const struct plugin_instance *global_plugin(const struct epoch *e, const char *name)
{
	const struct plan *p = e->routing->global;

	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->v[i]->plugin->name, name) == 0) {
			return p->v[i];
		}
	}
	return NULL;
}

/* Whatever happens to the vault; and only those that name one are compiled again. */
static void a_vault_reaches_plugins(void **state)
{
	struct world *w = *state;
	const struct plugin_instance *own, *other;

	(void)setenv("BUILDER_TEST_ENDPOINT", "http://127.0.0.1:1/x", 1);
	put(w, ENTITY_PLUGIN, 0,
	    STR("{\"name\":\"http-log\",\"enabled\":true,\"config\":"
		"{\"http_endpoint\":\"{vault://mine/endpoint}\"}}"));
	put(w, ENTITY_PLUGIN, 1,
	    STR("{\"name\":\"file-log\",\"enabled\":true,\"config\":{\"path\":\"/dev/null\"}}"));
	next_epoch(w);
	assert_true(global_plugin(w->now, "http-log")->broken);
	other = global_plugin(w->now, "file-log");
	put_vault(w, "builder_test_");
	next_epoch(w);
	own = global_plugin(w->now, "http-log");
	assert_false(own->broken);
	put_vault(w, "not_there_");
	next_epoch(w);
	assert_true(global_plugin(w->now, "http-log")->broken);
	put_vault(w, "builder_test_");
	next_epoch(w);
	assert_false(global_plugin(w->now, "http-log")->broken);
	forget(w, ENTITY_VAULT, 0);
	next_epoch(w);
	assert_true(global_plugin(w->now, "http-log")->broken);
	assert_ptr_equal(global_plugin(w->now, "file-log"), other);
	/* Once it names none, nothing of it is left to be made again. */
	forget(w, ENTITY_PLUGIN, 0);
	next_epoch(w);
	put_vault(w, "builder_test_");
	next_epoch(w);
	assert_null(global_plugin(w->now, "http-log"));
	assert_ptr_equal(global_plugin(w->now, "file-log"), other);
}

static void put_tls_service(struct world *w, unsigned n, const char *protocol, unsigned timeout)
{
	struct str service = ref_to(w, ENTITY_SERVICE, n, true);

	put(w, ENTITY_SERVICE, n,
	    str_fmt(&w->arena,
		    "{\"host\":\"10.0.0.1\",\"port\":443,\"protocol\":\"%s\",\"enabled\":true,"
		    "\"read_timeout\":%u}",
		    protocol, timeout));
	put(w, ENTITY_ROUTE, n,
	    str_fmt(&w->arena, "{\"paths\":[\"/tls%u\"],\"protocols\":[\"http\"],\"service\":%.*s}",
		    n, STR_ARG(service)));
}

/* As long as a service has TLS, and one for all that changes nothing in it. */
static void contexts_go_with_their_services(void **state)
{
	struct world *w = *state;
	struct tls_client *first;

	for (unsigned i = 0; i < 3; i++) {
		put_tls_service(w, i, "https", 1);
	}
	next_epoch(w);
	assert_int_equal(service_tls_n(w->builder->service_tls), 3);
	first = entry_of(w->now->routing, 0)->tls;
	put_tls_service(w, 0, "https", 2);
	next_epoch(w);
	assert_ptr_equal(entry_of(w->now->routing, 0)->tls, first);
	put_tls_service(w, 0, "grpcs", 2);
	next_epoch(w);
	assert_ptr_not_equal(entry_of(w->now->routing, 0)->tls, first);
	assert_int_equal(service_tls_n(w->builder->service_tls), 3);
	forget_with(w, ENTITY_SERVICE, 0);
	next_epoch(w);
	assert_int_equal(service_tls_n(w->builder->service_tls), 2);
	put_tls_service(w, 1, "http", 1);
	next_epoch(w);
	assert_int_equal(service_tls_n(w->builder->service_tls), 1);
}

/* A reload tells everything anew, and what it leaves out has gone. */
static void contexts_survive_reloads(void **state)
{
	struct world *w = *state;
	struct epoch *former;
	struct tls_client *kept;

	put_tls_service(w, 0, "https", 1);
	put_tls_service(w, 1, "https", 1);
	next_epoch(w);
	kept = entry_of(w->now->routing, 0)->tls;
	former = w->now;
	put_tls_service(w, 0, "https", 1);
	w->now = apply(w, w->builder, true);
	assert_ptr_equal(entry_of(w->now->routing, 0)->tls, kept);
	assert_int_equal(service_tls_n(w->builder->service_tls), 1);
	epoch_unref(&former);
}

/* One by one: each is few changes, together they are many. */
static void deletions_add_up(void **state)
{
	struct world *w = *state;
	unsigned layered = 0;

	next_epoch(w);
	for (unsigned i = 0; i < ROUTES / 10; i++) {
		forget(w, ENTITY_ROUTE, i);
		next_epoch(w);
		if (!w->now->routing->base) {
			break;
		}
		layered++;
	}
	assert_true(layered > 1);
	assert_null(w->now->routing->base);
	make_from_scratch(w);
	assert_int_equal(w->now->routing->n, w->scratch->routing->n);
	same_answers(w, w->now, w->scratch);
}

static int set_up(void **state)
{
	static struct world w;
	struct fault f = {0};

	w = (struct world){.seed = 88172645463325252};
	arena_init(&w.arena, 0);
	assert_ok(loops_start(&w.loops, 1, &f));
	assert_ok(certificates_default(&w.cert, &f));
	w.builder = builder_new(&(struct plugin_host){.loops = &w.loops}, w.cert);
	for (unsigned i = 0; i < SERVICES; i++) {
		put_service(&w, i);
	}
	for (unsigned i = 0; i < ROUTES; i++) {
		put_route(&w, i);
	}
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	if (w->plain) {
		builder_end(&w->plain, &w->scratch, &w->plain_loops);
	}
	builder_end(&w->builder, &w->now, &w->loops);
	tls_cert_unref(&w->cert);
	arena_fini(&w->arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(changes_add_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(routes_that_go_the_same_way_share_an_entry, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_vault_reaches_services, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_vault_reaches_plugins, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_certificate_reaches_its_services, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(names_share_certificates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(contexts_go_with_their_services, set_up, tear_down),
		cmocka_unit_test_setup_teardown(contexts_survive_reloads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(deletions_add_up, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
