/* What builder_fixture.h says. */
#include "builder_fixture.h"

#include "gateway/certificates.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const plugin_names[] = {"key-auth", "cors", "request-termination",
					   "correlation-id"};

unsigned any(struct world *w, unsigned n)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return (unsigned)(w->seed >> 33) % n;
}

struct guid id_of(enum entity_kind kind, unsigned n)
{
	return (struct guid){
		.b = {[0] = (uint8_t)(kind + 1), [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n}};
}

struct str ref_to(struct world *w, enum entity_kind kind, unsigned n, bool exists)
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

void put(struct world *w, enum entity_kind kind, unsigned n, struct str text)
{
	struct guid id = id_of(kind, n);
	struct json *doc = NULL;

	assert_ok(json_parse(&w->arena, text, &doc, NULL));
	assert_true(w->n_changes < CHANGES_MAX);
	w->docs[kind][n] = doc;
	w->changes[w->n_changes++] =
		(struct entity_change){kind, id, entity_item_new(kind, &id, doc)};
}

void forget(struct world *w, enum entity_kind kind, unsigned n)
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
void forget_with(struct world *w, enum entity_kind kind, unsigned n)
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

void put_route(struct world *w, unsigned n)
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

void put_service(struct world *w, unsigned n)
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

void change(struct world *w)
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

struct epoch *apply(struct world *w, struct builder *b, bool all)
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

void make_from_scratch(struct world *w)
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
void builder_end(struct builder **b, struct epoch **e, struct loops *loops)
{
	loops_join(loops);
	epoch_unref(e);
	builder_joined(*b);
	loops_free(loops);
	builder_free(b);
}

/* ---- an epoch after the other ---- */

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
struct str people_of(struct arena *a, const struct identity *i)
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

void next_epoch(struct world *w)
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

int set_up(void **state)
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

int tear_down(void **state)
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
