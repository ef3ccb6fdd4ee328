#include "base/conf.h"

#include "base/clock.h"
#include "base/format.h"

#include <stdarg.h>
#include <stdio.h>

/* What error messages show of a source and of a value. */
#define SOURCE_SHOWN 80
#define VALUE_SHOWN 60
#define KEY_LEN_MAX 64

/* One value being read. */
struct place {
	struct arena *arena;
	const char *section;
	const struct conf_key *key;
	const struct conf_node *node;
	struct fault *fault;
};

enum err conf_fault(struct fault *f, const struct conf_node *node, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	(void)format_print(text, sizeof(text), fmt, args);
	va_end(args);
	if (!node || node->source.n == 0) {
		return fault_set(f, ERR_INVALID, "%s", text);
	}
	int shown = (int)MIN(node->source.n, (size_t)SOURCE_SHOWN);

	if (node->line == 0) {
		return fault_set(f, ERR_INVALID, "%.*s: %s", shown, node->source.p, text);
	}
	return fault_set(f, ERR_INVALID, "%.*s:%u: %s", shown, node->source.p, node->line, text);
}

static enum err fail(const struct place *w, const char *what)
{
	return conf_fault(w->fault, w->node, "%s%s%s: %s", w->section, *w->section ? "." : "",
			  w->key->name, what);
}

/* `"abc" is not a duration`, without the value if it is secret. */
static enum err fail_value(const struct place *w, struct str text, const char *what)
{
	char msg[VALUE_SHOWN + 160];
	bool is_long = text.n > VALUE_SHOWN;

	if (w->key->type == CONF_SECRET) {
		return fail(w, what);
	}
	text.n = MIN(text.n, (size_t)VALUE_SHOWN);
	(void)snprintf(msg, sizeof(msg), "\"%.*s%s\" %s", STR_ARG(text), is_long ? "..." : "",
		       what);
	return fail(w, msg);
}

/* -- scalars ---------------------------------------------------------------- */

static struct str number_text(const struct place *w, int64_t v)
{
	if (w->key->type == CONF_DURATION) {
		return duration_format(w->arena, v);
	}
	if (w->key->type == CONF_SIZE) {
		return size_format(w->arena, v);
	}
	return str_fmt(w->arena, "%lld", (long long)v);
}

static enum err check_range(const struct place *w, struct str text, int64_t v)
{
	const struct conf_key *k = w->key;

	if (v >= k->min && (k->max == 0 || v <= k->max)) {
		return ERR_OK;
	}
	struct str min = number_text(w, k->min);

	if (k->max == 0) {
		return fail_value(w, text,
				  str_cstr(w->arena, str_fmt(w->arena, "must be at least %.*s",
							     STR_ARG(min))));
	}
	struct str max = number_text(w, k->max);

	return fail_value(w, text,
			  str_cstr(w->arena, str_fmt(w->arena, "must lie between %.*s and %.*s",
						     STR_ARG(min), STR_ARG(max))));
}

static enum err parse_int(const struct place *w, struct str text, int64_t *out)
{
	int64_t v;

	if (!str_to_i64(text, &v)) {
		return fail_value(w, text, "is not a whole number");
	}
	TRY(check_range(w, text, v));
	*out = v;
	return ERR_OK;
}

/*
 * A TimeSpan is told by its colons: as one, a bare number would mean days, which
 * nobody expects of "30".
 */
static enum err parse_duration(const struct place *w, struct str text, int64_t *out)
{
	int64_t ms = 0;

	if (duration_parse(text, &ms) != ERR_OK && !str_eq(text, STR("0")) &&
	    (str_index(text, ':') < 0 || timespan_parse(text, &ms) != ERR_OK)) {
		return fail_value(w, text, "is not a duration (try \"30s\")");
	}
	TRY(check_range(w, text, ms));
	*out = ms;
	return ERR_OK;
}

static enum err parse_size(const struct place *w, struct str text, int64_t *out)
{
	int64_t bytes;

	if (size_parse(text, &bytes) != ERR_OK) {
		return fail_value(w, text, "is not a size (try \"16KiB\")");
	}
	TRY(check_range(w, text, bytes));
	*out = bytes;
	return ERR_OK;
}

static enum err parse_bool(const struct place *w, struct str text, bool *out)
{
	static const char *const yes[] = {"true", "yes", "on", "1"};
	static const char *const no[] = {"false", "no", "off", "0"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		bool is_yes = str_eq_nocase(text, str_c(yes[i]));

		if (is_yes || str_eq_nocase(text, str_c(no[i]))) {
			*out = is_yes;
			return ERR_OK;
		}
	}
	return fail_value(w, text, "is not a truth value (try \"true\" or \"false\")");
}

static enum err parse_enum(const struct place *w, struct str text, int *out)
{
	struct str all = STR_NULL;

	for (int i = 0; w->key->choices[i]; i++) {
		if (str_eq_nocase(text, str_c(w->key->choices[i]))) {
			*out = i;
			return ERR_OK;
		}
		all = str_fmt(w->arena, "%.*s%s%s", STR_ARG(all), i ? ", " : "",
			      w->key->choices[i]);
	}
	return fail_value(w, text,
			  str_cstr(w->arena, str_fmt(w->arena, "is none of: %.*s", STR_ARG(all))));
}

static enum err parse_scalar(const struct place *w, struct str text, void *out)
{
	switch (w->key->type) {
	case CONF_STR:
	case CONF_SECRET:
		*(struct str *)out = text;
		return ERR_OK;
	case CONF_BOOL:
		return parse_bool(w, text, (bool *)out);
	case CONF_INT:
		return parse_int(w, text, (int64_t *)out);
	case CONF_DURATION:
		return parse_duration(w, text, (int64_t *)out);
	case CONF_SIZE:
		return parse_size(w, text, (int64_t *)out);
	case CONF_ENUM:
		return parse_enum(w, text, (int *)out);
	case CONF_STRS:
	case CONF_NODE:
		break;
	}
	return fail(w, "is not a single value");
}

/* -- lists ------------------------------------------------------------------ */

static size_t count_parts(struct str text)
{
	size_t n = 1;

	for (size_t i = 0; i < text.n; i++) {
		n += text.p[i] == ',';
	}
	return n;
}

static enum err split_strs(const struct place *w, struct str text, struct conf_strs *out)
{
	struct conf_strs all = {ARENA_NEW_ARRAY(w->arena, struct str, count_parts(text)), 0};
	struct str part;

	while (str_split(&text, ',', &part)) {
		part = str_trim(part);
		if (part.n > 0) {
			all.v[all.n++] = part;
		}
	}
	*out = all;
	return ERR_OK;
}

static enum err parse_strs(const struct place *w, struct conf_strs *out)
{
	struct conf_strs all = {NULL, 0};
	size_t n = 0;

	if (w->node->kind == CONF_NODE_SCALAR) {
		return split_strs(w, w->node->text, out);
	}
	if (w->node->kind == CONF_NODE_MAP) {
		return fail(w, "must be a list");
	}
	for (const struct conf_node *c = w->node->child; c; c = c->next) {
		n++;
	}
	all.v = ARENA_NEW_ARRAY(w->arena, struct str, n + 1);
	for (const struct conf_node *c = w->node->child; c; c = c->next) {
		if (c->kind != CONF_NODE_SCALAR) {
			return fail(w, "must be a list of plain values");
		}
		all.v[all.n++] = c->text;
	}
	*out = all;
	return ERR_OK;
}

/* -- values ----------------------------------------------------------------- */

static enum err parse_node(const struct place *w, void *out)
{
	if (w->key->type == CONF_NODE) {
		*(const struct conf_node **)out = w->node;
		return ERR_OK;
	}
	if (w->key->type == CONF_STRS) {
		return parse_strs(w, (struct conf_strs *)out);
	}
	if (w->node->kind != CONF_NODE_SCALAR) {
		return fail(w, "must be a single value");
	}
	return parse_scalar(w, w->node->text, out);
}

static enum err set_default(const struct place *at, void *out)
{
	struct place w = *at;

	memset(out, 0, conf_type_size(w.key->type));
	if (!w.key->dflt) {
		return ERR_OK;
	}
	struct conf_node *node = ARENA_NEW(w.arena, struct conf_node);

	node->key = str_c(w.key->name);
	node->text = str_c(w.key->dflt);
	node->source = STR("default");
	w.node = node;
	return parse_node(&w, out);
}

static enum err set_value(const struct place *w, void *out)
{
	if (!conf_is_null(w->node)) {
		return parse_node(w, out);
	}
	if (w->key->flags & CONF_REQUIRED) {
		return fail(w, "is required");
	}
	return set_default(w, out);
}

enum err conf_value(struct arena *a, const struct conf_key *key, const struct conf_node *node,
		    void *out, struct fault *f)
{
	const struct place w = {a, "", key, node, f};

	return set_value(&w, out);
}

size_t conf_type_size(enum conf_type type)
{
	switch (type) {
	case CONF_STR:
	case CONF_SECRET:
		return sizeof(struct str);
	case CONF_BOOL:
		return sizeof(bool);
	case CONF_INT:
	case CONF_DURATION:
	case CONF_SIZE:
		return sizeof(int64_t);
	case CONF_ENUM:
		return sizeof(int);
	case CONF_STRS:
		return sizeof(struct conf_strs);
	case CONF_NODE:
		return sizeof(const struct conf_node *);
	}
	assert_failed("known type", __FILE__, __LINE__);
}

/* -- sections --------------------------------------------------------------- */

/* Levenshtein distance, one row at a time; both at most KEY_LEN_MAX long. */
static size_t distance(struct str a, struct str b)
{
	size_t row[KEY_LEN_MAX + 1];

	for (size_t j = 0; j <= b.n; j++) {
		row[j] = j;
	}
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			bool same = ascii_lower(a.p[i - 1]) == ascii_lower(b.p[j - 1]);
			size_t change = diagonal + (same ? 0 : 1);

			diagonal = row[j];
			row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[b.n];
}

const char *conf_nearest(struct str key, const char *const *known, size_t n)
{
	const char *best = NULL;
	/* More than a third wrong is another word. */
	size_t best_distance = key.n / 3 + 2;

	if (key.n > KEY_LEN_MAX) {
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		struct str name = str_c(known[i]);

		if (name.n > 0 && name.n <= KEY_LEN_MAX) {
			size_t d = distance(key, name);

			if (d < best_distance) {
				best_distance = d;
				best = known[i];
			}
		}
	}
	return best;
}

static const struct conf_key *find_key(const struct conf_section *section, struct str name)
{
	for (size_t i = 0; i < section->n; i++) {
		if (str_eq(str_c(section->keys[i].name), name)) {
			return &section->keys[i];
		}
	}
	return NULL;
}

static enum err fail_unknown(struct arena *a, const struct conf_section *section,
			     const struct conf_node *node, struct fault *f)
{
	const char **known = ARENA_NEW_ARRAY(a, const char *, section->n + 1);
	struct str key = {node->key.p, MIN(node->key.n, (size_t)KEY_LEN_MAX)};

	for (size_t i = 0; i < section->n; i++) {
		known[i] = section->keys[i].name;
	}
	const char *near = conf_nearest(node->key, known, section->n);

	return conf_fault(f, node, "%s.%.*s: unknown key%s%s%s", section->name, STR_ARG(key),
			  near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

static enum err check_keys(struct arena *a, const struct conf_section *section,
			   const struct conf_node *map, struct fault *f)
{
	for (const struct conf_node *m = map->child; m; m = m->next) {
		if (!find_key(section, m->key)) {
			return fail_unknown(a, section, m, f);
		}
	}
	return ERR_OK;
}

enum err conf_apply(struct arena *a, const struct conf_section *section,
		    const struct conf_node *node, void *out, struct fault *f)
{
	if (!conf_is_null(node) && node->kind != CONF_NODE_MAP) {
		return conf_fault(f, node, "%s: must be a map of keys", section->name);
	}
	if (!conf_is_null(node) && *section->name) {
		TRY(check_keys(a, section, node, f));
	}
	for (size_t i = 0; i < section->n; i++) {
		const struct conf_key *key = &section->keys[i];
		const struct conf_node *value = conf_get(node, str_c(key->name));
		struct place w = {a, section->name, key, value ? value : node, f};
		char *to = (char *)out + key->offset;

		if (value) {
			TRY(set_value(&w, to));
		} else if (key->flags & CONF_REQUIRED) {
			return fail(&w, "is required");
		} else {
			TRY(set_default(&w, to));
		}
	}
	return ERR_OK;
}

/* -- tree ------------------------------------------------------------------- */

const struct conf_node *conf_get(const struct conf_node *map, struct str key)
{
	if (map && map->kind == CONF_NODE_MAP) {
		for (const struct conf_node *m = map->child; m; m = m->next) {
			if (str_eq(m->key, key)) {
				return m;
			}
		}
	}
	return NULL;
}

const struct conf_node *conf_get_nocase(const struct conf_node *map, struct str key)
{
	if (map && map->kind == CONF_NODE_MAP) {
		for (const struct conf_node *m = map->child; m; m = m->next) {
			if (str_eq_nocase(m->key, key)) {
				return m;
			}
		}
	}
	return NULL;
}

struct str conf_text(const struct conf_node *node)
{
	return node && node->kind == CONF_NODE_SCALAR ? node->text : STR_NULL;
}

struct str conf_dir(const struct conf_node *node)
{
	if (!node || node->line == 0 || str_find(node->source, STR("://")) >= 0) {
		return STR_NULL;
	}
	return str_slice(node->source, 0, (size_t)(str_rindex(node->source, '/') + 1));
}

bool conf_is_null(const struct conf_node *node)
{
	return !node || (node->kind == CONF_NODE_SCALAR && !node->text.p);
}
