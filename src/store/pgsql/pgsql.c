#include "store/pgsql/pgsql_int.h"

#include "base/mem.h"

#include <endian.h>
#include <stdio.h>

/* Between 1970-01-01 and 2000-01-01, where PostgreSQL's time begins. */
#define EPOCH_GAP_MS 946684800000LL

/* ---- parameters ---- */

struct params {
	int n;
	Oid types[PGSQL_PARAMS_MAX];
	const char *values[PGSQL_PARAMS_MAX];
	int lengths[PGSQL_PARAMS_MAX];
	int formats[PGSQL_PARAMS_MAX];
	uint64_t words[PGSQL_PARAMS_MAX]; /* big-endian numbers */
	char bools[PGSQL_PARAMS_MAX];
};

static Oid type_oid(char type)
{
	switch (ascii_lower(type)) {
	case 't':
		return OID_TEXT;
	case 'i':
		return OID_INT8;
	case 'b':
		return OID_BOOL;
	case 'm':
		return OID_TIMESTAMPTZ;
	case 'u':
		return OID_UUID;
	default:
		return OID_BYTEA;
	}
}

static size_t param_types(const struct stmt *st, Oid out[PGSQL_PARAMS_MAX])
{
	const char *params = stmt_params(st);
	size_t n = strlen(params);

	ASSERT(n <= PGSQL_PARAMS_MAX);
	for (size_t i = 0; i < n; i++) {
		out[i] = type_oid(params[i]);
	}
	return n;
}

static void set_word(struct params *p, int i, int64_t v)
{
	p->words[i] = htobe64((uint64_t)v);
	p->values[i] = (const char *)&p->words[i];
	p->lengths[i] = sizeof(p->words[i]);
}

static bool set_str(struct params *p, int i, struct str s)
{
	if (s.n > INT32_MAX) {
		return false;
	}
	p->values[i] = s.p;
	p->lengths[i] = (int)s.n;
	return true;
}

static bool set_time(struct params *p, int i, int64_t wall_ms)
{
	int64_t us;

	if (__builtin_sub_overflow(wall_ms, EPOCH_GAP_MS, &us) ||
	    __builtin_mul_overflow(us, (int64_t)1000, &us)) {
		return false;
	}
	set_word(p, i, us);
	return true;
}

/* False when the value has no place in the wire format. */
static bool set_param(struct params *p, int i, const struct db_arg *arg)
{
	p->formats[i] = 1;
	switch (arg->type) {
	case 0:
		p->values[i] = NULL;
		p->lengths[i] = 0;
		return true;
	case 't':
	case 'x':
		return set_str(p, i, arg->s);
	case 'b':
		p->bools[i] = arg->b;
		p->values[i] = &p->bools[i];
		p->lengths[i] = 1;
		return true;
	case 'u':
		return set_str(p, i, guid_bytes(&arg->u));
	case 'm':
		return set_time(p, i, arg->i);
	default:
		set_word(p, i, arg->i);
		return true;
	}
}

/* ---- statements ---- */

static bool is_oid_of(char type, Oid oid)
{
	switch (ascii_lower(type)) {
	case 't':
		return oid == OID_TEXT || oid == OID_VARCHAR;
	case 'i':
		return oid == OID_INT8 || oid == OID_INT4 || oid == OID_INT2;
	default:
		return oid == type_oid(type);
	}
}

static enum err check_columns(struct db *db, const struct stmt *st, const PGresult *res)
{
	const char *cols = stmt_cols(st);
	size_t n = strlen(cols);

	if ((size_t)PQnfields(res) != n) {
		return db_fail(db, ERR_INTERNAL, st, "columns differ from the declaration");
	}
	for (size_t i = 0; i < n; i++) {
		if (!is_oid_of(cols[i], PQftype(res, (int)i))) {
			return fault_set(db->task.fault, ERR_INTERNAL,
					 "database: %s: column %s is not of the declared type",
					 st->name, PQfname(res, (int)i));
		}
	}
	return ERR_OK;
}

static enum err send_prepare(struct db *db, const struct stmt *st, const char *name)
{
	struct pgsql_conn *c = db->conn;
	const char *sql = stmt_sql(st, &pgsql_engine);
	Oid types[PGSQL_PARAMS_MAX];
	size_t n = param_types(st, types);

	ASSERT(sql);
	if (!PQsendPrepare(c->h, name, sql, (int)n, types)) {
		return pgsql_lost(db, st);
	}
	return pgsql_finish(db, st, ERR_OK);
}

static enum err prepared(struct db *db, const struct stmt *st, struct pgsql_prepared **out)
{
	struct pgsql_conn *c = db->conn;
	struct pgsql_prepared *p = map_get(&c->stmts, db_prepared_key(&st));
	char name[sizeof(p->name)];

	if (p) {
		*out = p;
		return ERR_OK;
	}
	snprintf(name, sizeof(name), "s%u", c->n_prepared++);
	TRY(send_prepare(db, st, name));
	p = MEM_NEW(struct pgsql_prepared);
	p->base.st = st;
	memcpy(p->name, name, sizeof(name));
	map_set(&c->stmts, db_prepared_key(&p->base.st), p);
	*out = p;
	return ERR_OK;
}

static enum err send_run(struct db *db, const struct pgsql_prepared *p, struct db_args args)
{
	struct pgsql_conn *c = db->conn;
	struct params params;

	params.n = (int)args.n;
	for (int i = 0; i < params.n; i++) {
		if (!set_param(&params, i, &args.v[i])) {
			return db_fail(db, ERR_INVALID, p->base.st, "a value is out of range");
		}
	}
	if (!PQsendQueryPrepared(c->h, p->name, params.n, params.values, params.lengths,
				 params.formats, 1)) {
		return pgsql_lost(db, p->base.st);
	}
	return ERR_OK;
}

static enum err give_rows(struct db *db, struct pgsql_prepared *p, PGresult *res,
			  struct db_sink *sink)
{
	struct db_cursor cur = {.db = db, .st = p->base.st, .raw = res};
	int n = PQntuples(res);

	if (!p->is_checked) {
		TRY(check_columns(db, p->base.st, res));
		p->is_checked = true;
	}
	for (cur.index = 0; cur.index < n && sink->err == ERR_OK; cur.index++) {
		sink->err = sink->on_row(&cur, sink->ctx);
	}
	return ERR_OK;
}

static int64_t rows_touched(PGresult *res)
{
	uint64_t n = 0;

	return str_to_u64(str_c(PQcmdTuples(res)), &n) ? (int64_t)n : 0;
}

static enum err take_result(struct db *db, struct pgsql_prepared *p, PGresult *res,
			    struct db_sink *sink)
{
	TRY(pgsql_result(db, p->base.st, res));
	if (PQresultStatus(res) == PGRES_COMMAND_OK || stmt_cols(p->base.st)[0]) {
		db->changed = rows_touched(res);
	}
	return PQresultStatus(res) == PGRES_COMMAND_OK ? ERR_OK : give_rows(db, p, res, sink);
}

static enum err take_all(struct db *db, struct pgsql_prepared *p, struct db_sink *sink)
{
	for (;;) {
		const struct stmt *st = p->base.st;
		PGresult *res = NULL;

		TRY(pgsql_next(db, st, &res));
		if (!res) {
			return ERR_OK;
		}
		enum err e = take_result(db, p, res, sink);
		PQclear(res);
		if (e != ERR_OK) {
			return pgsql_finish(db, st, e);
		}
	}
}

static enum err pgsql_run(struct db *db, const struct stmt *st, struct db_args args,
			  struct db_sink *sink)
{
	struct pgsql_prepared *p;

	TRY(prepared(db, st, &p));
	TRY(send_run(db, p, args));
	if (sink->stream) {
		PQsetSingleRowMode(((struct pgsql_conn *)db->conn)->h);
	}
	return take_all(db, p, sink);
}

static enum err compare(struct db *db, const struct stmt *st, const PGresult *res)
{
	if ((size_t)PQnparams(res) != strlen(stmt_params(st))) {
		return db_fail(db, ERR_INTERNAL, st, "placeholders differ from the declaration");
	}
	return check_columns(db, st, res);
}

static enum err pgsql_check(struct db *db, const struct stmt *st)
{
	struct pgsql_conn *c = db->conn;
	struct pgsql_prepared *p;
	PGresult *res = NULL;

	TRY(prepared(db, st, &p));
	if (!PQsendDescribePrepared(c->h, p->name)) {
		return pgsql_lost(db, st);
	}
	TRY(pgsql_next(db, st, &res));
	enum err e = res ? pgsql_result(db, st, res) : ERR_INTERNAL;
	e = e == ERR_OK ? compare(db, st, res) : e;
	PQclear(res);
	return pgsql_finish(db, st, e);
}

/* ---- values ---- */

static uint64_t big_endian(const char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		v = v << 8 | (uint8_t)p[i];
	}
	return v;
}

static int64_t read_int(struct str s)
{
	uint64_t v = big_endian(s.p, s.n);

	return s.n == 2 ? (int16_t)v : s.n == 4 ? (int32_t)v : (int64_t)v;
}

/* Microseconds round down, also before 2000. */
static int64_t read_time(struct str s)
{
	int64_t us = (int64_t)big_endian(s.p, s.n);
	int64_t ms = us / 1000 - (us % 1000 < 0);

	return ms + EPOCH_GAP_MS;
}

/* check_columns has compared the types, which fix the lengths. */
static enum err pgsql_value(const struct db_cursor *cur, size_t col, char type,
			    struct db_value *out)
{
	PGresult *res = cur->raw;
	int i = (int)col;

	out->null = PQgetisnull(res, cur->index, i) != 0;
	if (out->null) {
		return ERR_OK;
	}
	out->s = str_of(PQgetvalue(res, cur->index, i), (size_t)PQgetlength(res, cur->index, i));
	switch (type) {
	case 'i':
		out->i = read_int(out->s);
		break;
	case 'b':
		out->i = out->s.n == 1 && out->s.p[0] != 0;
		break;
	case 'm':
		out->i = read_time(out->s);
		break;
	case 'u':
		ASSERT(out->s.n == sizeof(out->u.b));
		memcpy(out->u.b, out->s.p, sizeof(out->u.b));
		break;
	default:
		break;
	}
	return ERR_OK;
}

/* ---- transactions ---- */

static enum err pgsql_begin(struct db *db, enum tx_kind kind)
{
	switch (kind) {
	case TX_READ:
		return pgsql_simple(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
	case TX_WRITE:
		return pgsql_simple(db, "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE");
	case TX_MIGRATE:
		/* Must see what others committed while this one waited for the lock. */
		return pgsql_simple(db, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
	case TX_NONE:
		break;
	}
	ASSERT(kind != TX_NONE);
	return ERR_INTERNAL;
}

static enum err pgsql_commit(struct db *db)
{
	return pgsql_simple(db, "COMMIT");
}

static void pgsql_rollback(struct db *db)
{
	struct fault *f = db->task.fault;

	if (!db->conn) {
		return;
	}
	db->task.fault = NULL;
	if (pgsql_simple(db, "ROLLBACK") != ERR_OK && db->conn) {
		pgsql_disconnect(db);
	}
	db->task.fault = f;
}

const struct db_engine pgsql_engine = {
	.name = "pgsql",
	.open = pgsql_open,
	.close = pgsql_close,
	.connect = pgsql_connect,
	.disconnect = pgsql_disconnect,
	.is_alive = pgsql_is_alive,
	.run = pgsql_run,
	.value = pgsql_value,
	.check = pgsql_check,
	.script = pgsql_simple,
	.begin = pgsql_begin,
	.commit = pgsql_commit,
	.rollback = pgsql_rollback,
	.watch_start = pgsql_watch_start,
	.watch_stop = pgsql_watch_stop,
	.watch_is_quiet = pgsql_watch_is_quiet,
};
