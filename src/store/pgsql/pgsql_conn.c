#include "store/pgsql/pgsql_int.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#include <poll.h>
#include <stdio.h>

#define CHECKS_CLIENT_SINCE 140000
#define CHECK_CLIENT_MS "1000"
enum { WAIT_SLICE_MS = 50, TEXT_MAX = 200 };

/* ---- source ---- */

static bool has_key(const struct pgsql_source *src, const char *key)
{
	for (size_t i = 0; i < src->n; i++) {
		if (strcmp(src->keys[i], key) == 0) {
			return true;
		}
	}
	return false;
}

static void add(struct pgsql_source *src, const char *key, const char *value)
{
	size_t len = strlen(value) + 1;

	src->keys = mem_resize(src->keys, (src->n + 2) * sizeof(*src->keys));
	src->values = mem_resize(src->values, (src->n + 2) * sizeof(*src->values));
	src->keys[src->n] = key;
	src->values[src->n] = mem_alloc(len);
	memcpy(src->values[src->n], value, len);
	src->n++;
	src->keys[src->n] = NULL;
	src->values[src->n] = NULL;
}

static void add_default(struct pgsql_source *src, const char *key, const char *value)
{
	if (!has_key(src, key)) {
		add(src, key, value);
	}
}

/* PQconninfoParse gives keys that live in its result; these are ours. */
static const char *const known_keys[] = {
	"host",
	"hostaddr",
	"port",
	"dbname",
	"user",
	"password",
	"passfile",
	"service",
	"options",
	"application_name",
	"connect_timeout",
	"client_encoding",
	"keepalives",
	"keepalives_idle",
	"keepalives_interval",
	"keepalives_count",
	"tcp_user_timeout",
	"sslmode",
	"sslcompression",
	"sslcert",
	"sslkey",
	"sslpassword",
	"sslrootcert",
	"sslcrl",
	"sslcrldir",
	"sslsni",
	"requirepeer",
	"ssl_min_protocol_version",
	"ssl_max_protocol_version",
	"gssencmode",
	"krbsrvname",
	"gsslib",
	"channel_binding",
	"target_session_attrs",
	"fallback_application_name",
	"replication",
	"require_auth",
	"sslcertmode",
	"sslnegotiation",
	"load_balance_hosts",
	"gssdelegation",
	"authtype",
	"tty",
};

static const char *known_key(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(known_keys); i++) {
		if (strcmp(known_keys[i], key) == 0) {
			return known_keys[i];
		}
	}
	return NULL;
}

static enum err add_given(struct pgsql_source *src, const PQconninfoOption *opts, struct fault *f)
{
	for (; opts->keyword; opts++) {
		const char *key = known_key(opts->keyword);

		if (!opts->val) {
			continue;
		}
		if (!key) {
			return fault_set(f, ERR_INVALID, "database: parameter %s is not supported",
					 opts->keyword);
		}
		add(src, key, opts->val);
	}
	return ERR_OK;
}

static void add_defaults(struct pgsql_source *src, int64_t connect_timeout_ms)
{
	char number[24];

	snprintf(number, sizeof(number), "%lld", (long long)MAX(connect_timeout_ms / 1000, 2));
	add_default(src, "connect_timeout", number);
	/* Of what was sent and not acknowledged: a server that is gone without a word. */
	snprintf(number, sizeof(number), "%lld", (long long)MAX(connect_timeout_ms, 2000));
	add_default(src, "tcp_user_timeout", number);
	add_default(src, "keepalives_idle", "30");
	add_default(src, "application_name", "posthouse");
	/* Of several hosts the one that takes writes. */
	add_default(src, "target_session_attrs", "read-write");
	add_default(src, "client_encoding", "UTF8");
}

/* libpq quotes the part that it does not understand, which may be the password. */
static enum err url_failed(const char *url, const char *text, struct fault *f)
{
	bool may_quote_secret = strchr(url, '@') || strstr(url, "password");

	return fault_set(f, ERR_INVALID, "database: the URL is not valid%s%.*s",
			 may_quote_secret || !text ? "" : ": ", TEXT_MAX,
			 may_quote_secret || !text ? "" : text);
}

static void free_source(struct pgsql_source *src)
{
	for (size_t i = 0; i < src->n; i++) {
		mem_wipe(src->values[i], strlen(src->values[i]));
		mem_free(src->values[i]);
	}
	mem_free(src->keys);
	mem_free(src->values);
	mem_free(src);
}

enum err pgsql_open(struct db_pool *pool, const struct db_config *config, struct fault *f)
{
	struct arena a;
	char *text = NULL;

	arena_init(&a, 0);
	char *url = (char *)str_cstr(&a, config->url);
	PQconninfoOption *opts = PQconninfoParse(url, &text);
	struct pgsql_source *src = MEM_NEW(struct pgsql_source);
	enum err e = opts ? add_given(src, opts, f) : url_failed(url, text, f);
	PQfreemem(text);
	PQconninfoFree(opts);
	mem_wipe(url, config->url.n);
	arena_fini(&a);
	if (e != ERR_OK) {
		free_source(src);
		return e;
	}
	add_defaults(src, pool->connect_timeout_ms);
	pool->source = src;
	return ERR_OK;
}

void pgsql_close(struct db_pool *pool)
{
	free_source(pool->source);
}

/* ---- failures ---- */

/* One line of libpq's text. It names hosts and users, never the password. */
static void one_line(const char *text, char out[TEXT_MAX])
{
	size_t n = 0;

	for (; *text && n < TEXT_MAX - 1; text++) {
		bool is_blank = *text == '\n' || *text == '\t';

		if (!is_blank || (n && out[n - 1] != ' ')) {
			out[n++] = is_blank ? ' ' : *text;
		}
	}
	while (n && out[n - 1] == ' ') {
		n--;
	}
	out[n] = '\0';
}

enum err pgsql_lost(struct db *db, const struct stmt *st)
{
	struct pgsql_conn *c = db->conn;
	char text[TEXT_MAX];

	one_line(PQerrorMessage(c->h), text);
	db_fail(db, ERR_UNAVAILABLE, st, text[0] ? text : "connection lost");
	pgsql_disconnect(db);
	return ERR_UNAVAILABLE;
}

struct state_err {
	const char *prefix; /* of the SQLSTATE */
	enum err err;
	enum { KEEP = 0, TRANSIENT = 1, DROP = 2 } how;
	const char *text; /* NULL = the server's */
};

/* First match wins. PostgreSQL, appendix A. */
static const struct state_err states[] = {
	{"23505", ERR_CONFLICT, KEEP, NULL},
	{"23P01", ERR_CONFLICT, KEEP, NULL},
	{"23503", ERR_CONFLICT, KEEP, NULL},
	{"23", ERR_INVALID, KEEP, NULL},
	{"22", ERR_INVALID, KEEP, NULL},
	{"40001", ERR_CONFLICT, TRANSIENT, "a concurrent change won"},
	{"40P01", ERR_CONFLICT, TRANSIENT, "a concurrent change won"},
	{"55P03", ERR_CONFLICT, TRANSIENT, "a concurrent change holds a lock"},
	{"57014", ERR_TIMEOUT, KEEP, "out of time"},
	{"53100", ERR_UNAVAILABLE, KEEP, "the disk of the database server is full"},
	{"53", ERR_UNAVAILABLE, KEEP, NULL},
	{"54", ERR_LIMIT, KEEP, NULL},
	{"57", ERR_UNAVAILABLE, DROP, NULL},
	{"58", ERR_UNAVAILABLE, KEEP, NULL},
	{"08", ERR_UNAVAILABLE, DROP, NULL},
	{"25006", ERR_UNAVAILABLE, DROP, NULL}, /* now a standby: find the primary */
	{"26000", ERR_UNAVAILABLE, DROP, NULL}, /* prepared elsewhere: start anew */
	{"0A000", ERR_UNAVAILABLE, DROP, NULL}, /* "cached plan must not change" */
	{"", ERR_INTERNAL, KEEP, NULL},
};

static const struct state_err *state_err(const char *state)
{
	const struct state_err *s = states;

	while (strncmp(s->prefix, state, strlen(s->prefix)) != 0) {
		s++;
	}
	return s;
}

static enum err state_failed(struct db *db, const struct stmt *st, const PGresult *res)
{
	const char *code = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	/* Not the detail: it quotes values. */
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const struct state_err *s = state_err(code ? code : "");
	bool is_refused_write = db->tx == TX_READ && strcmp(s->prefix, "25006") == 0;
	enum err e = is_refused_write ? ERR_INTERNAL : s->err;
	const char *text = s->text ? s->text : primary;
	char line[TEXT_MAX];

	one_line(text ? text : "failed", line);
	db_fail(db, e, st, line);
	db->transient = s->how == TRANSIENT;
	if (s->how == DROP && !is_refused_write) {
		pgsql_disconnect(db);
	}
	return e;
}

enum err pgsql_result(struct db *db, const struct stmt *st, const PGresult *res)
{
	switch (PQresultStatus(res)) {
	case PGRES_EMPTY_QUERY:
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_SINGLE_TUPLE:
	case PGRES_NONFATAL_ERROR:
		return ERR_OK;
	case PGRES_FATAL_ERROR:
		/* Without a state it is libpq that speaks: the connection broke. */
		return PQresultErrorField(res, PG_DIAG_SQLSTATE) ? state_failed(db, st, res)
								 : pgsql_lost(db, st);
	case PGRES_COPY_OUT:
	case PGRES_COPY_IN:
	case PGRES_BAD_RESPONSE:
	case PGRES_COPY_BOTH:
	case PGRES_PIPELINE_SYNC:
	case PGRES_PIPELINE_ABORTED:
		break;
	}
	return pgsql_lost(db, st);
}

/* ---- waiting ---- */

/* False when the connection broke. */
static bool wait_socket(PGconn *h, int64_t left_ms)
{
	int flushed = PQflush(h);
	struct pollfd p = {.fd = PQsocket(h), .events = POLLIN};

	if (flushed < 0) {
		return false;
	}
	if (flushed > 0) {
		p.events |= POLLOUT;
	}
	if (poll(&p, 1, (int)MIN(MAX(left_ms, 1), WAIT_SLICE_MS)) > 0 && (p.revents & ~POLLOUT)) {
		return PQconsumeInput(h) != 0;
	}
	return true;
}

/*
 * What takes too long is left with its connection. A request to cancel would need one of its own,
 * for which libpq waits without a limit, and a server that hangs answers none.
 */
static enum err leave(struct db *db, const struct stmt *st, enum err e)
{
	db_fail(db, e, st, e == ERR_TIMEOUT ? "out of time" : "canceled");
	pgsql_disconnect(db);
	return e;
}

static enum err wait_result(struct db *db, const struct stmt *st)
{
	struct pgsql_conn *c = db->conn;

	while (PQisBusy(c->h)) {
		enum err e = db_should_stop(db);

		if (e != ERR_OK) {
			return leave(db, st, e);
		}
		if (!wait_socket(c->h, db_left_ms(db))) {
			return pgsql_lost(db, st);
		}
	}
	return ERR_OK;
}

enum err pgsql_next(struct db *db, const struct stmt *st, PGresult **out)
{
	TRY(wait_result(db, st));
	*out = PQgetResult(((struct pgsql_conn *)db->conn)->h);
	return ERR_OK;
}

enum err pgsql_finish(struct db *db, const struct stmt *st, enum err e)
{
	while (db->conn) {
		PGresult *res = NULL;
		enum err next = pgsql_next(db, st, &res);

		if (next == ERR_OK && !res) {
			return e;
		}
		if (next == ERR_OK) {
			next = pgsql_result(db, st, res);
			PQclear(res);
		}
		e = e == ERR_OK ? next : e;
	}
	return e;
}

enum err pgsql_simple(struct db *db, const char *sql)
{
	struct pgsql_conn *c = db->conn;

	if (!PQsendQuery(c->h, sql)) {
		return pgsql_lost(db, NULL);
	}
	return pgsql_finish(db, NULL, ERR_OK);
}

bool pgsql_command(PGconn *h, const char *sql, int64_t wait_ms)
{
	uint64_t until = clock_mono_ms() + (uint64_t)wait_ms;
	bool ok = PQsendQuery(h, sql) != 0;

	while (ok) {
		PGresult *res;

		if (PQisBusy(h)) {
			ok = clock_mono_ms() < until && wait_socket(h, WAIT_SLICE_MS);
		} else if ((res = PQgetResult(h))) {
			ok = PQresultStatus(res) == PGRES_COMMAND_OK;
			PQclear(res);
		} else {
			break;
		}
	}
	return ok;
}

/* ---- connection ---- */

static void ignore_notice(void *arg UNUSED, const PGresult *res UNUSED)
{
}

static enum err set_limits(struct db *db)
{
	struct arena a;

	arena_init(&a, 0);
	/* The worker's own deadline comes first; this is for a statement that was left. */
	struct str sql = str_fmt(&a,
				 "SET statement_timeout = %lld; SET lock_timeout = %lld;"
				 "SET TimeZone = 'UTC'; SET client_min_messages = warning",
				 (long long)db->pool->statement_max_ms + 1000,
				 (long long)db->pool->busy_timeout_ms);
	enum err e = pgsql_simple(db, str_cstr(&a, sql));
	arena_fini(&a);
	return e;
}

/*
 * Ends a statement that was left, and its locks, much sooner. Servers that cannot look whether
 * their client is there refuse: on Windows, and before 14.
 */
static enum err have_us_checked(struct db *db)
{
	struct pgsql_conn *c = db->conn;
	struct fault *f = db->task.fault;

	if (PQserverVersion(c->h) < CHECKS_CLIENT_SINCE) {
		return ERR_OK;
	}
	db->task.fault = NULL;
	enum err e = pgsql_simple(db, "SET client_connection_check_interval = " CHECK_CLIENT_MS);
	db->task.fault = f;
	return db->conn ? ERR_OK : db_fail(db, e, NULL, "connection lost");
}

static enum err set_up(struct db *db)
{
	TRY(set_limits(db));
	return have_us_checked(db);
}

/* Blocks for connect_timeout a host at most; only so libpq tries the hosts in turn. */
enum err pgsql_connect(struct db *db)
{
	const struct pgsql_source *src = db->pool->source;
	struct pgsql_conn *c = MEM_NEW(struct pgsql_conn);

	c->h = PQconnectdbParams(src->keys, (const char *const *)src->values, 0);
	db->conn = c;
	if (PQstatus(c->h) != CONNECTION_OK || PQsetnonblocking(c->h, 1) != 0) {
		return pgsql_lost(db, NULL);
	}
	PQsetNoticeReceiver(c->h, ignore_notice, NULL);
	enum err e = set_up(db);
	if (e != ERR_OK && db->conn) {
		pgsql_disconnect(db);
	}
	return e;
}

void pgsql_disconnect(struct db *db)
{
	struct pgsql_conn *c = db->conn;
	struct map_entry entry;
	size_t pos = 0;

	while (map_next(&c->stmts, &pos, &entry)) {
		mem_free(entry.value);
	}
	map_free(&c->stmts);
	PQfinish(c->h);
	mem_free(c);
	db->conn = NULL;
}

/*
 * An idle server speaks only to say good-bye. Its last words come first, the end of the stream
 * is what PQconsumeInput tells after them.
 */
bool pgsql_is_alive(struct db *db)
{
	struct pgsql_conn *c = db->conn;
	struct pollfd p = {.fd = PQsocket(c->h), .events = POLLIN};

	while (poll(&p, 1, 0) > 0) {
		if (!PQconsumeInput(c->h)) {
			return false;
		}
	}
	return PQstatus(c->h) == CONNECTION_OK;
}
