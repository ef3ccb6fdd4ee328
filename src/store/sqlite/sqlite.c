#include "store/sqlite/sqlite_int.h"

#include "base/mem.h"

/* ---- failures ---- */

static enum err constraint_failed(struct db *db, const struct stmt *st, int rc, const char *text)
{
	bool is_clash = rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ||
			rc == SQLITE_CONSTRAINT_ROWID || rc == SQLITE_CONSTRAINT_FOREIGNKEY;

	return db_fail(db, is_clash ? ERR_CONFLICT : ERR_INVALID, st, text);
}

static enum err busy(struct db *db, const struct stmt *st, int rc)
{
	enum err stop = db_should_stop(db);

	if (stop != ERR_OK) {
		return db_fail(db, stop, st, "gave up waiting for another process");
	}
	if (rc == SQLITE_BUSY_SNAPSHOT) {
		db->transient = true;
		return db_fail(db, ERR_CONFLICT, st, "a concurrent change won");
	}
	return db_fail(db, ERR_UNAVAILABLE, st, "the file is locked by another process");
}

static enum err interrupted(struct db *db, const struct stmt *st)
{
	enum err stop = db_should_stop(db);

	return db_fail(db, stop == ERR_OK ? ERR_TIMEOUT : stop, st,
		       stop == ERR_CANCELED ? "canceled" : "out of time");
}

/* The connection may be in any state: the next call gets a new one. */
static enum err broken(struct db *db, const struct stmt *st, enum err e, const char *text)
{
	db_fail(db, e, st, text);
	if (db->conn && db->tx == TX_NONE) {
		sqlite_disconnect(db);
	}
	return e;
}

enum err sqlite_failed(struct db *db, const struct stmt *st, int rc)
{
	struct sqlite_conn *c = db->conn;
	const char *text = c && c->h ? sqlite3_errmsg(c->h) : "out of memory";

	switch (rc & 0xff) {
	case SQLITE_CONSTRAINT:
		return constraint_failed(db, st, rc, text);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return busy(db, st, rc);
	case SQLITE_INTERRUPT:
		return interrupted(db, st);
	case SQLITE_FULL:
		return db_fail(db, ERR_UNAVAILABLE, st, "the disk is full");
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_NOMEM:
		return broken(db, st, ERR_UNAVAILABLE, text);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return broken(db, st, ERR_INTERNAL, text);
	case SQLITE_TOOBIG:
		return db_fail(db, ERR_LIMIT, st, text);
	default:
		return db_fail(db, ERR_INTERNAL, st, text);
	}
}

/* ---- statements ---- */

/* "$12" to 11; -1 when it is anything else or out of range. */
static int arg_index(const char *name, size_t n_args)
{
	uint64_t n = 0;

	if (!name || name[0] != '$' || !str_to_u64(str_c(name + 1), &n)) {
		return -1;
	}
	return n >= 1 && n <= n_args ? (int)n - 1 : -1;
}

static enum err map_params(struct db *db, struct sqlite_prepared *p)
{
	size_t n_args = strlen(stmt_params(p->base.st));

	p->n_params = sqlite3_bind_parameter_count(p->h);
	p->arg_of = mem_zalloc((size_t)p->n_params + 1);
	for (int i = 0; i < p->n_params; i++) {
		int arg = arg_index(sqlite3_bind_parameter_name(p->h, i + 1), n_args);

		if (arg < 0) {
			return db_fail(db, ERR_INTERNAL, p->base.st,
				       "a placeholder has no argument");
		}
		p->arg_of[i] = (uint8_t)arg;
	}
	return ERR_OK;
}

static enum err prepare_into(struct db *db, const struct stmt *st, struct sqlite_prepared *p)
{
	struct sqlite_conn *c = db->conn;
	const char *sql = stmt_sql(st, &sqlite_engine);
	const char *tail = "";

	ASSERT(sql);
	int rc = sqlite3_prepare_v3(c->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &p->h, &tail);
	if (rc != SQLITE_OK) {
		return sqlite_failed(db, st, rc);
	}
	if (!p->h || str_trim(str_c(tail)).n) {
		return db_fail(db, ERR_INTERNAL, st, "expected one statement");
	}
	if ((size_t)sqlite3_column_count(p->h) != strlen(stmt_cols(st))) {
		return db_fail(db, ERR_INTERNAL, st, "columns differ from the declaration");
	}
	p->read_only = sqlite3_stmt_readonly(p->h) != 0;
	return map_params(db, p);
}

static enum err prepared(struct db *db, const struct stmt *st, struct sqlite_prepared **out)
{
	struct sqlite_conn *c = db->conn;
	struct sqlite_prepared *p = map_get(&c->stmts, db_prepared_key(&st));

	if (p) {
		*out = p;
		return ERR_OK;
	}
	p = MEM_NEW(struct sqlite_prepared);
	p->base.st = st;
	enum err e = prepare_into(db, st, p);
	if (e != ERR_OK) {
		sqlite3_finalize(p->h);
		mem_free(p->arg_of);
		mem_free(p);
		return e;
	}
	map_set(&c->stmts, db_prepared_key(&p->base.st), p);
	*out = p;
	return ERR_OK;
}

static int bind_arg(sqlite3_stmt *h, int i, const struct db_arg *arg)
{
	switch (arg->type) {
	case 0:
		return sqlite3_bind_null(h, i);
	case 't':
		return sqlite3_bind_text64(h, i, arg->s.p, arg->s.n, SQLITE_STATIC, SQLITE_UTF8);
	case 'x':
		return sqlite3_bind_blob64(h, i, arg->s.p, arg->s.n, SQLITE_STATIC);
	case 'b':
		return sqlite3_bind_int64(h, i, arg->b);
	case 'u':
		return sqlite3_bind_blob64(h, i, arg->u.b, sizeof(arg->u.b), SQLITE_STATIC);
	default:
		return sqlite3_bind_int64(h, i, arg->i);
	}
}

static enum err bind_all(struct db *db, const struct sqlite_prepared *p, struct db_args args)
{
	for (int i = 0; i < p->n_params; i++) {
		int rc = bind_arg(p->h, i + 1, &args.v[p->arg_of[i]]);

		if (rc != SQLITE_OK) {
			return sqlite_failed(db, p->base.st, rc);
		}
	}
	return ERR_OK;
}

static enum err step_all(struct db *db, const struct sqlite_prepared *p, struct db_sink *sink)
{
	struct db_cursor cur = {.db = db, .st = p->base.st, .raw = p->h};
	int rc = SQLITE_ROW;

	while (sink->err == ERR_OK && (rc = sqlite3_step(p->h)) == SQLITE_ROW) {
		sink->err = sink->on_row(&cur, sink->ctx);
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
		/* reset first: a failed statement must not outlive its connection's closing */
		sqlite3_reset(p->h);
		return sqlite_failed(db, p->base.st, rc);
	}
	return ERR_OK;
}

/* Clears what step_all left, unless a broken connection took the statement with it. */
static enum err run_bound(struct db *db, struct sqlite_prepared *p, struct db_args args,
			  struct db_sink *sink)
{
	struct sqlite_conn *c = db->conn;
	int64_t before = sqlite3_total_changes64(c->h);

	enum err e = bind_all(db, p, args);
	e = e == ERR_OK ? step_all(db, p, sink) : e;
	if (!db->conn) {
		return e;
	}
	bool touched = sqlite3_total_changes64(c->h) != before;
	db->changed = touched ? sqlite3_changes64(c->h) : 0;
	int rc = sqlite3_reset(p->h);
	sqlite3_clear_bindings(p->h);
	return e == ERR_OK && rc != SQLITE_OK ? sqlite_failed(db, p->base.st, rc) : e;
}

static enum err sqlite_run(struct db *db, const struct stmt *st, struct db_args args,
			   struct db_sink *sink)
{
	struct sqlite_prepared *p;

	TRY(prepared(db, st, &p));
	if (p->read_only || db->tx == TX_WRITE || db->tx == TX_MIGRATE) {
		return run_bound(db, p, args, sink);
	}
	if (db->tx == TX_READ) {
		return db_fail(db, ERR_INTERNAL, st, "writes in a transaction for reading");
	}
	TRY(sqlite_turn_begin(db));
	enum err e = run_bound(db, p, args, sink);
	if (db->conn) {
		sqlite_turn_end(db);
	}
	return e;
}

static enum err sqlite_check(struct db *db, const struct stmt *st)
{
	struct sqlite_prepared *p;

	return prepared(db, st, &p);
}

static enum err sqlite_script(struct db *db, const char *sql)
{
	struct sqlite_conn *c = db->conn;
	int rc = sqlite3_exec(c->h, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? ERR_OK : sqlite_failed(db, NULL, rc);
}

/* ---- values ---- */

static enum err wrong_type(const struct db_cursor *cur, size_t col)
{
	return fault_set(cur->db->task.fault, ERR_INTERNAL,
			 "database: %s: column %zu is not of the declared type", cur->st->name,
			 col + 1);
}

static enum err sqlite_value(const struct db_cursor *cur, size_t col, char type,
			     struct db_value *out)
{
	sqlite3_stmt *h = cur->raw;
	int i = (int)col;
	int has = sqlite3_column_type(h, i);
	int want = type == 't'			? SQLITE_TEXT
		   : type == 'x' || type == 'u' ? SQLITE_BLOB
						: SQLITE_INTEGER;

	out->null = has == SQLITE_NULL;
	if (out->null) {
		return ERR_OK;
	}
	if (has != want) {
		return wrong_type(cur, col);
	}
	if (want == SQLITE_INTEGER) {
		out->i = sqlite3_column_int64(h, i);
		return ERR_OK;
	}
	const void *p =
		type == 't' ? (const void *)sqlite3_column_text(h, i) : sqlite3_column_blob(h, i);
	out->s = str_of(p ? p : "", (size_t)sqlite3_column_bytes(h, i));
	if (type == 'u') {
		if (out->s.n != sizeof(out->u.b)) {
			return wrong_type(cur, col);
		}
		memcpy(out->u.b, out->s.p, sizeof(out->u.b));
	}
	return ERR_OK;
}

/* ---- transactions ---- */

enum err sqlite_step_once(struct db *db, sqlite3_stmt *h)
{
	int rc = sqlite3_step(h);

	sqlite3_reset(h);
	return rc == SQLITE_DONE ? ERR_OK : sqlite_failed(db, NULL, rc);
}

static enum err sqlite_begin(struct db *db, enum tx_kind kind)
{
	struct sqlite_conn *c = db->conn;

	if (kind == TX_READ) {
		return sqlite_step_once(db, c->begin);
	}
	TRY(sqlite_turn_begin(db));
	enum err e = sqlite_step_once(db, c->begin_write);
	if (e != ERR_OK && db->conn) {
		sqlite_turn_end(db);
	}
	return e;
}

static enum err sqlite_commit(struct db *db)
{
	struct sqlite_conn *c = db->conn;

	TRY(sqlite_step_once(db, c->commit));
	sqlite_turn_end(db);
	return ERR_OK;
}

static void sqlite_rollback(struct db *db)
{
	struct sqlite_conn *c = db->conn;
	struct fault *f = db->task.fault;

	if (!c) {
		return;
	}
	db->task.fault = NULL;
	/* Full disk and the like end the transaction by themselves. */
	bool is_over = sqlite3_get_autocommit(c->h) != 0;
	if (!is_over && sqlite_step_once(db, c->rollback) != ERR_OK) {
		sqlite_disconnect(db);
	} else {
		sqlite_turn_end(db);
	}
	db->task.fault = f;
}

const struct db_engine sqlite_engine = {
	.name = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.connect = sqlite_connect,
	.disconnect = sqlite_disconnect,
	.is_alive = sqlite_is_alive,
	.run = sqlite_run,
	.value = sqlite_value,
	.check = sqlite_check,
	.script = sqlite_script,
	.begin = sqlite_begin,
	.commit = sqlite_commit,
	.rollback = sqlite_rollback,
	.watch_start = sqlite_watch_start,
	.watch_stop = sqlite_watch_stop,
	.watch_is_quiet = sqlite_watch_is_quiet,
};
