#include "gateway/entity_keys.h"

#include "base/enc.h"
#include "base/utf8.h"
#include "gateway/entity_tree.h"
#include "tls/crypto.h"

#include <stdlib.h>

#define VALUE_MAX 400

/* The marks keep a text apart from one that looks like a digest. */
static struct str comparable(struct arena *a, struct str s)
{
	uint8_t digest[SHA256_LEN];
	struct buf b = {0};
	struct str out;

	if (s.n <= VALUE_MAX && utf8_is_valid(s) && !(s.n > 0 && memchr(s.p, 0, s.n))) {
		return STR_CAT(a, STR("="), s);
	}
	crypto_sha256(s, digest);
	hex_encode(&b, str_of(digest, sizeof(digest)));
	out = str_fmt(a, "#%.*s", STR_ARG(buf_str(&b)));
	buf_free(&b);
	return out;
}

/* As Kong shows it in messages: "x", {id="…"}, null. */
static struct str shown(struct arena *a, const struct json *v)
{
	if (json_is_null(v)) {
		return STR("null");
	}
	if (v->type == JSON_STRING) {
		return STR_CAT(a, STR("\""), v->text, STR("\""));
	}
	if (v->type == JSON_OBJECT) {
		return entity_pk_text(a, json_str(json_get(v, STR("id"))));
	}
	return tree_text(a, v);
}

struct str entity_pk_text(struct arena *a, struct str id)
{
	return str_fmt(a, "{id=\"%.*s\"}", STR_ARG(id));
}

const struct schema_field *entity_field(const struct entity_def *def, struct str name)
{
	for (size_t i = 0; i < def->schema->n; i++) {
		if (str_eq(str_c(def->schema->fields[i].name), name)) {
			return &def->schema->fields[i];
		}
	}
	return NULL;
}

bool entity_key_is_unique(const struct entity_def *def)
{
	const struct schema_field *f =
		def->endpoint_key ? entity_field(def, str_c(def->endpoint_key)) : NULL;

	return f && (f->flags & SCHEMA_UNIQUE);
}

struct entity_key entity_key_of(struct arena *a, const char *field, const struct json *value)
{
	struct json *fields = tree_object(a);
	struct entity_key k = {.field = str_c(field)};

	tree_set(a, fields, k.field, value);
	k.fields = fields;
	k.text = str_fmt(a, "{%s=%.*s}", field, STR_ARG(shown(a, value)));
	k.value = comparable(a, value->type == JSON_STRING ? value->text : tree_text(a, value));
	return k;
}

bool entity_has_together(const struct entity_def *def)
{
	return def->unique_together[0] != NULL;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct entity_key entity_key_together(struct arena *a, const struct entity_def *def,
				      const struct json *doc)
{
	const char *names[ARRAY_LEN(def->unique_together)];
	struct json *fields = tree_object(a);
	struct buf text = {0}, field = {0}, value = {0};
	struct entity_key k;
	size_t n = 0;

	while (n < ARRAY_LEN(names) && def->unique_together[n]) {
		names[n] = def->unique_together[n];
		n++;
	}
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		const struct json *v = json_get(doc, str_c(names[i]));
		struct str s = shown(a, v);

		tree_set(a, fields, str_c(names[i]), v ? v : tree_null(a));
		buf_printf(&text, "%s%s=", i > 0 ? "," : "", names[i]);
		buf_put(&text, s);
		buf_printf(&field, "%s%s", i > 0 ? "," : "", names[i]);
		/* With its length: no two lists of values have the same text. */
		buf_printf(&value, "%zu:", s.n);
		buf_put(&value, s);
	}
	k.fields = fields;
	k.text = str_fmt(a, "{%.*s}", STR_ARG(buf_str(&text)));
	k.field = str_dup(a, buf_str(&field));
	k.value = comparable(a, buf_str(&value));
	buf_free(&text);
	buf_free(&field);
	buf_free(&value);
	return k;
}

void entity_keys_of(struct arena *a, enum entity_kind kind, const struct json *doc,
		    struct entity_keys *out)
{
	const struct entity_def *def = &entity_defs[kind];

	out->n = 0;
	for (size_t i = 0; i < def->schema->n; i++) {
		const struct schema_field *f = &def->schema->fields[i];
		const struct json *v = json_get(doc, str_c(f->name));

		if ((f->flags & SCHEMA_UNIQUE) && !json_is_null(v)) {
			ASSERT(out->n < ENTITY_KEYS_MAX);
			out->v[out->n++] = entity_key_of(a, f->name, v);
		}
	}
	if (entity_has_together(def)) {
		ASSERT(out->n < ENTITY_KEYS_MAX);
		out->v[out->n++] = entity_key_together(a, def, doc);
	}
}

/* ---- references ---- */

static enum err add(struct entity_refs *out, const struct entity_ref *r)
{
	if (out->n == ENTITY_REFS_MAX) {
		return ERR_LIMIT;
	}
	out->v[out->n++] = *r;
	return ERR_OK;
}

static enum err add_foreign(const struct schema_field *f, const struct json *v,
			    struct entity_refs *out)
{
	const struct entity_def *to = entity_def_by_collection(str_c(f->foreign));
	struct entity_ref r = {.field = str_c(f->name)};

	if (!to || !tree_id(v, &r.id)) {
		return ERR_OK;
	}
	r.kind = to->kind;
	return add(out, &r);
}

/* A list of ids, not foreign keys in Kong's sense; yet none of them may go. */
static enum err add_ca_certificates(struct arena *a, const struct json *list,
				    struct entity_refs *out)
{
	size_t i = 0;

	for (const struct json *e = list ? list->child : NULL; e; e = e->next, i++) {
		struct entity_ref r = {.kind = ENTITY_CA_CERTIFICATE};

		if (guid_parse(json_str(e), &r.id) == ERR_OK) {
			r.field = str_fmt(a, "ca_certificates.%zu", i);
			TRY(add(out, &r));
		}
	}
	return ERR_OK;
}

enum err entity_refs_of(struct arena *a, enum entity_kind kind, const struct json *doc,
			struct entity_refs *out)
{
	const struct entity_def *def = &entity_defs[kind];

	out->n = 0;
	for (size_t i = 0; i < def->schema->n; i++) {
		const struct schema_field *f = &def->schema->fields[i];

		if (f->type == SCHEMA_FOREIGN) {
			TRY(add_foreign(f, json_get(doc, str_c(f->name)), out));
		}
	}
	return kind == ENTITY_SERVICE
		       ? add_ca_certificates(a, json_get(doc, STR("ca_certificates")), out)
		       : ERR_OK;
}

/* ---- expiry ---- */

#define EXPIRES STR("expires_ms")
#define CREATED_MAX INT64_C(1000000000000000)

/* Of documents that were stored without it: `ttl` is a span from created_at, or from 0 if null. */
static struct opt_i64 expires_by_span(const struct json *doc)
{
	int64_t ttl, created = 0;

	if (!json_int(json_get(doc, STR("ttl")), &ttl) || ttl <= 0) {
		return (struct opt_i64){0};
	}
	(void)json_int(json_get(doc, STR("created_at")), &created);
	return (struct opt_i64){true, (MIN(created, CREATED_MAX) + ttl) * 1000};
}

struct opt_i64 entity_expires(const struct json *doc)
{
	int64_t ms;

	return json_int(json_get(doc, EXPIRES), &ms) ? (struct opt_i64){true, ms}
						     : expires_by_span(doc);
}

bool entity_is_expired(const struct json *doc, int64_t now_ms)
{
	struct opt_i64 expires = entity_expires(doc);

	return expires.has && expires.v <= now_ms;
}

const struct json *entity_expiring(struct arena *a, const struct json *doc, int64_t expires_ms)
{
	struct json *v = tree_shallow(a, doc);

	tree_set(a, v, EXPIRES, tree_int(a, expires_ms));
	return v;
}

const struct json *entity_expiring_by_ttl(struct arena *a, const struct json *doc, int64_t now_ms)
{
	int64_t ttl;

	return json_int(json_get(doc, STR("ttl")), &ttl) && ttl > 0
		       ? entity_expiring(a, doc, now_ms + ttl * 1000)
		       : doc;
}

const struct json *entity_ttl_left(struct arena *a, const struct json *doc, int64_t now_ms)
{
	struct opt_i64 expires = entity_expires(doc);
	struct json *v = tree_shallow(a, doc);

	(void)tree_remove(v, EXPIRES);
	tree_set(a, v, STR("ttl"),
		 expires.has ? tree_int(a, MAX((expires.v - now_ms - 1) / 1000, 1)) : tree_null(a));
	return v;
}
