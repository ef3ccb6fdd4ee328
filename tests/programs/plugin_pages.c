/*
 * The reference pages of docs/plugins, from the tables of the plugins.
 *
 * Usage: plugin_pages DIR [--check]. With --check nothing is written, and a page that
 * is not as it would be is an error; the unit tests do so.
 */
#include "base/buf.h"
#include "gateway/plugin.h"
#include "gateway/schema.h"

#include <stdio.h>
#include <stdlib.h>

#define NESTED_MAX 4

static const char *type_name(const struct schema_field *f)
{
	switch (f->type) {
	case SCHEMA_STRING:
		return f->flags & SCHEMA_REGEX ? "regex" : "text";
	case SCHEMA_INTEGER:
		return "whole number";
	case SCHEMA_NUMBER:
		return "number";
	case SCHEMA_BOOLEAN:
		return "true or false";
	case SCHEMA_ARRAY:
		return "list";
	case SCHEMA_SET:
		return "list, each once";
	case SCHEMA_MAP:
		return "map";
	case SCHEMA_RECORD:
		return "record";
	case SCHEMA_FOREIGN:
		return "reference";
	}
	return "";
}

/* '|' would end the cell. */
static void put_cell(struct buf *b, const char *text)
{
	for (; *text; text++) {
		if (*text == '|') {
			buf_putc(b, '\\');
		}
		buf_putc(b, *text);
	}
}

static void put_choices(struct buf *b, const char *const *names)
{
	for (size_t i = 0; names[i]; i++) {
		buf_printf(b, "%s`%s`", i ? ", " : "one of ", names[i]);
	}
}

static void put_type(struct buf *b, const struct schema_field *f)
{
	if (f->one_of) {
		put_choices(b, f->one_of);
	} else {
		put_cell(b, type_name(f));
	}
	if (f->elements && f->elements->one_of) {
		buf_puts(b, ": ");
		put_choices(b, f->elements->one_of);
	}
	if (f->has_range) {
		buf_printf(b, ", %.10g to %.10g", f->min, f->max);
	}
	if (f->has_gt) {
		buf_printf(b, ", over %.10g", f->gt);
	}
}

static void put_row(struct buf *b, const char *prefix, const struct schema_field *f)
{
	buf_printf(b, "| `%s%s` | ", prefix, f->name);
	put_type(b, f);
	if (f->dflt) {
		buf_puts(b, " | `");
		put_cell(b, f->dflt);
		buf_puts(b, "` | ");
	} else {
		buf_printf(b, " | %s | ", f->flags & SCHEMA_REQUIRED ? "required" : "");
	}
	put_cell(b, f->doc ? f->doc : "");
	if (f->flags & SCHEMA_REFERENCEABLE) {
		buf_puts(b, " May be `{vault://env/NAME}`.");
	}
	buf_puts(b, " |\n");
}

static void put_rows(struct buf *b, const char *prefix, const struct schema *s, int depth)
{
	for (size_t i = 0; i < s->n && depth < NESTED_MAX; i++) {
		const struct schema_field *f = &s->fields[i];

		if (f->type == SCHEMA_RECORD && f->record) {
			struct buf inner = {0};

			buf_printf(&inner, "%s%s.", prefix, f->name);
			buf_putc(&inner, '\0');
			put_rows(b, buf_str(&inner).p, f->record, depth + 1);
			buf_free(&inner);
		} else {
			put_row(b, prefix, f);
		}
	}
}

static void put_scopes(struct buf *b, const struct plugin *p)
{
	static const struct {
		unsigned refused;
		const char *name;
	} scopes[] = {{PLUGIN_NO_SERVICE, "a service"},
		      {PLUGIN_NO_ROUTE, "a route"},
		      {PLUGIN_NO_CONSUMER, "a consumer"}};

	buf_puts(b, "For all requests");
	for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
		if (!(p->scopes & scopes[i].refused)) {
			buf_printf(b, ", those of %s", scopes[i].name);
		}
	}
	buf_printf(b, ". Priority %d: plugins of higher priority run first.\n", p->priority);
}

static void put_page(struct buf *b, const struct plugin *p)
{
	buf_printf(b, "# %s\n\n%s\n\n%s\n", p->name, p->doc, p->example);
	buf_puts(b, "## Configuration\n\nFields of `config`.\n\n"
		    "| Field | Value | Default | |\n|---|---|---|---|\n");
	put_rows(b, "", p->config, 0);
	buf_putc(b, '\n');
	put_scopes(b, p);
}

static void put_index(struct buf *b)
{
	buf_puts(b,
		 "# Plugins of the gateway\n\nIn the order in which they run. How they are put "
		 "to use: [gateway](../gateway.md#plugins).\n\n| | | Priority |\n|---|---|---|\n");
	for (size_t i = 0; i < n_plugins; i++) {
		const struct plugin *p = plugins[i];

		buf_printf(b, "| [%s](%s.md) | %s | %d |\n", p->name, p->name, p->doc, p->priority);
	}
}

static bool write_page(const char *path, struct str text)
{
	FILE *f = fopen(path, "we");
	bool ok = f && fwrite(text.p, 1, text.n, f) == text.n;

	if (f && fclose(f) != 0) {
		ok = false;
	}
	if (!ok) {
		fprintf(stderr, "%s: cannot be written\n", path);
	}
	return ok;
}

static bool same_page(const char *path, struct str text)
{
	FILE *f = fopen(path, "re");
	struct buf now = {0};
	size_t n = 1;
	bool same;

	while (f && n > 0) {
		n = fread(buf_reserve(&now, 4096), 1, 4096, f);
		buf_commit(&now, n);
	}
	same = f && str_eq(buf_str(&now), text);
	if (f) {
		(void)fclose(f);
	}
	buf_free(&now);
	if (!same) {
		fprintf(stderr,
			"%s is not up to date: run build/tests/programs/plugin_pages "
			"docs/plugins\n",
			path);
	}
	return same;
}

/* Empties the page. */
static bool finish_page(const char *dir, const char *name, bool check, struct buf *page)
{
	char path[512];
	bool ok = snprintf(path, sizeof(path), "%s/%s.md", dir, name) < (int)sizeof(path);

	ok = ok && (check ? same_page : write_page)(path, buf_str(page));
	buf_clear(page);
	return ok;
}

int main(int argc, char **argv)
{
	bool check = argc == 3 && str_eq(str_c(argv[2]), STR("--check"));
	struct buf page = {0};
	bool ok;

	if (argc != 2 && !check) {
		fprintf(stderr, "Usage: plugin_pages DIR [--check]\n");
		return 2;
	}
	put_index(&page);
	ok = finish_page(argv[1], "README", check, &page);
	for (size_t i = 0; i < n_plugins; i++) {
		put_page(&page, plugins[i]);
		ok = finish_page(argv[1], plugins[i]->name, check, &page) && ok;
	}
	buf_free(&page);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
