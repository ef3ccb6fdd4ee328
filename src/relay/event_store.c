#include "relay/event_store.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "relay/config.h"

enum {
	WRITE_TIMEOUT_MS = 30000,
	/* Characters that the columns hold. */
	URL_MAX = 1000,
	TARGET_MAX = 100,
	METHOD_MAX = 10,
	CONNECTION_MAX = 100,
};

enum { ORIGIN, CONNECTION, REQUEST };

#define IF_TENANT " WHERE EXISTS (SELECT 1 FROM \"Tenants\" WHERE \"NormalizedName\" = $2)"

static const struct stmt stmts[] = {
	[ORIGIN] = {.name = "event_origin",
		    .sql = "INSERT INTO \"Origins\" (\"Id\", \"StartupTime\", \"LastSeenTime\")"
			   " VALUES ($1, $2, $2) ON CONFLICT (\"Id\") DO NOTHING",
		    .params = "um"},
	/* A connection that shows life after it was taken for dead is open again. */
	[CONNECTION] = {.name = "event_connection",
			.sql = "INSERT INTO \"Connections\" AS c (\"Id\", \"TenantName\","
			       " \"OriginId\", \"ConnectTime\", \"DisconnectTime\","
			       " \"LastSeenTime\", \"RemoteIpAddress\")"
			       " SELECT $1, $2, $3, $4, $5, $4, $6" IF_TENANT
			       " ON CONFLICT (\"Id\") DO UPDATE SET"
			       " \"ConnectTime\" = CASE"
			       "  WHEN excluded.\"ConnectTime\" < c.\"ConnectTime\""
			       "  THEN excluded.\"ConnectTime\" ELSE c.\"ConnectTime\" END,"
			       " \"DisconnectTime\" = CASE"
			       "  WHEN excluded.\"DisconnectTime\" IS NOT NULL"
			       "  THEN excluded.\"DisconnectTime\""
			       "  WHEN c.\"DisconnectTime\" >= excluded.\"LastSeenTime\""
			       "  THEN c.\"DisconnectTime\" END,"
			       " \"LastSeenTime\" = CASE"
			       "  WHEN c.\"LastSeenTime\" > excluded.\"LastSeenTime\""
			       "  THEN c.\"LastSeenTime\" ELSE excluded.\"LastSeenTime\" END",
			.params = "ttumMT"},
	[REQUEST] = {.name = "event_request",
		     .sql = "INSERT INTO \"Requests\" (\"RequestId\", \"TenantName\","
			    " \"RequestDate\", \"RequestDuration\", \"RequestUrl\", \"Target\","
			    " \"HttpMethod\", \"RequestOriginalBodySize\", \"RequestBodySize\","
			    " \"HttpStatusCode\", \"ResponseOriginalBodySize\","
			    " \"ResponseBodySize\", \"Aborted\", \"Failed\", \"Expired\","
			    " \"Errored\") SELECT $1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $10,"
			    " $11, $12, $13, $14" IF_TENANT,
		     .params = "utmitttiIIbbbb"},
};

const struct stmt_table event_statements = {"relay", stmts, ARRAY_LEN(stmts)};

/* ---- texts ---- */

/* At most `max` characters of valid UTF-8 without NUL, which PostgreSQL cannot hold. */
static struct str clean(struct arena *a, struct str s, size_t max)
{
	char *p = arena_alloc(a, 3 * MIN(s.n, 4 * max) + 1);
	size_t n = 0;

	for (size_t chars = 0; s.n > 0 && chars < max; chars++) {
		size_t step = s.p[0] ? utf8_next(s) : 0;

		if (step > 0) {
			memcpy(p + n, s.p, step);
			n += step;
		} else {
			n += utf8_put(p + n, 0xfffd);
		}
		s = str_skip(s, step > 0 ? step : 1);
	}
	return str_of(p, n);
}

/* ---- one event ---- */

struct batch {
	const struct event_writer *writer;
	const struct relay_event *v;
	size_t n;
};

static int64_t size_of(uint64_t bytes)
{
	return (int64_t)MIN(bytes, (uint64_t)INT64_MAX);
}

static enum err write_request(struct db *db, const struct relay_event *e)
{
	struct arena *a = db_arena(db);

	return db_exec(db, &stmts[REQUEST],
		       DB_ARGS(DB_GUID(&e->request_id), DB_TEXT(e->tenant), DB_TIME(e->wall_ms),
			       DB_INT(e->duration_ms), DB_TEXT(clean(a, e->url, URL_MAX)),
			       DB_TEXT(clean(a, e->target, TARGET_MAX)),
			       DB_TEXT(clean(a, e->method, METHOD_MAX)),
			       DB_INT(size_of(e->request_bytes)), DB_OPT_INT(e->status),
			       DB_OPT_INT(e->response_bytes),
			       DB_BOOL(e->outcome == REQUEST_LOG_ABORTED),
			       DB_BOOL(e->outcome == REQUEST_LOG_FAILED),
			       DB_BOOL(e->outcome == REQUEST_LOG_EXPIRED),
			       DB_BOOL(e->outcome == REQUEST_LOG_ERRORED)));
}

static enum err write_connection(struct db *db, const struct guid *origin,
				 const struct relay_event *e)
{
	struct opt_i64 end = {e->kind == RELAY_EVENT_DISCONNECTED, e->wall_ms};
	struct str ip = e->remote_ip.n > 0 ? e->remote_ip : STR_NULL;

	return db_exec(db, &stmts[CONNECTION],
		       DB_ARGS(DB_TEXT(clean(db_arena(db), e->connection_id, CONNECTION_MAX)),
			       DB_TEXT(e->tenant), DB_GUID(origin), DB_TIME(e->wall_ms),
			       DB_OPT_TIME(end), DB_TEXT(ip)));
}

static enum err write_event(struct db *db, const struct guid *origin, const struct relay_event *e)
{
	switch (e->kind) {
	case RELAY_EVENT_REQUEST:
		return write_request(db, e);
	case RELAY_EVENT_CONNECTED:
	case RELAY_EVENT_DISCONNECTED:
	case RELAY_EVENT_SEEN:
		return write_connection(db, origin, e);
	}
	return ERR_INTERNAL;
}

/* ---- a batch ---- */

static enum err ensure_origin(struct db *db, const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		if (b->v[i].kind != RELAY_EVENT_REQUEST) {
			return db_exec(
				db, &stmts[ORIGIN],
				DB_ARGS(DB_GUID(&b->writer->origin), DB_TIME(clock_wall_ms())));
		}
	}
	return ERR_OK;
}

static enum err write_in_tx(struct db *db, void *arg)
{
	const struct batch *b = arg;

	TRY(ensure_origin(db, b));
	for (size_t i = 0; i < b->n; i++) {
		TRY(write_event(db, &b->writer->origin, &b->v[i]));
	}
	return ERR_OK;
}

static enum err write_batch(struct db *db, struct batch *b, struct fault *f)
{
	struct arena arena;

	arena_init(&arena, 0);
	db_begin_task(db, &(struct db_task){.arena = &arena,
					    .deadline_mono_ms = clock_mono_ms() + WRITE_TIMEOUT_MS,
					    .fault = f});
	enum err e = db_retry(db, write_in_tx, b);
	db_end_task(db);
	arena_fini(&arena);
	return e;
}

/* Whether something in the batch may be the cause. */
static bool may_be_one_event(enum err e)
{
	return e == ERR_INVALID || e == ERR_CONFLICT || e == ERR_LIMIT || e == ERR_INTERNAL;
}

/* Returns how many were lost. */
static size_t write_singly(struct db *db, const struct batch *all, struct fault *f)
{
	size_t lost = 0;

	for (size_t i = 0; i < all->n; i++) {
		struct batch one = {all->writer, &all->v[i], 1};

		lost += write_batch(db, &one, f) != ERR_OK;
	}
	return lost;
}

static size_t write_events(const struct relay_event_ops *ops, void *worker,
			   const struct relay_event *events, size_t n)
{
	struct batch b = {(const struct event_writer *)(const void *)ops, events, n};
	struct fault f = {0};
	struct db *db = worker;
	size_t lost = n;

	_Static_assert(offsetof(struct event_writer, ops) == 0, "ops leads back to its writer");
	if (!db) {
		fault_set(&f, ERR_UNAVAILABLE, "the worker has no database session");
	} else {
		enum err e = write_batch(db, &b, &f);

		lost = e == ERR_OK ? 0 : may_be_one_event(e) ? write_singly(db, &b, &f) : n;
	}
	if (lost > 0) {
		log_error("statistics", "events were not written", LOG_INT("events", lost),
			  LOG_FAULT(&f));
	}
	return lost;
}

void event_writer_init(struct event_writer *w, const struct guid *origin)
{
	*w = (struct event_writer){.ops = {write_events}, .origin = *origin};
}
