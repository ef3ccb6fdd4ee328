/*
 * rows - from the columns of an engine to the caller's structs
 */
#include "store/store_int.h"

/* With `a` NULL strings stay where the engine has them. */
static struct str keep(struct arena *a, struct str s)
{
	if (!a) {
		return s;
	}
	return s.n ? str_dup(a, s) : STR("");
}

static enum err null_column(const struct db_cursor *cur, const struct db_col *col)
{
	return fault_set(cur->db->task.fault, ERR_INTERNAL, "database: %s: column %s is null",
			 cur->st->name, col->name);
}

static void set_nullable(const struct db_col *col, const struct db_value *v, struct arena *a,
			 void *field)
{
	switch (col->type) {
	case 'T':
	case 'X':
		*(struct str *)field = v->null ? STR_NULL : keep(a, v->s);
		break;
	case 'I':
	case 'M':
		*(struct opt_i64 *)field = (struct opt_i64){!v->null, v->null ? 0 : v->i};
		break;
	case 'B':
		*(struct opt_bool *)field = (struct opt_bool){!v->null, !v->null && v->i};
		break;
	default:
		*(struct opt_guid *)field = (struct opt_guid){.has = !v->null};
		if (!v->null) {
			((struct opt_guid *)field)->v = v->u;
		}
	}
}

static void set_plain(const struct db_col *col, const struct db_value *v, struct arena *a,
		      void *field)
{
	switch (col->type) {
	case 't':
	case 'x':
		*(struct str *)field = keep(a, v->s);
		break;
	case 'i':
	case 'm':
		*(int64_t *)field = v->i;
		break;
	case 'b':
		*(bool *)field = v->i != 0;
		break;
	default:
		*(struct guid *)field = v->u;
	}
}

static enum err read_row(const struct db_cursor *cur, const struct db_shape *shape, struct arena *a,
			 void *row)
{
	for (size_t i = 0; i < shape->n; i++) {
		const struct db_col *col = &shape->cols[i];
		void *field = (char *)row + col->offset;
		bool nullable = ascii_lower(col->type) != col->type;
		struct db_value v = {0};

		TRY(cur->db->pool->engine->value(cur, i, ascii_lower(col->type), &v));
		if (nullable) {
			set_nullable(col, &v, a, field);
		} else if (v.null) {
			return null_column(cur, col);
		} else {
			set_plain(col, &v, a, field);
		}
	}
	return ERR_OK;
}

static void check_shape(const struct stmt *st, const struct db_shape *shape)
{
	const char *cols = stmt_cols(st);

	ASSERT(strlen(cols) == shape->n);
	for (size_t i = 0; i < shape->n; i++) {
		ASSERT(cols[i] == shape->cols[i].type);
	}
}

/* ---- exec ---- */

static enum err ignore_row(const struct db_cursor *cur UNUSED, void *ctx UNUSED)
{
	return ERR_OK;
}

enum err db_exec(struct db *db, const struct stmt *st, struct db_args args)
{
	struct db_sink sink = {.on_row = ignore_row};

	return db_run(db, st, args, &sink);
}

enum err db_exec_one(struct db *db, const struct stmt *st, struct db_args args)
{
	TRY(db_exec(db, st, args));
	if (db->changed == 0) {
		return db_fail(db, ERR_NOT_FOUND, st, "no such row");
	}
	return ERR_OK;
}

/* ---- one ---- */

struct one {
	const struct db_shape *shape;
	struct arena *arena;
	void *row;
	bool found;
};

static enum err on_one(const struct db_cursor *cur, void *ctx)
{
	struct one *one = ctx;

	if (one->found) {
		return ERR_OK;
	}
	one->found = true;
	return read_row(cur, one->shape, one->arena, one->row);
}

enum err db_one(struct db *db, const struct stmt *st, struct db_args args,
		const struct db_shape *shape, void *out)
{
	struct arena *a = db->task.arena;

	ASSERT(a);
	check_shape(st, shape);
	struct one one = {.shape = shape, .arena = a, .row = arena_zalloc(a, shape->size)};
	struct db_sink sink = {.on_row = on_one, .ctx = &one};
	TRY(db_run(db, st, args, &sink));
	if (!one.found) {
		return fault_set(db->task.fault, ERR_NOT_FOUND, "%s not found", shape->what);
	}
	memcpy(out, one.row, shape->size);
	return ERR_OK;
}

enum err db_int(struct db *db, const struct stmt *st, struct db_args args, int64_t *out)
{
	static const struct db_col col = {"value", 'i', 0};
	static const struct db_shape shape = {"value", &col, 1, sizeof(int64_t)};
	int64_t v = 0;

	check_shape(st, &shape);
	struct one one = {.shape = &shape, .row = &v};
	struct db_sink sink = {.on_row = on_one, .ctx = &one};
	TRY(db_run(db, st, args, &sink));
	if (!one.found) {
		return db_fail(db, ERR_NOT_FOUND, st, "no row");
	}
	*out = v;
	return ERR_OK;
}

/* ---- all ---- */

struct all {
	const struct db_shape *shape;
	struct arena *arena;
	char *rows;
	size_t n, cap, max;
};

static void *next_row(struct all *all)
{
	if (all->n == all->cap) {
		size_t cap = all->cap ? all->cap * 2 : MIN((size_t)16, all->max);
		char *rows = arena_zalloc(all->arena, cap * all->shape->size);

		if (all->n) {
			memcpy(rows, all->rows, all->n * all->shape->size);
		}
		all->rows = rows;
		all->cap = cap;
	}
	return all->rows + all->n * all->shape->size;
}

static enum err on_all(const struct db_cursor *cur, void *ctx)
{
	struct all *all = ctx;

	if (all->n == all->max) {
		return fault_set(cur->db->task.fault, ERR_LIMIT, "database: %s: more than %zu rows",
				 cur->st->name, all->max);
	}
	TRY(read_row(cur, all->shape, all->arena, next_row(all)));
	all->n++;
	return ERR_OK;
}

enum err db_all(struct db *db, const struct stmt *st, struct db_args args,
		const struct db_shape *shape, size_t max, struct db_rows *out)
{
	ASSERT(db->task.arena);
	check_shape(st, shape);
	struct all all = {.shape = shape, .arena = db->task.arena, .max = max};
	struct db_sink sink = {.on_row = on_all, .ctx = &all, .stream = true};
	TRY(db_run(db, st, args, &sink));
	*out = (struct db_rows){all.rows, all.n};
	return ERR_OK;
}

/* ---- each ---- */

struct each {
	const struct db_shape *shape;
	db_row_fn *on_row;
	void *ctx;
	void *row;
};

static enum err on_each(const struct db_cursor *cur, void *ctx)
{
	struct each *each = ctx;
	struct db *db = cur->db;

	memset(each->row, 0, each->shape->size);
	TRY(read_row(cur, each->shape, NULL, each->row));
	db->in_rows = true;
	enum err e = each->on_row(each->row, each->ctx);
	db->in_rows = false;
	return e;
}

enum err db_each(struct db *db, const struct stmt *st, struct db_args args,
		 const struct db_shape *shape, db_row_fn *on_row, void *ctx)
{
	ASSERT(db->task.arena);
	check_shape(st, shape);
	struct each each = {.shape = shape, .on_row = on_row, .ctx = ctx};
	each.row = arena_alloc(db->task.arena, shape->size);
	struct db_sink sink = {.on_row = on_each, .ctx = &each, .stream = true};
	return db_run(db, st, args, &sink);
}
