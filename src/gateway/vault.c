#include "gateway/vault.h"

#include "base/enc.h"
#include "gateway/tree.h"

#include <stdlib.h>

#define BEGIN STR("{vault://")

bool vault_is_reference(struct str s)
{
	return str_starts(s, BEGIN) && str_ends(s, STR("}"));
}

/* ---- the environment ---- */

static struct str variable_name(struct arena *a, struct str prefix, struct str name)
{
	struct str s = str_upper(a, str_fmt(a, "%.*s%.*s", STR_ARG(prefix), STR_ARG(name)));
	char *p = arena_alloc(a, s.n + 1);

	for (size_t i = 0; i < s.n; i++) {
		p[i] = s.p[i];
		if (p[i] == '-') {
			p[i] = '_';
		}
	}
	return str_of(p, s.n);
}

/* What a vault says of its variables. */
struct env_vault {
	struct str prefix;
	bool base64;
};

/* A secret is a text: one with a NUL would count only up to it. */
static enum err decode(struct arena *a, struct str variable, struct str value, struct str *out,
		       struct fault *f)
{
	struct buf b = {0};
	enum err e = base64_decode(&b, str_trim(value));

	if (e == ERR_OK && str_index(buf_str(&b), '\0') < 0) {
		*out = str_dup(a, buf_str(&b));
	} else {
		e = fault_set(f, ERR_NOT_FOUND, "environment variable %.*s holds no text in base64",
			      STR_ARG(variable));
	}
	buf_free(&b);
	return e;
}

static enum err read_variable(struct arena *a, const struct env_vault *vault, struct str name,
			      struct str *out, struct fault *f)
{
	struct str variable = variable_name(a, vault->prefix, name);
	const char *value = getenv(str_cstr(a, variable));

	if (!value) {
		return fault_set(f, ERR_NOT_FOUND, "environment variable %.*s is not set",
				 STR_ARG(variable));
	}
	if (vault->base64) {
		return decode(a, variable, str_c(value), out, f);
	}
	*out = str_c(value);
	return ERR_OK;
}

/* ---- a reference ---- */

static enum err find_vault(const struct vaults *vaults, struct str which, struct env_vault *out,
			   struct fault *f)
{
	const struct json *v = NULL, *config;

	*out = (struct env_vault){.prefix = STR("")};
	if (str_eq(which, STR("env"))) {
		return ERR_OK;
	}
	if (vaults && vaults->find) {
		v = vaults->find(vaults->arg, which);
	}
	if (!v) {
		return fault_set(f, ERR_NOT_FOUND, "there is no vault '%.*s'", STR_ARG(which));
	}
	if (!str_eq(json_str(json_get(v, STR("name"))), STR("env"))) {
		return fault_set(f, ERR_INVALID, "vault '%.*s' is of a kind that is not supported",
				 STR_ARG(which));
	}
	config = json_get(v, STR("config"));
	*out = (struct env_vault){.prefix = json_str(json_get(config, STR("prefix"))),
				  .base64 = json_bool(json_get(config, STR("base64_decode")))};
	return ERR_OK;
}

static enum err take_field(struct arena *a, struct str secret, struct str field, struct str *out,
			   struct fault *f)
{
	struct json *v = NULL;
	const struct json *m;

	if (json_parse(a, secret, &v, NULL) != ERR_OK || v->type != JSON_OBJECT) {
		return fault_set(f, ERR_NOT_FOUND,
				 "the secret is no JSON object, so it has no '%.*s'",
				 STR_ARG(field));
	}
	m = json_get(v, field);
	if (!m || (m->type != JSON_STRING && m->type != JSON_NUMBER && m->type != JSON_BOOL)) {
		return fault_set(f, ERR_NOT_FOUND, "the secret has no text '%.*s'", STR_ARG(field));
	}
	*out = m->type == JSON_BOOL ? (m->boolean ? STR("true") : STR("false")) : m->text;
	return ERR_OK;
}

enum err vault_resolve(struct arena *a, const struct vaults *vaults, struct str reference,
		       struct str *out, struct fault *f)
{
	struct str rest = str_slice(reference, BEGIN.n, reference.n - BEGIN.n - 1);
	struct str which, name, secret = STR_NULL;
	struct env_vault vault;

	if (!vault_is_reference(reference)) {
		return fault_set(f, ERR_INVALID, "not a reference to a vault");
	}
	/* Options (?ttl=…) are for vaults that are asked again. */
	if (str_index(rest, '?') >= 0) {
		rest = str_slice(rest, 0, (size_t)str_index(rest, '?'));
	}
	if (!str_split(&rest, '/', &which) || !str_split(&rest, '/', &name) || name.n == 0) {
		return fault_set(f, ERR_INVALID, "%.*s: a reference is {vault://NAME/KEY}",
				 STR_ARG(reference));
	}
	TRY(find_vault(vaults, which, &vault, f));
	TRY(read_variable(a, &vault, name, &secret, f));
	if (rest.n > 0) {
		return take_field(a, secret, rest, out, f);
	}
	*out = str_dup(a, secret);
	return ERR_OK;
}

/* ---- all references of a value ---- */

struct resolving {
	struct arena *arena;
	const struct vaults *vaults;
	struct fault *fault;
};

static enum err resolve_record(struct resolving *r, const struct schema *s, const struct json *v,
			       const struct json **out);

static enum err resolve_text(struct resolving *r, const struct schema_field *f,
			     const struct json *v, const struct json **out)
{
	struct fault why = {0};
	struct str text = STR_NULL;

	if (!vault_is_reference(v->text)) {
		return ERR_OK;
	}
	if (vault_resolve(r->arena, r->vaults, v->text, &text, &why) != ERR_OK) {
		return fault_set(r->fault, why.code, "%s: %s", f->name ? f->name : "element",
				 why.text);
	}
	*out = tree_str(r->arena, text);
	return ERR_OK;
}

static enum err resolve_value(struct resolving *r, const struct schema_field *f,
			      const struct json *around, const struct json *v,
			      const struct json **out);

/* Elements of a list, values of a map. */
static enum err resolve_children(struct resolving *r, const struct schema_field *f,
				 const struct json *v, const struct json **out)
{
	struct schema_field elements = *f->elements;
	struct json *copy = v->type == JSON_ARRAY ? tree_array(r->arena) : tree_object(r->arena);
	struct tree_tail tail = tree_tail_of(copy);
	bool changed = false;

	elements.flags |= f->flags & SCHEMA_REFERENCEABLE;
	elements.name = f->name;
	for (const struct json *c = v->child; c; c = c->next) {
		const struct json *now = c;

		TRY(resolve_value(r, &elements, v, c, &now));
		changed |= now != c;
		tree_push(r->arena, &tail, c->key, now);
	}
	if (changed) {
		*out = copy;
	}
	return ERR_OK;
}

static enum err resolve_value(struct resolving *r, const struct schema_field *f,
			      const struct json *around, const struct json *v,
			      const struct json **out)
{
	const struct schema *s = f->record;

	if (v->type == JSON_STRING && (f->flags & SCHEMA_REFERENCEABLE)) {
		return resolve_text(r, f, v, out);
	}
	if ((v->type == JSON_ARRAY || v->type == JSON_OBJECT) && f->elements) {
		return resolve_children(r, f, v, out);
	}
	if (f->subschema_by && f->subschema) {
		s = f->subschema(json_str(json_get(around, str_c(f->subschema_by))));
	}
	return v->type == JSON_OBJECT && f->type == SCHEMA_RECORD && s
		       ? resolve_record(r, s, v, out)
		       : ERR_OK;
}

static enum err resolve_record(struct resolving *r, const struct schema *s, const struct json *v,
			       const struct json **out)
{
	struct json *copy = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const struct json *m = json_get(v, str_c(s->fields[i].name));
		const struct json *now = m;

		if (!m) {
			continue;
		}
		TRY(resolve_value(r, &s->fields[i], v, m, &now));
		if (now != m) {
			copy = copy ? copy : tree_shallow(r->arena, v);
			tree_set(r->arena, copy, m->key, now);
		}
	}
	if (copy) {
		*out = copy;
	}
	return ERR_OK;
}

enum err vault_resolve_all(struct arena *a, const struct vaults *vaults, const struct schema *s,
			   const struct json *v, const struct json **out, struct fault *f)
{
	struct resolving r = {.arena = a, .vaults = vaults, .fault = f};

	*out = v;
	return resolve_record(&r, s, v, out);
}
