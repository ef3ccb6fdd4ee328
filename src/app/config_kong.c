/*
 * Reading: what is given, from where. The table of names is in config_kong_table.c, what is made
 * of several settings at once in config_kong_listen.c and config_kong_database.c.
 */
#include "app/config_kong_int.h"

#include "base/format.h"
#include "gateway/vault.h"

#include <errno.h>
#include <stdarg.h>

static const struct str prefix = STR_INIT("KONG_");
static const struct str file_suffix = STR_INIT("_file");

struct kong *kong_new(struct arena *a, struct config_warning **out_warnings, struct fault *f)
{
	struct kong *k = ARENA_NEW(a, struct kong);

	k->arena = a;
	k->values = ARENA_NEW_ARRAY(a, struct kong_value, n_kong_settings);
	k->warnings = out_warnings;
	k->fault = f;
	return k;
}

/* ---- faults and warnings ---- */

static struct conf_node place(const struct kong_value *v)
{
	return (struct conf_node){.source = v->source, .line = v->line};
}

/* "KONG_PORT_MAPS: " or "kong.conf:12: port_maps: " before the text. */
static enum err say(struct fault *f, const struct kong_value *v, const char *fmt, va_list args)
{
	bool is_line = v->line > 0 && v->name;
	const struct conf_node at = place(v);
	char text[256];

	(void)format_print(text, sizeof(text), fmt, args);
	return conf_fault(f, &at, "%s%s%s", is_line ? v->name : "", is_line ? ": " : "", text);
}

enum err kong_fault(struct kong *k, const struct kong_value *v, const char *fmt, ...)
{
	va_list args;
	enum err e;

	va_start(args, fmt);
	e = say(k->fault, v, fmt, args);
	va_end(args);
	return e;
}

void kong_warn(struct kong *k, const struct kong_value *v, const char *fmt, ...)
{
	struct config_warning **tail = k->warnings;
	struct fault said = {0};
	va_list args;

	if (!tail) {
		return;
	}
	va_start(args, fmt);
	(void)say(&said, v, fmt, args);
	va_end(args);
	while (*tail) {
		tail = &(*tail)->next;
	}
	*tail = ARENA_NEW(k->arena, struct config_warning);
	(*tail)->text = str_dup(k->arena, str_c(said.text));
}

/* ---- the table ---- */

static bool is_pattern(const struct kong_setting *s)
{
	return str_ends(str_c(s->name), STR("*"));
}

static const struct kong_setting *find(struct str name)
{
	for (size_t i = 0; i < n_kong_settings; i++) {
		struct str s = str_c(kong_settings[i].name);

		if (is_pattern(&kong_settings[i]) ? str_starts(name, str_slice(s, 0, s.n - 1))
						  : str_eq(name, s)) {
			return &kong_settings[i];
		}
	}
	return NULL;
}

/* NULL: what it says is of no interest. */
static struct kong_value *value_of(struct kong *k, const struct kong_setting *s)
{
	return s && s->how != KONG_NOTHING ? &k->values[s - kong_settings] : NULL;
}

const struct kong_value *kong_get(const struct kong *k, const char *name)
{
	const struct kong_setting *s = find(str_c(name));

	ASSERT(s && s->how != KONG_NOTHING);
	return k->values[s - kong_settings].text.n > 0 ? &k->values[s - kong_settings] : NULL;
}

enum err kong_bool(struct kong *k, const char *name, bool *out)
{
	static const struct conf_key as_bool = {.name = "", .type = CONF_BOOL};
	const struct kong_value *v = kong_get(k, name);
	struct conf_node node;

	if (!v) {
		return ERR_OK;
	}
	node = place(v);
	node.text = v->text;
	if (conf_value(k->arena, &as_bool, &node, out, NULL) != ERR_OK) {
		return kong_fault(k, v, "neither on nor off");
	}
	return ERR_OK;
}

enum err kong_resolve(struct kong *k, const struct kong_value *v, struct str *text)
{
	struct fault why = {0};

	if (!vault_is_reference(*text)) {
		return ERR_OK;
	}
	if (vault_resolve(k->arena, NULL, *text, text, &why) != ERR_OK) {
		return kong_fault(k, v, "%s", why.text);
	}
	return ERR_OK;
}

static enum err resolve_all(struct kong *k)
{
	for (size_t i = 0; i < n_kong_settings; i++) {
		TRY(kong_resolve(k, &k->values[i], &k->values[i].text));
	}
	return ERR_OK;
}

/* ---- kong.conf ---- */

static enum err fail_unknown(struct kong *k, const struct kong_value *at, struct str name)
{
	const char **known = ARENA_NEW_ARRAY(k->arena, const char *, n_kong_settings);
	size_t n = 0;

	for (size_t i = 0; i < n_kong_settings; i++) {
		if (!is_pattern(&kong_settings[i])) {
			known[n++] = kong_settings[i].name;
		}
	}
	const char *near = conf_nearest(name, known, n);

	return kong_fault(k, at, "%.*s: not a setting of kong.conf%s%s%s",
			  (int)MIN(name.n, (size_t)64), name.p ? name.p : "",
			  near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

/* Up to the comment; "\#" is no comment but that character. */
static struct str without_comment(struct arena *a, struct str line)
{
	char *p = arena_alloc(a, line.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < line.n && line.p[i] != '#'; i++) {
		if (line.p[i] == '\\' && i + 1 < line.n && line.p[i + 1] == '#') {
			i++;
		}
		p[n++] = line.p[i];
	}
	return str_trim(str_of(p, n));
}

static enum err read_line(struct kong *k, struct str line, struct kong_value *at)
{
	ptrdiff_t equals;
	struct str name;

	line = str_trim(line);
	if (line.n == 0 || line.p[0] == '#') {
		return ERR_OK;
	}
	line = without_comment(k->arena, line);
	equals = str_index(line, '=');
	if (equals <= 0) {
		return kong_fault(k, at, "not of the form `name = value`");
	}
	name = str_trim(str_slice(line, 0, (size_t)equals));
	at->text = str_trim(str_skip(line, (size_t)equals + 1));

	const struct kong_setting *s = find(name);
	struct kong_value *v = value_of(k, s);

	if (!s) {
		return fail_unknown(k, at, name);
	}
	if (v && v->line > 0) {
		return kong_fault(k, at, "%s: is given twice (first in line %u)", s->name, v->line);
	}
	if (v) {
		*v = *at;
		v->name = s->name;
	}
	return ERR_OK;
}

enum err kong_read_file(struct kong *k, struct str text, struct str name)
{
	struct kong_value at = {.source = name};
	struct str line;

	if (str_index(text, 0) >= 0) {
		return kong_fault(k, &at, "holds a NUL byte: not a kong.conf");
	}
	while (str_split(&text, '\n', &line)) {
		at.line++;
		TRY(read_line(k, line, &at));
	}
	return ERR_OK;
}

/* ---- variables ---- */

/* "tcp://10.0.0.1:5432" in KONG_PG_PORT: Kubernetes, of a service called "kong-pg". */
static bool is_service_link(struct str value)
{
	return str_starts(value, STR("tcp://")) || str_starts(value, STR("udp://"));
}

static void take_variable(struct kong *k, struct str variable, struct str value)
{
	struct kong_value *v = value_of(k, find(str_lower(k->arena, str_skip(variable, prefix.n))));

	if (v && !is_service_link(value)) {
		*v = (struct kong_value){.text = value, .source = variable};
	}
}

/* KONG_PG_PASSWORD_FILE */
static enum err take_file_variable(struct kong *k, struct str variable, struct str path)
{
	struct str name = str_lower(k->arena, str_skip(variable, prefix.n));
	struct kong_value *v = NULL, at = {.source = variable};

	if (str_ends(name, file_suffix) && path.n > 0) {
		v = value_of(k, find(str_slice(name, 0, name.n - file_suffix.n)));
	}
	if (!v) {
		return ERR_OK;
	}
	if (v->text.n > 0 && v->line == 0) {
		return kong_fault(k, &at, "%.*s is set, too: only one of them may be",
				  STR_ARG(v->source));
	}
	if (config_value_file(k->arena, path, &at.text) != ERR_OK) {
		return kong_fault(k, &at, "cannot read file \"%.*s\": %s", STR_ARG(path),
				  strerrordesc_np(errno));
	}
	*v = at;
	return ERR_OK;
}

/* False: not one of ours. */
static bool split_entry(const char *text, struct str *out_name, struct str *out_value)
{
	struct str entry = str_c(text);
	ptrdiff_t equals = str_index(entry, '=');

	if (equals <= 0 || !str_starts(entry, prefix)) {
		return false;
	}
	*out_name = str_slice(entry, 0, (size_t)equals);
	*out_value = str_skip(entry, (size_t)equals + 1);
	return true;
}

enum err kong_read_env(struct kong *k, const char *const *env)
{
	struct str name, value;

	for (const char *const *e = env; *e; e++) {
		if (split_entry(*e, &name, &value)) {
			take_variable(k, name, value);
		}
	}
	/* Afterwards, as either may come first in the environment. */
	for (const char *const *e = env; *e; e++) {
		if (split_entry(*e, &name, &value)) {
			TRY(take_file_variable(k, name, value));
		}
	}
	return ERR_OK;
}

/* ---- putting it over the tree ---- */

struct conf_node *kong_node(struct kong *k, int kind, const char *key, const struct kong_value *v)
{
	struct conf_node *node = config_node(k->arena, kind, str_c(key), v->source);

	node->line = v->line;
	return node;
}

struct conf_node *kong_scalar(struct kong *k, const char *key, struct str text,
			      const struct kong_value *v)
{
	struct conf_node *node = kong_node(k, CONF_NODE_SCALAR, key, v);

	node->text = text;
	return node;
}

void kong_put(struct kong *k, struct conf_node *root, const char *path, struct conf_node *node)
{
	struct str rest = str_c(path), section;
	ptrdiff_t dot = str_index(rest, '.');

	if (dot >= 0) {
		section = str_slice(rest, 0, (size_t)dot);
		rest = str_skip(rest, (size_t)dot + 1);
		/* A section that stands here for a variable only has no line: see config_has. */
		root = config_sub_map(k->arena, root, section, node->source);
	}
	node->key = rest;
	config_set(root, node);
}

static bool is_harmless(const struct kong_setting *s, struct str value)
{
	struct str rest = str_c(s->harmless), one;

	while (str_split(&rest, ',', &one)) {
		if (str_eq_nocase(one, value)) {
			return true;
		}
	}
	return false;
}

static enum err apply_one(struct kong *k, const struct kong_setting *s, const struct kong_value *v,
			  struct conf_node *root)
{
	struct str text = v->text;

	switch (s->how) {
	case KONG_KEY:
		TRY(s->convert ? s->convert(k, v, &text) : ERR_OK);
		kong_put(k, root, s->key, kong_scalar(k, "", text, v));
		break;
	case KONG_MISSING:
		if (!is_harmless(s, text)) {
			kong_warn(k, v, "has no effect: %s", s->advice);
		}
		break;
	case KONG_REFUSED:
		if (!is_harmless(s, text)) {
			return kong_fault(k, v, "\"%.*s\" is not supported: %s",
					  STR_ARG(str_slice(text, 0, 60)), s->advice);
		}
		break;
	case KONG_PART:
	case KONG_NOTHING:
		break;
	}
	return ERR_OK;
}

enum err kong_apply(struct kong *k, struct conf_node *root)
{
	TRY(resolve_all(k));
	for (size_t i = 0; i < n_kong_settings; i++) {
		if (k->values[i].text.n > 0) {
			TRY(apply_one(k, &kong_settings[i], &k->values[i], root));
		}
	}
	TRY(kong_apply_listeners(k, root));
	TRY(kong_apply_database(k, root));
	kong_check_plugins(k);
	return ERR_OK;
}
