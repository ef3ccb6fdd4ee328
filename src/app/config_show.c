/*
 * Values are shown as they were given, not as parsed: what an operator wrote is what
 * they look for. Text is quoted in JSON's way, which YAML reads.
 */
#include "app/config_int.h"

#include "base/clock.h"
#include "base/json.h"

static const struct str mask = STR_INIT("***");

/* -- show ------------------------------------------------------------------- */

static bool is_plain_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_./+-@", c));
}

/* What needs no quotes wherever it stands; null would come back as "not given". */
static bool is_plain(struct str s)
{
	if (s.n == 0 || s.p[0] == '-' || s.p[0] == '@' || str_eq_nocase(s, STR("null"))) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (!is_plain_char(s.p[i])) {
			return false;
		}
	}
	return true;
}

static void put_text(struct buf *out, struct str s)
{
	struct json_writer w = json_writer_to(out);

	if (!s.p) {
		buf_puts(out, "null");
	} else if (is_plain(s)) {
		buf_put(out, s);
	} else {
		json_put_str(&w, s);
	}
}

/* Inside of structured keys there is no table, only names. */
static bool is_secret_name(struct str name)
{
	static const struct str endings[] = {
		STR_INIT("secret"), STR_INIT("password"), STR_INIT("passwd"),	  STR_INIT("token"),
		STR_INIT("key"),    STR_INIT("key_alt"),  STR_INIT("credentials")};

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		struct str e = endings[i];

		if (name.n >= e.n && str_eq_nocase(str_skip(name, name.n - e.n), e)) {
			return true;
		}
	}
	return false;
}

/* postgres://user:password@host: all but the password. */
static void put_url_or_text(struct buf *out, struct str s)
{
	ptrdiff_t scheme = str_find(s, STR("://"));
	struct str rest = scheme < 0 ? STR_NULL : str_skip(s, (size_t)scheme + 3);
	ptrdiff_t slash = str_index(rest, '/');
	struct str authority = slash < 0 ? rest : str_slice(rest, 0, (size_t)slash);
	ptrdiff_t at = str_rindex(authority, '@');
	ptrdiff_t colon = at < 0 ? -1 : str_index(str_slice(authority, 0, (size_t)at), ':');

	if (colon < 0) {
		put_text(out, s);
		return;
	}
	struct buf shown = {0};

	buf_put(&shown, str_of(s.p, (size_t)(authority.p - s.p) + (size_t)colon + 1));
	buf_put(&shown, mask);
	buf_put(&shown, str_skip(s, (size_t)(authority.p - s.p) + (size_t)at));
	put_text(out, buf_str(&shown));
	buf_free(&shown);
}

static void put_flow(struct buf *out, const struct conf_node *node)
{
	bool is_map = node->kind == CONF_NODE_MAP;

	if (node->kind == CONF_NODE_SCALAR) {
		if (node->text.n > 0 && is_secret_name(node->key)) {
			put_text(out, mask);
		} else {
			put_url_or_text(out, node->text);
		}
		return;
	}
	buf_putc(out, is_map ? '{' : '[');
	for (const struct conf_node *c = node->child; c; c = c->next) {
		if (is_map) {
			put_text(out, c->key);
			buf_puts(out, ": ");
		}
		put_flow(out, c);
		if (c->next) {
			buf_puts(out, ", ");
		}
	}
	buf_putc(out, is_map ? '}' : ']');
}

static void put_value(struct buf *out, const struct conf_key *key, const struct conf_node *node)
{
	bool is_default = conf_is_null(node);
	struct str text = is_default ? str_c(key->dflt) : node->text;

	if (key->type == CONF_SECRET && text.n > 0) {
		put_text(out, mask);
	} else if (is_default || (node->kind == CONF_NODE_SCALAR && key->type != CONF_NODE)) {
		put_url_or_text(out, text);
	} else {
		put_flow(out, node);
	}
	if (is_default) {
		buf_puts(out, "  # default");
	} else if (node->line == 0) {
		buf_puts(out, "  # ");
		buf_put(out, node->source);
	}
	buf_putc(out, '\n');
}

static void show_section(struct buf *out, const struct conf_section *section,
			 const struct conf_node *node)
{
	if (*section->name) {
		buf_put(out, str_c(section->name));
		buf_puts(out, ":\n");
	}
	for (size_t i = 0; i < section->n; i++) {
		const struct conf_key *key = &section->keys[i];

		if (*section->name) {
			buf_puts(out, "  ");
		}
		buf_put(out, str_c(key->name));
		buf_puts(out, ": ");
		put_value(out, key, conf_get(node, str_c(key->name)));
	}
}

static bool has_required(const struct conf_section *section)
{
	for (size_t i = 0; i < section->n; i++) {
		if (section->keys[i].flags & CONF_REQUIRED) {
			return true;
		}
	}
	return false;
}

void config_show(const struct conf_node *root, struct config_tables tables, struct buf *out)
{
	for (size_t i = 0; i < tables.n; i++) {
		const struct conf_section *section = tables.v[i];
		struct str name = str_c(section->name);
		const struct conf_node *node = name.n ? conf_get(root, name) : root;

		if (node || !has_required(section)) {
			show_section(out, section, node);
		}
	}
}

/* -- reference -------------------------------------------------------------- */

static const char *type_name(enum conf_type type)
{
	switch (type) {
	case CONF_STR:
		return "text";
	case CONF_SECRET:
		return "secret";
	case CONF_BOOL:
		return "true or false";
	case CONF_INT:
		return "whole number";
	case CONF_DURATION:
		return "duration";
	case CONF_SIZE:
		return "size";
	case CONF_ENUM:
		return "one of";
	case CONF_STRS:
		return "list";
	case CONF_NODE:
		return "structure";
	}
	return "";
}

static void put_number(struct buf *out, enum conf_type type, int64_t v)
{
	struct arena a;

	arena_init(&a, 0);
	if (type == CONF_DURATION) {
		buf_put(out, duration_format(&a, v));
	} else if (type == CONF_SIZE) {
		buf_put(out, size_format(&a, v));
	} else {
		buf_printf(out, "%lld", (long long)v);
	}
	arena_fini(&a);
}

static void put_allowed(struct buf *out, const struct conf_key *key)
{
	buf_put(out, str_c(type_name(key->type)));
	for (size_t i = 0; key->type == CONF_ENUM && key->choices[i]; i++) {
		buf_printf(out, "%s`%s`", i ? ", " : " ", key->choices[i]);
	}
	if (key->max > 0) {
		buf_puts(out, ", ");
		put_number(out, key->type, key->min);
		buf_puts(out, " to ");
		put_number(out, key->type, key->max);
	} else if (key->min > 0) {
		buf_puts(out, ", at least ");
		put_number(out, key->type, key->min);
	}
}

/* A bar would end the table cell. */
static void put_cell(struct buf *out, const char *text)
{
	for (; text && *text; text++) {
		if (*text == '|') {
			buf_putc(out, '\\');
		}
		buf_putc(out, *text);
	}
}

static void put_row(struct buf *out, const struct conf_key *key)
{
	buf_printf(out, "| `%s` | ", key->name);
	put_allowed(out, key);
	buf_puts(out, " | ");
	if (key->flags & CONF_REQUIRED) {
		buf_puts(out, "required");
	} else if (key->dflt) {
		buf_putc(out, '`');
		put_cell(out, *key->dflt ? key->dflt : "\"\"");
		buf_putc(out, '`');
	}
	buf_put(out, key->flags & CONF_RELOAD ? STR(" | yes | ") : STR(" | | "));
	put_cell(out, key->doc);
	buf_puts(out, " |\n");
}

void config_reference(struct config_tables tables, struct buf *out)
{
	buf_puts(out, "# Configuration reference\n");
	for (size_t i = 0; i < tables.n; i++) {
		const struct conf_section *section = tables.v[i];

		buf_printf(out, "\n## %s\n\n", *section->name ? section->name : "Top level");
		if (section->doc && *section->doc) {
			buf_printf(out, "%s\n\n", section->doc);
		}
		buf_puts(out, "| Key | Value | Default | Reload | Meaning |\n"
			      "|---|---|---|---|---|\n");
		for (size_t k = 0; k < section->n; k++) {
			put_row(out, &section->keys[k]);
		}
	}
}
