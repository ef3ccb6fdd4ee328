#include "gateway/declarative_live.h"

#include "base/clock.h"
#include "base/enc.h"
#include "base/map.h"
#include "base/mem.h"
#include "gateway/declarative_current.h"
#include "gateway/declarative_int.h"
#include "gateway/entity_keys.h"
#include "gateway/form.h"
#include "gateway/tree.h"
#include "gateway/yaml_text.h"
#include "tls/crypto.h"

#include <pthread.h>

#define HASH_LEN (2 * (size_t)MD5_LEN)
#define NO_HASH "00000000000000000000000000000000" /* of no entities, whatever says so */
#define RETRY_AFTER STR("1")

struct declarative_live {
	struct entities *entities;
	pthread_mutex_t loading; /* one load at a time */
	bool held;		 /* guarded by loading */
	pthread_mutex_t mtx;
	char hash[HASH_LEN]; /* guarded by mtx */
};

struct declarative_live *declarative_live_new(struct entities *es)
{
	struct declarative_live *l = MEM_NEW(struct declarative_live);

	l->entities = es;
	(void)pthread_mutex_init(&l->loading, NULL);
	(void)pthread_mutex_init(&l->mtx, NULL);
	memcpy(l->hash, NO_HASH, sizeof(l->hash));
	return l;
}

void declarative_live_free(struct declarative_live **lp)
{
	struct declarative_live *l = *lp;

	*lp = NULL;
	if (l) {
		(void)pthread_mutex_destroy(&l->loading);
		(void)pthread_mutex_destroy(&l->mtx);
		mem_free(l);
	}
}

/* ---- the hash ---- */

static struct str hash_of(struct arena *a, struct str text)
{
	uint8_t digest[MD5_LEN];
	struct buf b = {0};
	struct str out;

	crypto_md5(text, digest);
	hex_encode(&b, str_of(digest, sizeof(digest)));
	out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return out;
}

struct str declarative_live_hash(struct declarative_live *l, struct arena *a)
{
	struct str out;

	(void)pthread_mutex_lock(&l->mtx);
	out = str_dup(a, str_of(l->hash, sizeof(l->hash)));
	(void)pthread_mutex_unlock(&l->mtx);
	return out;
}

static void set_hash(struct declarative_live *l, struct str hash)
{
	ASSERT(hash.n == sizeof(l->hash));
	(void)pthread_mutex_lock(&l->mtx);
	memcpy(l->hash, hash.p, hash.n);
	(void)pthread_mutex_unlock(&l->mtx);
}

/* ---- loading ---- */

static bool is_undated(const struct declarative_item *v)
{
	return json_is_null(json_get(v->said, STR("created_at")));
}

static const struct json *with_member_of(struct arena *a, const struct json *doc,
					 const struct json *former, struct str name)
{
	const struct json *was = json_get(former, name);
	struct json *out;

	if (!was) {
		return doc;
	}
	out = tree_shallow(a, doc);
	tree_set(a, out, name, tree_copy(a, was));
	return out;
}

/*
 * Whether `former` says the same. It is as old as that either way, unless the file says another
 * age, and changed last when that did, if it is the same.
 */
static bool is_same(struct arena *a, struct declarative_item *v, const struct json *former)
{
	const struct json *same;

	if (is_undated(v)) {
		v->json = with_member_of(a, v->json, former, STR("created_at"));
	}
	same = with_member_of(a, v->json, former, STR("updated_at"));
	if (!tree_eq(same, former)) {
		return false;
	}
	v->json = same;
	return true;
}

static struct entity_item *item_new(struct arena *a, const struct declarative_item *v,
				    int64_t now_ms)
{
	const struct json *doc = v->json;
	struct entity_item *item;

	if (entity_defs[v->kind].has_ttl) {
		doc = entity_expiring_by_ttl(a, doc, now_ms);
	}
	item = entity_item_new(v->kind, &v->id, doc);
	item->undated = is_undated(v);
	return item;
}

/*
 * An entity of which the file says the same again keeps its item, and with it all that the data
 * plane has made of it: a file in which one tag is another costs memory for that one.
 */
static struct entity_item *item_of(struct declarative_live *l, struct arena *a,
				   struct declarative_item *v, int64_t now_ms)
{
	struct entity_item *former = entities_item(l->entities, v->kind, &v->id);

	if (former && is_same(a, v, former->json) && !former->unusable &&
	    former->undated == is_undated(v)) {
		return former;
	}
	entity_item_unref(&former);
	return item_new(a, v, now_ms);
}

/*
 * A `ttl` counts from now: what GET /config shows is what was left then. `d` has the times that
 * stay afterwards.
 */
static void put_in_force(struct declarative_live *l, struct arena *a, struct declarative *d,
			 struct str hash)
{
	struct entity_item **items = MEM_NEW_ARRAY(struct entity_item *, d->n + 1);
	struct declarative_item *v = ARENA_NEW_ARRAY(a, struct declarative_item, d->n + 1);
	int64_t now = clock_wall_ms();

	for (size_t i = 0; i < d->n; i++) {
		v[i] = d->v[i];
		items[i] = item_of(l, a, &v[i], now);
	}
	d->v = v;
	entities_replace(l->entities, items, d->n);
	for (size_t i = 0; i < d->n; i++) {
		entity_item_unref(&items[i]);
	}
	mem_free(items);
	set_hash(l, d->n > 0 ? hash : STR(NO_HASH));
}

static enum err first_of(const struct declarative_errors *errors, const struct yaml_doc *doc,
			 struct str name, struct fault *f)
{
	struct declarative_errors one = *errors;
	struct buf b = {0};

	one.n = 1;
	declarative_report(&one, doc, name, &b);
	struct str line = str_trim(buf_str(&b));

	if (errors->n > 1) {
		(void)fault_set(f, ERR_INVALID, "%.*s (and %zu more)", STR_ARG(line),
				errors->n - 1);
	} else {
		(void)fault_set(f, ERR_INVALID, "%.*s", STR_ARG(line));
	}
	buf_free(&b);
	return ERR_INVALID;
}

/* What is to be in force. */
struct source {
	struct str name, hash;
	struct yaml_doc doc;
	/* Of another process, where it was in force: what has dates that no file said. */
	const struct json *undated;
};

/* Ids are those of a kind. */
static struct str undated_key(struct arena *a, const struct declarative_item *v)
{
	return str_fmt(a, "%s %.*s", declarative_name(&entity_defs[v->kind]), GUID_D_LEN,
		       guid_d_str(a, &v->id).p);
}

/* Dates that no file said rank no routes, and another process must not make more of them. */
static void forget_dates(struct arena *a, struct declarative *d, const struct json *ids)
{
	struct declarative_item *v = ARENA_NEW_ARRAY(a, struct declarative_item, d->n + 1);
	struct map undated = {0};

	for (struct json *c = ids->child; c; c = c->next) {
		(void)map_set(&undated, c->text, c);
	}
	for (size_t i = 0; i < d->n; i++) {
		v[i] = d->v[i];
		if (map_get(&undated, undated_key(a, &v[i]))) {
			struct json *said = tree_shallow(a, v[i].said);

			(void)tree_remove(said, STR("created_at"));
			v[i].said = said;
		}
	}
	d->v = v;
	map_free(&undated);
}

static enum err load(struct declarative_live *l, struct arena *a, const struct source *s,
		     struct fault *f)
{
	const struct declarative_options o = {.now_ms = clock_wall_ms(),
					      .keep_updated = s->undated != NULL};
	struct declarative_errors errors;
	struct declarative d;

	if (declarative_read(a, s->doc.root, &o, &d, &errors) != ERR_OK) {
		return first_of(&errors, &s->doc, s->name, f);
	}
	if (s->undated) {
		forget_dates(a, &d, s->undated);
	}
	put_in_force(l, a, &d, s->hash);
	return ERR_OK;
}

static enum err load_text(struct declarative_live *l, struct arena *a, struct str text,
			  struct str name, struct fault *f)
{
	struct source s = {.name = name, .hash = hash_of(a, text)};
	struct fault why = {0};

	if (yaml_parse(a, text, &s.doc, &why) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "%.*s: %s", STR_ARG(name), why.text);
	}
	return load(l, a, &s, f);
}

enum err declarative_live_load(struct declarative_live *l, struct str text, struct str name,
			       struct fault *f)
{
	struct arena a;

	arena_init(&a, 0);
	(void)pthread_mutex_lock(&l->loading);
	enum err e = load_text(l, &a, text, name, f);

	(void)pthread_mutex_unlock(&l->loading);
	arena_fini(&a);
	return e;
}

/* ---- writing ---- */

/* As a file of which nothing has to be guessed. */
static enum err whole_tree(struct declarative_live *l, struct arena *a, struct declarative *d,
			   const struct json **out)
{
	struct entity_call call = {.arena = a};

	TRY(declarative_current(l->entities, &call, d));
	*out = declarative_write(a, d->v, d->n,
				 DECLARATIVE_FLAT | DECLARATIVE_WITH_IDS | DECLARATIVE_WITH_TIMES |
					 DECLARATIVE_WITH_DEFAULTS);
	return ERR_OK;
}

/* ---- from one process to the next ---- */

void declarative_live_hold(struct declarative_live *l)
{
	(void)pthread_mutex_lock(&l->loading);
	l->held = true;
	(void)pthread_mutex_unlock(&l->loading);
}

void declarative_live_release(struct declarative_live *l)
{
	(void)pthread_mutex_lock(&l->loading);
	l->held = false;
	(void)pthread_mutex_unlock(&l->loading);
}

static void put_undated(struct declarative_live *l, struct arena *a, const struct declarative *d,
			struct json_writer *w)
{
	json_begin_array(w);
	for (size_t i = 0; i < d->n; i++) {
		struct entity_item *item = entities_item(l->entities, d->v[i].kind, &d->v[i].id);

		if (item && item->undated) {
			json_put_str(w, undated_key(a, &d->v[i]));
		}
		entity_item_unref(&item);
	}
	json_end_array(w);
}

/* {"hash": "…", "undated": ["routes <id>"], "config": {…}} */
static enum err save(struct declarative_live *l, struct arena *a, struct buf *out)
{
	struct json_writer w = json_writer_to(out);
	struct declarative d;
	const struct json *tree;

	TRY(whole_tree(l, a, &d, &tree));
	json_begin_object(&w);
	json_key(&w, STR("hash"));
	json_put_str(&w, declarative_live_hash(l, a));
	json_key(&w, STR("undated"));
	put_undated(l, a, &d, &w);
	json_key(&w, STR("config"));
	json_put_tree(&w, tree);
	json_end_object(&w);
	return ERR_OK;
}

enum err declarative_live_save(struct declarative_live *l, struct buf *out)
{
	struct arena a;

	arena_init(&a, 0);
	enum err e = save(l, &a, out);

	arena_fini(&a);
	return e;
}

static enum err restore(struct declarative_live *l, struct arena *a, struct str text,
			struct fault *f)
{
	const struct str name = STR("what the former process left");
	const struct json *config, *undated;
	struct json *saved;
	struct str hash;
	struct fault why = {0};

	if (json_parse(a, text, &saved, &why) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "%.*s: %s", STR_ARG(name), why.text);
	}
	hash = json_get_str(saved, "hash");
	config = json_get(saved, STR("config"));
	undated = json_get(saved, STR("undated"));
	if (hash.n != HASH_LEN || !config || !undated) {
		return fault_set(f, ERR_INVALID, "%.*s is not whole", STR_ARG(name));
	}
	return load(l, a, &(struct source){name, hash, {config, text, .is_json = true}, undated},
		    f);
}

enum err declarative_live_restore(struct declarative_live *l, struct str text, struct fault *f)
{
	struct arena a;

	arena_init(&a, 0);
	(void)pthread_mutex_lock(&l->loading);
	enum err e = restore(l, &a, text, f);

	(void)pthread_mutex_unlock(&l->loading);
	arena_fini(&a);
	return e;
}

/* ---- GET /config ---- */

enum err declarative_live_get(struct declarative_live *l, struct task *t)
{
	struct declarative d;
	const struct json *tree;
	struct buf yaml = {0};
	struct json_writer w;

	TRY(whole_tree(l, &t->arena, &d, &tree));
	yaml_write(&yaml, tree);
	w = task_reply_writer(t, 200);
	json_begin_object(&w);
	json_key(&w, STR("config"));
	json_put_str(&w, buf_str(&yaml));
	json_end_object(&w);
	buf_free(&yaml);
	return ERR_OK;
}

/* ---- POST /config ---- */

static enum err reply_message(struct task *t, int status, const char *message)
{
	struct json_writer w = task_reply_writer(t, status);

	json_begin_object(&w);
	json_key(&w, STR("message"));
	json_put_str(&w, str_c(message));
	json_end_object(&w);
	return ERR_OK;
}

static bool has_flag(struct task *t, const char *name)
{
	struct str v;

	if (task_query(t, name, &v) != ERR_OK) {
		return false;
	}
	return str_eq(v, STR("1")) || str_eq_nocase(v, STR("true"));
}

/* Code 14. */
static enum err reply_invalid(struct task *t, const struct json *fields,
			      const struct json *flattened)
{
	struct json_writer w = task_reply_writer(t, 400);

	json_begin_object(&w);
	json_key(&w, STR("code"));
	json_put_int(&w, 14);
	json_key(&w, STR("name"));
	json_put_str(&w, STR("invalid declarative configuration"));
	json_key(&w, STR("message"));
	json_put_str(&w, declarative_message(&t->arena, fields));
	json_key(&w, STR("fields"));
	json_put_tree(&w, fields);
	if (flattened) {
		json_key(&w, STR("flattened_errors"));
		json_put_tree(&w, flattened);
	}
	json_end_object(&w);
	return ERR_OK;
}

static enum err reply_no_yaml(struct task *t, const struct fault *why)
{
	struct json *fields = tree_object(&t->arena);

	tree_set(&t->arena, fields, STR("error"),
		 tree_str(&t->arena,
			  str_fmt(&t->arena, "failed parsing declarative configuration: %s",
				  why->text)));
	return reply_invalid(t, fields,
			     has_flag(t, "flatten_errors") ? tree_array(&t->arena) : NULL);
}

/* {"services": {"<id>": {…}}} */
static enum err reply_loaded(struct task *t, const struct declarative *d)
{
	struct json_writer w = task_reply_writer(t, 201);
	size_t i = 0;

	json_begin_object(&w);
	for (size_t kind = 0; kind < ENTITY_KINDS; kind++) {
		if (i == d->n || d->v[i].kind != (enum entity_kind)kind) {
			continue;
		}
		json_key(&w, str_c(declarative_name(&entity_defs[kind])));
		json_begin_object(&w);
		for (; i < d->n && d->v[i].kind == (enum entity_kind)kind; i++) {
			json_key(&w, guid_d_str(&t->arena, &d->v[i].id));
			json_put_tree(&w, d->v[i].json);
		}
		json_end_object(&w);
	}
	json_end_object(&w);
	return ERR_OK;
}

/* What was sent: a text, or a tree already. Neither: there was nothing. */
struct sent {
	struct str text;
	const struct json *tree;
	struct str hashed; /* what the hash is of */
};

static enum err take_form(struct task *t, struct str type, struct sent *out)
{
	struct json *form = NULL;

	TRY(form_read(&t->arena, type, t->body, &form, NULL));
	out->text = out->hashed = json_str(json_get(form, STR("config")));
	return ERR_OK;
}

static enum err take_json(struct task *t, struct sent *out)
{
	struct json *tree = NULL;
	const struct json *config;

	if (t->body.n == 0) {
		return ERR_OK;
	}
	TRY(json_parse(&t->arena, t->body, &tree, NULL));
	config = json_get(tree, STR("config"));
	if (config && config->type == JSON_STRING) {
		out->text = out->hashed = config->text;
	} else {
		out->tree = config && config->type == JSON_OBJECT ? config : tree;
		out->hashed = t->body;
	}
	return ERR_OK;
}

static bool is_json(struct str type)
{
	struct str bare = STR("");

	(void)str_split(&type, ';', &bare);
	return str_eq_nocase(str_trim(bare), STR("application/json"));
}

static enum err take_sent(struct task *t, struct sent *out)
{
	struct str type = http_header_get(&t->request.headers, STR("Content-Type"));

	*out = (struct sent){0};
	if (is_json(type)) {
		return take_json(t, out);
	}
	if (form_is_type(type)) {
		return take_form(t, type, out);
	}
	out->text = out->hashed = t->body;
	return ERR_OK;
}

static enum err replace(struct declarative_live *l, struct task *t, const struct sent *sent)
{
	const struct declarative_options o = {.now_ms = clock_wall_ms()};
	struct str hash = hash_of(&t->arena, sent->hashed);
	struct declarative_errors errors;
	struct declarative d;
	struct yaml_doc doc = {.root = sent->tree};
	struct fault why = {0};

	if (has_flag(t, "check_hash") && str_eq(hash, declarative_live_hash(l, &t->arena))) {
		return task_reply_status(t, 304);
	}
	if (!sent->tree && yaml_parse(&t->arena, sent->text, &doc, &why) != ERR_OK) {
		return reply_no_yaml(t, &why);
	}
	if (declarative_read(&t->arena, doc.root, &o, &d, &errors) != ERR_OK) {
		return has_flag(t, "flatten_errors")
			       ? reply_invalid(t, errors.leftovers, errors.flattened)
			       : reply_invalid(t, errors.fields, NULL);
	}
	put_in_force(l, &t->arena, &d, hash);
	return reply_loaded(t, &d);
}

static enum err reply_later(struct task *t, int status, const char *why)
{
	http_header_add(&t->arena, &t->reply.headers, STR("Retry-After"), RETRY_AFTER);
	return reply_message(t, status, why);
}

enum err declarative_live_post(struct declarative_live *l, struct task *t)
{
	struct sent sent;
	enum err e;

	if (take_sent(t, &sent) != ERR_OK) {
		return reply_message(t, 400, "Cannot parse JSON body");
	}
	if (!sent.tree && str_trim(sent.text).n == 0) {
		return reply_message(t, 400, "expected a declarative configuration");
	}
	if (pthread_mutex_trylock(&l->loading) != 0) {
		return reply_later(t, 429, "another configuration is being loaded");
	}
	e = l->held ? reply_later(t, 503, "a new process is starting, nothing is loaded meanwhile")
		    : replace(l, t, &sent);
	(void)pthread_mutex_unlock(&l->loading);
	return e;
}
