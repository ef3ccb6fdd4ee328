/* Reading for callers: identifiers, pages, tags. */
#include "base/clock.h"
#include "base/enc.h"
#include "base/utf8.h"
#include "gateway/entities_int.h"
#include "gateway/entity_tree.h"

enum { PAGE_MAX = 1000 };

const struct json *entity_present(struct arena *a, enum entity_kind kind, const struct json *doc,
				  int64_t now_ms)
{
	return entity_defs[kind].has_ttl ? entity_ttl_left(a, doc, now_ms) : doc;
}

bool entity_text_is_id(struct str text, struct guid *out)
{
	return text.n == GUID_D_LEN && guid_parse(text, out) == ERR_OK && !guid_is_nil(out);
}

static enum err present(struct entity_call *c, enum entity_kind kind, enum err e,
			const struct json *doc, const struct json **out)
{
	if (e == ERR_OK) {
		*out = entity_present(c->arena, kind, doc, clock_wall_ms());
	}
	return e;
}

/* ---- one ---- */

static bool belongs_to(const struct json *doc, const struct entity_owner *owner)
{
	struct guid id;

	return !owner || !owner->field ||
	       (tree_id(json_get(doc, str_c(owner->field)), &id) && guid_eq(&id, &owner->id));
}

/* "group" of an acl is unique together with its consumer. */
static bool is_unique_with(const struct entity_def *def, const char *field)
{
	const char *const *u = def->unique_together;

	if (!def->endpoint_key || !u[0] || !u[1] || u[2]) {
		return false;
	}
	return (strcmp(u[0], field) == 0 && strcmp(u[1], def->endpoint_key) == 0) ||
	       (strcmp(u[1], field) == 0 && strcmp(u[0], def->endpoint_key) == 0);
}

static struct entity_key key_with_owner(struct arena *a, const struct entity_def *def,
					const struct entity_owner *owner, struct str text)
{
	struct json *doc = tree_object(a);

	tree_set(a, doc, str_c(owner->field), tree_ref(a, &owner->id));
	tree_set(a, doc, str_c(def->endpoint_key), tree_str(a, text));
	return entity_key_together(a, def, doc);
}

enum err entity_locate(struct entities *es, struct entity_call *c, enum entity_kind kind,
		       const struct entity_owner *owner, struct str text, const struct json **out)
{
	const struct entity_def *def = &entity_defs[kind];
	const struct json *doc = NULL;
	struct entity_key key;
	struct guid id;

	if (entity_text_is_id(text, &id)) {
		TRY(entity_source_get(es, c, kind, &id, &doc));
	} else if (entity_key_is_unique(def)) {
		key = entity_key_of(c->arena, def->endpoint_key, tree_str(c->arena, text));
		TRY(entity_source_by_key(es, c, kind, &key, &doc));
	} else if (owner && owner->field && is_unique_with(def, owner->field)) {
		key = key_with_owner(c->arena, def, owner, text);
		TRY(entity_source_by_key(es, c, kind, &key, &doc));
	} else {
		return entity_fail_primary_key(c, text);
	}
	if (!belongs_to(doc, owner)) {
		return ERR_NOT_FOUND;
	}
	*out = doc;
	return ERR_OK;
}

enum err entity_get(struct entities *es, struct entity_call *c, enum entity_kind kind,
		    const struct guid *id, const struct json **out)
{
	const struct json *doc = NULL;

	entity_error_clear(c);
	enum err e = entity_source_get(es, c, kind, id, &doc);
	return present(c, kind, e, doc, out);
}

enum err entity_find_owned(struct entities *es, struct entity_call *c, enum entity_kind kind,
			   const struct entity_owner *owner, struct str text,
			   const struct json **out)
{
	const struct json *doc = NULL;

	entity_error_clear(c);
	enum err e = entity_locate(es, c, kind, owner, text, &doc);
	return present(c, kind, e, doc, out);
}

enum err entity_find(struct entities *es, struct entity_call *c, enum entity_kind kind,
		     struct str text, const struct json **out)
{
	return entity_find_owned(es, c, kind, NULL, text, out);
}

enum err entity_find_by(struct entities *es, struct entity_call *c, enum entity_kind kind,
			const char *field, struct str value, const struct json **out)
{
	struct entity_key key = entity_key_of(c->arena, field, tree_str(c->arena, value));
	const struct json *doc = NULL;

	entity_error_clear(c);
	enum err e = entity_source_by_key(es, c, kind, &key, &doc);
	return present(c, kind, e, doc, out);
}

/* ---- pages ---- */

static enum err bad_offset(struct entity_call *c, struct str offset, const char *why)
{
	return entity_fail(
		c, ENTITY_INVALID_OFFSET,
		str_fmt(c->arena, "'%.*s' is not a valid offset: %s", STR_ARG(offset), why), NULL);
}

/* An offset is the place of the first entity of its page. */
static struct str offset_of(struct arena *a, struct str place)
{
	struct buf b = {0};
	struct str s;

	base64url_encode(&b, place);
	s = str_dup(a, buf_str(&b));
	buf_free(&b);
	return s;
}

static enum err read_offset(struct entity_call *c, struct str offset, struct str *out)
{
	struct buf b = {0};

	if (base64url_decode(&b, offset) != ERR_OK) {
		buf_free(&b);
		return bad_offset(c, offset, "bad base64 encoding");
	}
	*out = str_dup(c->arena, buf_str(&b));
	buf_free(&b);
	return ERR_OK;
}

static enum err read_start(struct entity_call *c, struct str offset, struct guid *out)
{
	struct str place = STR_NULL;

	*out = (struct guid){0};
	if (!offset.p) {
		return ERR_OK;
	}
	TRY(read_offset(c, offset, &place));
	return entity_text_is_id(place, out) ? ERR_OK : bad_offset(c, offset, "bad offset value");
}

static bool is_tag(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch < 0x20 || ch == 0x7f) {
			return false;
		}
	}
	return s.n > 0 && utf8_is_valid(s);
}

static enum err read_tags(struct entity_call *c, struct str tags, struct entity_range *r)
{
	struct str rest = tags, tag;
	char sep = str_index(tags, '/') >= 0 ? '/' : ',';

	if (!tags.p) {
		return ERR_OK;
	}
	if (tags.n == 0) {
		return entity_fail_option(c, "tags", "cannot be null");
	}
	if (sep == '/' && str_index(tags, ',') >= 0) {
		return entity_fail_option(c, "tags", "invalid filter syntax");
	}
	r->any_tag = sep == '/';
	while (str_split(&rest, sep, &tag)) {
		bool is_known = false;

		if (!is_tag(tag)) {
			return entity_fail_option(c, "tags", "invalid filter syntax");
		}
		for (size_t i = 0; i < r->n_tags; i++) {
			is_known = is_known || str_eq(r->tags[i], tag);
		}
		if (is_known) {
			continue;
		}
		if (r->n_tags == ENTITY_TAGS_MAX) {
			return entity_fail_option(c, "tags", "cannot query more than 5 tags");
		}
		r->tags[r->n_tags++] = tag;
	}
	return ERR_OK;
}

static enum err read_size(struct entity_call *c, uint32_t size)
{
	if (size < 1 || size > PAGE_MAX) {
		return entity_fail(c, ENTITY_INVALID_SIZE,
				   STR("size must be an integer between 1 and 1000"), NULL);
	}
	return ERR_OK;
}

static enum err read_owner(enum entity_kind kind, const struct entity_owner *owner,
			   struct entity_range *r)
{
	const struct schema_field *f;

	if (!owner->field) {
		return ERR_OK;
	}
	f = entity_field(&entity_defs[kind], str_c(owner->field));
	ASSERT(f && f->type == SCHEMA_FOREIGN);
	r->field = owner->field;
	r->ref = owner->id;
	r->ref_kind = entity_def_by_collection(str_c(f->foreign))->kind;
	return ERR_OK;
}

enum err entity_list(struct entities *es, struct entity_call *c, enum entity_kind kind,
		     const struct entity_query *q, struct entity_page *out)
{
	struct entity_range r = {.kind = kind, .now_ms = clock_wall_ms()};
	const struct json **v;
	struct guid next;
	size_t n = 0;

	entity_error_clear(c);
	TRY(read_size(c, q->size));
	TRY(read_start(c, q->offset, &r.from));
	TRY(read_tags(c, q->tags, &r));
	TRY(read_owner(kind, &q->owner, &r));
	r.max = (size_t)q->size + 1; /* one more tells whether there is a next page */
	TRY(entity_source_page(es, c, &r, &v, &n));
	*out = (struct entity_page){.v = v, .n = MIN(n, q->size)};
	if (n > q->size && tree_id(v[q->size], &next)) {
		out->offset = offset_of(c->arena, guid_d_str(c->arena, &next));
	}
	for (size_t i = 0; i < out->n; i++) {
		v[i] = entity_present(c->arena, kind, v[i], r.now_ms);
	}
	return ERR_OK;
}

/* ---- all ---- */

struct each {
	struct entity_call *call;
	enum entity_kind kind;
	entity_each_fn *fn;
	void *ctx;
	int64_t now_ms;
};

static enum err on_row(void *row, void *ctx)
{
	struct each *w = ctx;
	const struct json *doc;
	struct arena scratch;

	arena_init(&scratch, 0);
	enum err e = entity_parse(&scratch, row, &doc, NULL);
	if (e == ERR_OK) {
		e = w->fn(w->ctx, entity_present(&scratch, w->kind, doc, w->now_ms));
	}
	arena_fini(&scratch);
	return e;
}

enum err entities_each(struct entities *es, struct entity_call *c, enum entity_kind kind,
		       entity_each_fn *fn, void *ctx)
{
	struct each w = {c, kind, fn, ctx, clock_wall_ms()};
	struct entity_set *s;

	entity_error_clear(c);
	if (!es->memory) {
		return entity_store_each(c->db, kind, w.now_ms, on_row, &w);
	}
	s = entities_set(es, c);
	for (size_t i = 0; i < s->n[kind]; i++) {
		const struct json *doc = s->v[kind][i]->json;

		if (!entity_is_expired(doc, w.now_ms)) {
			TRY(fn(ctx, entity_present(c->arena, kind, doc, w.now_ms)));
		}
	}
	return ERR_OK;
}

/* ---- tags ---- */

static struct str tag_place(struct arena *a, const struct entity_tag *t)
{
	char id[GUID_D_LEN];

	guid_d(&t->id, id);
	return str_fmt(a, "%.*s/%.*s/%.*s", GUID_D_LEN, id, STR_ARG(t->kind), STR_ARG(t->tag));
}

static enum err read_tag_start(struct entity_call *c, struct str offset, struct str tag,
			       struct entity_tag *out)
{
	struct str place = STR_NULL, id, kind;

	*out = (struct entity_tag){.tag = tag.p ? tag : STR(""), .kind = STR("")};
	if (!offset.p) {
		return ERR_OK;
	}
	TRY(read_offset(c, offset, &place));
	if (!str_split(&place, '/', &id) || !str_split(&place, '/', &kind) ||
	    !entity_text_is_id(id, &out->id) || place.n == 0 || !utf8_is_valid(place) ||
	    memchr(place.p, 0, place.n) || !entity_def_by_collection(kind)) {
		return bad_offset(c, offset, "bad offset value");
	}
	out->kind = kind;
	out->tag = tag.p ? tag : place;
	return ERR_OK;
}

static enum err source_tags(struct entities *es, struct entity_call *c,
			    const struct entity_tag *from, bool one, size_t max,
			    struct db_rows *out)
{
	struct entity_tag *v;

	if (es->memory) {
		v = ARENA_NEW_ARRAY(c->arena, struct entity_tag, max);
		out->n = entity_set_tags(entities_set(es, c), from, one, c->arena, max, v);
		out->v = v;
		return ERR_OK;
	}
	return one ? entity_store_tagged(c->db, from, max, out)
		   : entity_store_tags(c->db, from, max, out);
}

enum err entity_tags(struct entities *es, struct entity_call *c, struct str tag,
		     const struct entity_query *q, struct entity_tag_page *out)
{
	struct json *data = tree_array(c->arena);
	struct tree_tail tail = tree_tail_of(data);
	const struct entity_tag *v;
	struct entity_tag from;
	struct db_rows rows = {0};

	entity_error_clear(c);
	TRY(read_size(c, q->size));
	if (tag.p && !is_tag(tag)) {
		return entity_fail_option(c, "tags", "invalid filter syntax");
	}
	TRY(read_tag_start(c, q->offset, tag, &from));
	TRY(source_tags(es, c, &from, tag.p != NULL, (size_t)q->size + 1, &rows));
	v = rows.v;
	for (size_t i = 0; i < MIN(rows.n, q->size); i++) {
		struct json *o = tree_object(c->arena);

		tree_set(c->arena, o, STR("tag"), tree_str(c->arena, v[i].tag));
		tree_set(c->arena, o, STR("entity_name"), tree_str(c->arena, v[i].kind));
		tree_set(c->arena, o, STR("entity_id"), tree_guid(c->arena, &v[i].id));
		tree_push(c->arena, &tail, STR_NULL, o);
	}
	*out = (struct entity_tag_page){.data = data};
	if (rows.n > q->size) {
		out->offset = offset_of(c->arena, tag_place(c->arena, &v[q->size]));
	}
	return ERR_OK;
}
