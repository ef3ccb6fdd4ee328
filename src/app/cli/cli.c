#include "app/cli/cli.h"

#include "app/roles.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"

#include <stdio.h>

#define SESSION_WAIT_MS 10000
#define TIMEOUT_MS 60000

/* ---- the database ---- */

enum err cli_open_settings(struct cli *c, const struct cli_options *o)
{
	struct settings_source source = {
		.config = o->config, .data = o->data, .roles = o->roles, .n_roles = o->n_roles};

	*c = (struct cli){.json = o->json};
	arena_init(&c->arena, 0);
	log_set_level(LOG_WARN);
	return settings_load(&source, &c->settings, &c->fault);
}

enum err cli_open(struct cli *c, const struct cli_options *o)
{
	struct db_config config = {.size = 2};

	TRY(cli_open_settings(c, o));
	TRY(settings_database_url(c->settings, &c->arena, &config.url, &c->fault));
	TRY(db_pool_open(&config, &c->pool, &c->fault));
	if (c->settings->top.database_migrate) {
		TRY(roles_migrate(c->pool, &c->fault));
	}
	TRY(db_get(c->pool, SESSION_WAIT_MS, &c->db, &c->fault));
	db_begin_task(c->db, &(struct db_task){.arena = &c->arena,
					       .deadline_mono_ms = clock_mono_ms() + TIMEOUT_MS,
					       .fault = &c->fault});
	return ERR_OK;
}

void cli_close(struct cli *c)
{
	db_put(&c->db);
	db_pool_close(&c->pool);
	settings_unref(&c->settings);
	arena_fini(&c->arena);
}

int cli_failed(struct cli *c, enum err e)
{
	if (c->fault.code == ERR_OK) {
		c->fault.code = e;
	}
	int status = command_fault(&c->fault);

	status = c->settings ? status : EXIT_USAGE; /* the configuration could not be had */
	cli_close(c);
	return status;
}

int cli_run(const struct command *cmd, void *options, struct str *args, size_t n_args)
{
	struct cli c;
	enum err e = cli_open(&c, options);

	(void)n_args;
	if (e == ERR_OK) {
		e = cmd->work(&c, options, args);
	}
	if (e != ERR_OK) {
		return cli_failed(&c, e);
	}
	cli_close(&c);
	return EXIT_DONE;
}

/* ---- output ---- */

/* Controls, also C1 in UTF-8 (0xc2 0x80 to 0x9f), and what is no UTF-8. */
static bool is_safe(struct str s, size_t step)
{
	unsigned char c = (unsigned char)s.p[0];

	return step > 0 && c >= 0x20 && c != 0x7f &&
	       !(step == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0);
}

struct str cli_printable(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t n = 0;

	while (s.n > 0) {
		size_t step = utf8_next(s);

		if (is_safe(s, step)) {
			memcpy(p + n, s.p, step);
			n += step;
		} else {
			p[n++] = '?';
		}
		s = str_skip(s, step > 0 ? step : 1);
	}
	return str_of(p, n);
}

void cli_print_json(const struct buf *b)
{
	printf("%.*s\n", STR_ARG(buf_str(b)));
}

void cli_print_object(const struct json_shape *shape, const void *obj)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	json_encode(shape, obj, &w);
	cli_print_json(&b);
	buf_free(&b);
}

void cli_print_objects(const struct json_shape *shape, const void *rows, size_t n, size_t size)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	json_begin_array(&w);
	for (size_t i = 0; i < n; i++) {
		json_encode(shape, (const char *)rows + i * size, &w);
	}
	json_end_array(&w);
	cli_print_json(&b);
	buf_free(&b);
}

struct str cli_time(struct arena *a, struct opt_i64 wall_ms)
{
	char text[CLOCK_ISO_LEN + 1];

	if (!wall_ms.has) {
		return STR("");
	}
	clock_iso(wall_ms.v, text);
	return str_fmt(a, "%.10s %.8s", text, text + 11);
}

/* ---- tables ---- */

struct cli_line {
	struct cli_line *next;
	struct str cells[CLI_COLUMNS_MAX];
};

void cli_table_init(struct cli_table *t, struct arena *a, const char *const *heads, size_t n)
{
	ASSERT(n <= CLI_COLUMNS_MAX);
	*t = (struct cli_table){.arena = a, .heads = heads, .n_columns = n};
	t->last = &t->first;
}

void cli_table_add(struct cli_table *t, const struct str *cells)
{
	struct cli_line *line = ARENA_NEW(t->arena, struct cli_line);

	for (size_t i = 0; i < t->n_columns; i++) {
		line->cells[i] = cli_printable(t->arena, cells[i]);
	}
	*t->last = line;
	t->last = &line->next;
}

static size_t width_of(struct str s)
{
	size_t n = 0, step;

	for (; (step = utf8_next(s)) > 0; s = str_skip(s, step)) {
		n++;
	}
	return n;
}

static void print_cells(const struct cli_table *t, const struct str *cells, const size_t *widths)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		bool is_last = i + 1 == t->n_columns;
		size_t pad = is_last ? 0 : widths[i] - width_of(cells[i]) + 2;

		printf("%.*s%*s", STR_ARG(cells[i]), (int)pad, "");
	}
	printf("\n");
}

void cli_table_print(const struct cli_table *t, const char *none)
{
	struct str heads[CLI_COLUMNS_MAX];
	size_t widths[CLI_COLUMNS_MAX];

	if (!t->first) {
		printf("%s\n", none);
		return;
	}
	for (size_t i = 0; i < t->n_columns; i++) {
		heads[i] = t->heads ? str_c(t->heads[i]) : STR_NULL;
		widths[i] = width_of(heads[i]);
		for (const struct cli_line *l = t->first; l; l = l->next) {
			widths[i] = MAX(widths[i], width_of(l->cells[i]));
		}
	}
	if (t->heads) {
		print_cells(t, heads, widths);
	}
	for (const struct cli_line *l = t->first; l; l = l->next) {
		print_cells(t, l->cells, widths);
	}
}

void cli_print_pairs(struct arena *a, const struct str (*pairs)[2], size_t n)
{
	struct cli_table t;

	cli_table_init(&t, a, NULL, 2);
	for (size_t i = 0; i < n; i++) {
		cli_table_add(&t, pairs[i]);
	}
	cli_table_print(&t, "");
}

void cli_print_rows(struct cli *c, const struct cli_listing *l, const struct db_rows *rows)
{
	struct str cells[CLI_COLUMNS_MAX];
	struct cli_table t;

	if (c->json) {
		cli_print_objects(l->shape, rows->v, rows->n, l->size);
		return;
	}
	cli_table_init(&t, &c->arena, l->heads, l->n_columns);
	for (size_t i = 0; i < rows->n; i++) {
		l->cells(&c->arena, (const char *)rows->v + i * l->size, cells);
		cli_table_add(&t, cells);
	}
	cli_table_print(&t, l->none);
}
