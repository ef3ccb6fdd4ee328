/*
 * cli - what commands share: the configured database, and output for people or programs
 *
 * Life       cli_run does all of it: cli_open, then c->db with a task open, then cli_close on every
 *            path.
 * Ownership  strings and rows live in c->arena.
 * Failure    c->fault; cli_failed prints it and gives the exit code.
 */
#pragma once
#include "app/command.h"
#include "app/settings.h"
#include "base/json.h"
#include "store/store.h"

/* First member of every command's options. */
struct cli_options {
	struct str config, data;
	bool json;
	const struct str *roles; /* as of struct settings_source */
	size_t n_roles;
};

#define CLI_OPTIONS                                                                                \
	{"config", "FILE|URL", "configuration that names the database",                            \
	 offsetof(struct cli_options, config), false},                                             \
		{"data", "DIR", "data directory, where the default database is",                   \
		 offsetof(struct cli_options, data), false},                                       \
	{                                                                                          \
		"json", NULL, "print JSON", offsetof(struct cli_options, json), false              \
	}

struct cli {
	bool json; /* wanted */
	struct settings *settings;
	struct db_pool *pool;
	struct db *db;
	struct arena arena;
	struct fault fault;
};

/*
 * Loads the settings and opens the database, whose schema is brought up to date if the
 * settings allow that. Call cli_close also when it failed.
 */
enum err cli_open(struct cli *c, const struct cli_options *o) MUST_USE;
/* Only the settings. */
enum err cli_open_settings(struct cli *c, const struct cli_options *o) MUST_USE;
void cli_close(struct cli *c);
/* Prints the fault, closes, and returns the exit code. */
int cli_failed(struct cli *c, enum err e);
/* The `run` of commands whose `work` needs the database open, and prints what came of it. */
int cli_run(const struct command *cmd, void *options, struct str *args, size_t n_args);

/* ---- output ---- */

/* Text from outside without what could drive a terminal. */
struct str cli_printable(struct arena *a, struct str s);
/* One JSON value and a line feed. */
void cli_print_json(const struct buf *b);
void cli_print_object(const struct json_shape *shape, const void *obj);
/* Array of `n` objects of `size` bytes. */
void cli_print_objects(const struct json_shape *shape, const void *rows, size_t n, size_t size);
/* "2026-11-20 22:31:03" UTC; empty when not set. */
struct str cli_time(struct arena *a, struct opt_i64 wall_ms);

#define CLI_COLUMNS_MAX 12

/* Columns as wide as their longest cell. */
struct cli_table {
	struct arena *arena;
	const char *const *heads;
	size_t n_columns;
	struct cli_line *first, **last;
};

/* `heads` NULL: none are printed. */
void cli_table_init(struct cli_table *t, struct arena *a, const char *const *heads, size_t n);
/* One cell for each column; borrowed until the print. */
void cli_table_add(struct cli_table *t, const struct str *cells);
/* Heads are left out when there are no lines: `none` is printed instead. */
void cli_table_print(const struct cli_table *t, const char *none);
/* Names and values. */
void cli_print_pairs(struct arena *a, const struct str (*pairs)[2], size_t n);

/* How rows of one kind are shown. */
struct cli_listing {
	const struct json_shape *shape;
	size_t size; /* of a row */
	const char *const *heads;
	size_t n_columns;
	void (*cells)(struct arena *a, const void *row, struct str *out); /* one for each head */
	const char *none; /* what is said when there are no rows */
};

/* As JSON or as a table. */
void cli_print_rows(struct cli *c, const struct cli_listing *l, const struct db_rows *rows);
