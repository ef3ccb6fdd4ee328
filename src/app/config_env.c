/*
 * POSTHOUSE_<SECTION>__<KEY>[__<KEY>...]=value and POSTHOUSE_<KEY>=value. Names of
 * sections that are not known, and top-level names that are not, are left alone: container
 * platforms set variables like POSTHOUSE_PORT for a service called "posthouse".
 */
#include "app/config_int.h"

static const struct str prefix = STR_INIT("POSTHOUSE_");
static const struct str separator = STR_INIT("__");

/* One variable being applied. */
struct override {
	struct arena *arena;
	struct str name; /* POSTHOUSE_RELAY__REQUEST_EXPIRATION */
	struct str value;
	struct fault *fault;
};

/* Read elsewhere: by base/arena, base/clock and the log. */
static bool is_reserved(struct str rest)
{
	return str_eq(rest, STR("TAKEOVER")) || str_eq(rest, STR("ARENA")) ||
	       str_eq(rest, STR("CLOCK_OFFSET")) || str_starts(rest, STR("LOG_"));
}

/* "PORTAL_API" names "portal-api". */
static bool names(struct str upper, const char *lower)
{
	struct str s = str_c(lower);

	if (upper.n != s.n) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i] == '-' ? '_' : ascii_upper(s.p[i]);

		if (c != ascii_upper(upper.p[i])) {
			return false;
		}
	}
	return true;
}

/* Takes the part before the next "__" off `*rest`. */
static struct str next_part(struct str *rest)
{
	ptrdiff_t at = str_find(*rest, separator);
	struct str part = at < 0 ? *rest : str_slice(*rest, 0, (size_t)at);

	*rest = at < 0 ? STR_NULL : str_skip(*rest, (size_t)at + separator.n);
	return part;
}

static const struct conf_section *find_section(struct config_tables tables, struct str upper)
{
	for (size_t i = 0; i < tables.n; i++) {
		if (*tables.v[i]->name && names(upper, tables.v[i]->name)) {
			return tables.v[i];
		}
	}
	return NULL;
}

static const struct conf_key *find_key(const struct conf_section *section, struct str upper)
{
	for (size_t i = 0; section && i < section->n; i++) {
		if (names(upper, section->keys[i].name)) {
			return &section->keys[i];
		}
	}
	return NULL;
}

/* Structured keys may be given in flow style: [{key: a, may: read}]. */
static enum err make_value(const struct override *o, const struct conf_key *key, struct str name,
			   struct conf_node **out)
{
	bool is_flow = o->value.n > 0 && (o->value.p[0] == '[' || o->value.p[0] == '{');

	if (is_flow && (key->type == CONF_NODE || key->type == CONF_STRS)) {
		TRY(config_parse_value(o->arena, o->value, o->name, out, o->fault));
		(*out)->line = 0;
	} else {
		*out = config_node(o->arena, CONF_NODE_SCALAR, name, o->name);
		(*out)->text = o->value;
	}
	(*out)->key = name;
	return ERR_OK;
}

/* `rest` is what follows the key: names of maps inside a CONF_NODE. */
static enum err set_key(const struct override *o, const struct conf_key *key, struct conf_node *map,
			struct str rest)
{
	struct str name = str_c(key->name);
	struct conf_node *value;

	if (rest.n > 0 && key->type != CONF_NODE) {
		return fault_set(o->fault, ERR_INVALID, "%.*s: %s is a single value",
				 STR_ARG(o->name), key->name);
	}
	while (rest.n > 0) {
		map = config_sub_map(o->arena, map, name, o->name);
		name = str_lower(o->arena, next_part(&rest));
	}
	TRY(make_value(o, key, name, &value));
	config_set(map, value);
	return ERR_OK;
}

static enum err fail_unknown(const struct override *o, const struct conf_section *section,
			     struct str upper)
{
	const char **known = ARENA_NEW_ARRAY(o->arena, const char *, section->n + 1);
	struct str key = str_lower(o->arena, upper);

	for (size_t i = 0; i < section->n; i++) {
		known[i] = section->keys[i].name;
	}
	const char *near = conf_nearest(key, known, section->n);

	return fault_set(o->fault, ERR_INVALID, "%.*s: %s.%.*s: unknown key%s%s%s",
			 STR_ARG(o->name), section->name, STR_ARG(key),
			 near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

static enum err set_in_section(const struct override *o, const struct conf_section *section,
			       struct conf_node *root, struct str rest)
{
	struct str upper = next_part(&rest);
	const struct conf_key *key = find_key(section, upper);

	if (!key) {
		return fail_unknown(o, section, upper);
	}
	/* A section that stands here for an override only has no line: see config_has. */
	return set_key(o, key, config_sub_map(o->arena, root, str_c(section->name), o->name), rest);
}

static enum err apply_one(const struct override *o, struct config_tables tables,
			  struct conf_node *root)
{
	struct str rest = str_skip(o->name, prefix.n);
	const struct conf_section *top = config_find_section(tables, STR(""));

	if (is_reserved(rest)) {
		return ERR_OK;
	}
	bool has_more = str_find(rest, separator) >= 0;
	struct str first = next_part(&rest);
	const struct conf_section *section = find_section(tables, first);
	const struct conf_key *key = find_key(top, first);

	if (section && has_more) {
		return set_in_section(o, section, root, rest);
	}
	return key ? set_key(o, key, root, rest) : ERR_OK;
}

enum err config_env_apply(struct arena *a, const char *const *env, struct config_tables tables,
			  struct conf_node *root, struct fault *f)
{
	for (; *env; env++) {
		struct str entry = str_c(*env);
		ptrdiff_t equals = str_index(entry, '=');

		if (equals > 0 && str_starts(entry, prefix)) {
			struct override o = {.arena = a,
					     .name = str_slice(entry, 0, (size_t)equals),
					     .value = str_skip(entry, (size_t)equals + 1),
					     .fault = f};

			TRY(apply_one(&o, tables, root));
		}
	}
	return ERR_OK;
}

const char *config_env_get(const char *const *env, struct str name)
{
	for (; *env; env++) {
		if (strncmp(*env, name.p ? name.p : "", name.n) == 0 && (*env)[name.n] == '=') {
			return *env + name.n + 1;
		}
	}
	return NULL;
}
