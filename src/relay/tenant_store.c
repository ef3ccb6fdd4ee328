#include "relay/tenant_store.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"

#define LOAD_TIMEOUT_MS 10000

enum { GET, LIST, COUNT, INSERT, UPDATE, REMOVE, SET_CONFIG, SET_TEXTS };

#define TENANT_COLUMNS                                                                             \
	"t.\"NormalizedName\", t.\"Name\", t.\"DisplayName\", t.\"Description\","                  \
	" t.\"RequireAuthentication\", t.\"MaximumConcurrentConnectorRequests\","
#define FROM_TENANTS                                                                               \
	" FROM \"Tenants\" AS t LEFT JOIN \"Configs\" AS c ON c.\"TenantName\" = "                 \
	"t.\"NormalizedName\""
#define SELECT_SQLITE                                                                              \
	"SELECT " TENANT_COLUMNS                                                                   \
	" CASE WHEN c.\"TenantName\" IS NOT NULL THEN 1 END, c.\"KeepAliveInterval\","             \
	" c.\"EnableTracing\", c.\"ReconnectMinimumDelay\", "                                      \
	"c.\"ReconnectMaximumDelay\"" FROM_TENANTS
#define MS(column) "(EXTRACT(EPOCH FROM c.\"" column "\") * 1000)::bigint"
/* clang-format off */
#define SELECT_PGSQL                                                                               \
	"SELECT " TENANT_COLUMNS                                                                   \
	" CASE WHEN c.\"TenantName\" IS NOT NULL THEN true END, " MS("KeepAliveInterval") ","      \
	" c.\"EnableTracing\", " MS("ReconnectMinimumDelay") ", " MS("ReconnectMaximumDelay")      \
	FROM_TENANTS
/* clang-format on */
#define PAGE " ORDER BY t.\"NormalizedName\" LIMIT $2 OFFSET $1"
#define INTO_CONFIGS                                                                               \
	"INSERT INTO \"Configs\" (\"TenantName\", \"KeepAliveInterval\", \"EnableTracing\","       \
	" \"ReconnectMinimumDelay\", \"ReconnectMaximumDelay\")"
#define OVER_CONFIGS                                                                               \
	" ON CONFLICT (\"TenantName\") DO UPDATE SET"                                              \
	" \"KeepAliveInterval\" = excluded.\"KeepAliveInterval\","                                 \
	" \"EnableTracing\" = excluded.\"EnableTracing\","                                         \
	" \"ReconnectMinimumDelay\" = excluded.\"ReconnectMinimumDelay\","                         \
	" \"ReconnectMaximumDelay\" = excluded.\"ReconnectMaximumDelay\""

static const struct stmt stmts[] = {
	[GET] = {.name = "tenant_get",
		 .sqlite = SELECT_SQLITE " WHERE t.\"NormalizedName\" = $1",
		 .pgsql = SELECT_PGSQL " WHERE t.\"NormalizedName\" = $1",
		 .params = "t",
		 .cols = "ttTTbiBIBII"},
	[LIST] = {.name = "tenant_list",
		  .sqlite = SELECT_SQLITE PAGE,
		  .pgsql = SELECT_PGSQL PAGE,
		  .params = "ii",
		  .cols = "ttTTbiBIBII"},
	[COUNT] = {.name = "tenant_count", .sql = "SELECT count(*) FROM \"Tenants\"", .cols = "i"},
	[INSERT] = {.name = "tenant_insert",
		    .sql = "INSERT INTO \"Tenants\" (\"NormalizedName\", \"Name\","
			   " \"DisplayName\", \"Description\", \"RequireAuthentication\","
			   " \"MaximumConcurrentConnectorRequests\")"
			   " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
		    .params = "ttTTbi"},
	[UPDATE] = {.name = "tenant_update",
		    .sql = "UPDATE \"Tenants\" SET \"DisplayName\" = $2, \"Description\" = $3,"
			   " \"RequireAuthentication\" = $4,"
			   " \"MaximumConcurrentConnectorRequests\" = $5"
			   " WHERE \"NormalizedName\" = $1",
		    .params = "tTTbi"},
	[REMOVE] = {.name = "tenant_remove",
		    .sql = "DELETE FROM \"Tenants\" WHERE \"NormalizedName\" = $1",
		    .params = "t"},
	[SET_CONFIG] = {.name = "tenant_set_config",
			.sqlite = INTO_CONFIGS " VALUES ($1, $2, $3, $4, $5)" OVER_CONFIGS,
			.pgsql = INTO_CONFIGS " VALUES ($1, make_interval(secs => $2 / 1000.0), $3,"
					      " make_interval(secs => $4 / 1000.0),"
					      " make_interval(secs => $5 / 1000.0))" OVER_CONFIGS,
			.params = "tIBII"},
	[SET_TEXTS] = {.name = "tenant_set_texts",
		       .sql = "UPDATE \"Tenants\" SET \"DisplayName\" = $2, \"Description\" = $3"
			      " WHERE \"NormalizedName\" = $1",
		       .params = "tTT"},
};

const struct stmt_table tenant_statements = {"relay", stmts, ARRAY_LEN(stmts)};

#define AT(member) offsetof(struct tenant_row, member)
static const struct db_col tenant_cols[] = {
	{"NormalizedName", 't', AT(normalized)},
	{"Name", 't', AT(name)},
	{"DisplayName", 'T', AT(display)},
	{"Description", 'T', AT(description)},
	{"RequireAuthentication", 'b', AT(require_authentication)},
	{"MaximumConcurrentConnectorRequests", 'i', AT(max_concurrent)},
	{"TenantName", 'B', AT(has_config)},
	{"KeepAliveInterval", 'I', AT(configure.keep_alive_interval_ms)},
	{"EnableTracing", 'B', AT(configure.enable_tracing)},
	{"ReconnectMinimumDelay", 'I', AT(configure.reconnect_minimum_delay_ms)},
	{"ReconnectMaximumDelay", 'I', AT(configure.reconnect_maximum_delay_ms)},
};
#undef AT
static const struct db_shape tenant_shape = {"tenant", tenant_cols, ARRAY_LEN(tenant_cols),
					     sizeof(struct tenant_row)};

/* ---- names ---- */

/* Stands for what was no character; no tenant has it in its name. */
#define NO_CHARACTER STR("\xef\xbf\xbd")

bool tenant_name_fits(struct str name)
{
	size_t chars = 0, step;

	while (name.n > 0 && chars < TENANT_NAME_MAX && (step = utf8_next(name)) > 0) {
		name = str_skip(name, step);
		chars++;
	}
	return name.n == 0 && chars > 0;
}

enum err tenant_name_check(struct str name, struct fault *f)
{
	if (str_trim(name).n == 0) {
		return fault_set(f, ERR_INVALID, "tenant.name: is required");
	}
	if (!utf8_is_valid(name) || str_find(name, NO_CHARACTER) >= 0) {
		return fault_set(f, ERR_INVALID, "tenant.name: is not valid UTF-8");
	}
	if (!tenant_name_fits(name)) {
		return fault_set(f, ERR_INVALID, "tenant.name: has more than %d characters",
				 TENANT_NAME_MAX);
	}
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (c < 0x20 || c == 0x7f || c == '/') {
			return fault_set(
				f, ERR_INVALID,
				"tenant.name: must not hold a slash or control characters");
		}
	}
	if (str_eq(name, STR(".")) || str_eq(name, STR(".."))) {
		return fault_set(f, ERR_INVALID, "tenant.name: is not usable in a URL");
	}
	return ERR_OK;
}

struct str tenant_name_normalize(struct arena *a, struct str name)
{
	bool is_text = utf8_is_valid(name) && str_index(name, '\0') < 0;

	return is_text ? str_upper(a, name) : NO_CHARACTER;
}

/* ---- for management ---- */

/* The same text whichever statement found it missing. */
static enum err missing(struct db *db, enum err e, struct str normalized)
{
	struct fault *f = db_fault(db);

	if (e == ERR_NOT_FOUND && f) {
		*f = (struct fault){0};
		return fault_set(f, e, "there is no tenant \"%.*s\"", STR_ARG(normalized));
	}
	return e;
}

enum err tenant_store_get(struct db *db, struct str normalized, struct tenant_row *out)
{
	return missing(db,
		       db_one(db, &stmts[GET], DB_ARGS(DB_TEXT(normalized)), &tenant_shape, out),
		       normalized);
}

enum err tenant_store_list(struct db *db, int64_t skip, int64_t take, struct db_rows *out,
			   int64_t *out_total)
{
	int64_t total = 0;

	TRY(db_int(db, &stmts[COUNT], DB_NO_ARGS, &total));
	TRY(db_all(db, &stmts[LIST], DB_ARGS(DB_INT(skip), DB_INT(take)), &tenant_shape,
		   (size_t)take, out));
	*out_total = total;
	return ERR_OK;
}

static bool configures(const struct tenant_configure *c)
{
	return c->keep_alive_interval_ms.has || c->enable_tracing.has ||
	       c->reconnect_minimum_delay_ms.has || c->reconnect_maximum_delay_ms.has;
}

static enum err set_config(struct db *db, const struct tenant_row *row)
{
	const struct tenant_configure *c = &row->configure;

	if (!configures(c)) {
		return ERR_OK;
	}
	return db_exec(db, &stmts[SET_CONFIG],
		       DB_ARGS(DB_TEXT(row->normalized), DB_OPT_INT(c->keep_alive_interval_ms),
			       DB_OPT_BOOL(c->enable_tracing),
			       DB_OPT_INT(c->reconnect_minimum_delay_ms),
			       DB_OPT_INT(c->reconnect_maximum_delay_ms)));
}

enum err tenant_store_insert(struct db *db, const struct tenant_row *row)
{
	TRY(db_exec(db, &stmts[INSERT],
		    DB_ARGS(DB_TEXT(row->normalized), DB_TEXT(row->name), DB_TEXT(row->display),
			    DB_TEXT(row->description), DB_BOOL(row->require_authentication),
			    DB_INT(row->max_concurrent))));
	if (db_changed(db) == 0) {
		return fault_set(db_fault(db), ERR_CONFLICT, "there is already a tenant \"%.*s\"",
				 STR_ARG(row->name));
	}
	return set_config(db, row);
}

enum err tenant_store_update(struct db *db, const struct tenant_row *row)
{
	enum err e = db_exec_one(
		db, &stmts[UPDATE],
		DB_ARGS(DB_TEXT(row->normalized), DB_TEXT(row->display), DB_TEXT(row->description),
			DB_BOOL(row->require_authentication), DB_INT(row->max_concurrent)));

	TRY(missing(db, e, row->normalized));
	return set_config(db, row);
}

enum err tenant_store_remove(struct db *db, struct str normalized)
{
	return missing(db, db_exec_one(db, &stmts[REMOVE], DB_ARGS(DB_TEXT(normalized))),
		       normalized);
}

/* ---- for the data plane ---- */

static uint32_t concurrent_of(int64_t configured)
{
	return configured > 0 && configured <= TENANT_CONCURRENT_MAX ? (uint32_t)configured : 0;
}

/* A database that was the original's may hold what nobody can keep. */
static struct opt_i64 keep_alive_of(struct opt_i64 ms)
{
	return (struct opt_i64){ms.has && ms.v > 0, MAX(ms.v, TENANT_KEEP_ALIVE_MIN_MS)};
}

static void fill(const struct tenant_row *row, struct tenant_info *out)
{
	*out = (struct tenant_info){
		.found = true,
		.name = row->name,
		.require_authentication = row->require_authentication,
		.max_concurrent = concurrent_of(row->max_concurrent),
		.has_config = row->has_config.has,
		.keep_alive_interval_ms = keep_alive_of(row->configure.keep_alive_interval_ms),
		.enable_tracing = row->configure.enable_tracing,
		.reconnect_minimum_delay_ms = row->configure.reconnect_minimum_delay_ms,
		.reconnect_maximum_delay_ms = row->configure.reconnect_maximum_delay_ms,
	};
}

struct visiting {
	struct str normalized;
	const struct tenant_visit *visit; /* NULL = only look */
	struct tenant_row row;
	bool found;
};

static enum err look(struct db *db, struct visiting *v)
{
	struct db_rows rows;

	TRY(db_all(db, &stmts[GET], DB_ARGS(DB_TEXT(v->normalized)), &tenant_shape, 1, &rows));
	v->found = rows.n == 1;
	if (v->found) {
		v->row = *(struct tenant_row *)rows.v;
	}
	return ERR_OK;
}

/* At most `max` bytes, ending on a whole character; p NULL stays. */
static struct str cut(struct str s, size_t max)
{
	size_t n = 0, step;

	while ((step = utf8_next(str_skip(s, n))) > 0 && n + step <= max) {
		n += step;
	}
	return s.p ? str_of(s.p, n) : s;
}

static bool differs(struct str claim, struct str stored)
{
	return claim.p && (!stored.p || !str_eq(claim, stored));
}

static bool is_news(const struct visiting *v)
{
	return !v->found || differs(cut(v->visit->display, TENANT_DISPLAY_MAX), v->row.display) ||
	       differs(cut(v->visit->description, TENANT_DESCRIPTION_MAX), v->row.description);
}

static enum err create_or_update(struct db *db, void *arg)
{
	struct visiting *v = arg;
	struct str display = cut(v->visit->display, TENANT_DISPLAY_MAX);
	struct str description = cut(v->visit->description, TENANT_DESCRIPTION_MAX);

	TRY(look(db, v));
	if (!v->found) {
		struct tenant_row row = {.normalized = v->normalized,
					 .name = v->visit->name,
					 .display = display,
					 .description = description};

		TRY(tenant_name_check(row.name, db_fault(db)));
		TRY(tenant_store_insert(db, &row));
		return look(db, v);
	}
	return db_exec(db, &stmts[SET_TEXTS],
		       DB_ARGS(DB_TEXT(v->normalized),
			       DB_TEXT(display.p ? display : v->row.display),
			       DB_TEXT(description.p ? description : v->row.description)));
}

static enum err load_or_create(struct db *db, struct visiting *v)
{
	TRY(look(db, v));
	if (v->visit && is_news(v)) {
		return db_retry(db, create_or_update, v);
	}
	return ERR_OK;
}

static enum err load(void *worker, struct str normalized, const struct tenant_visit *visit,
		     struct arena *a, struct tenant_info *out)
{
	struct visiting v = {.normalized = normalized, .visit = visit};
	struct fault f = {0};
	struct db *db = worker;

	if (!db) {
		return ERR_UNAVAILABLE;
	}
	db_begin_task(db, &(struct db_task){.arena = a,
					    .deadline_mono_ms = clock_mono_ms() + LOAD_TIMEOUT_MS,
					    .fault = &f});
	enum err e = load_or_create(db, &v);
	db_end_task(db);
	if (e != ERR_OK) {
		log_warn("relay", "tenant lookup failed", LOG_STR("tenant", normalized),
			 LOG_FAULT(&f));
		return e;
	}
	*out = (struct tenant_info){0};
	if (v.found) {
		fill(&v.row, out);
	}
	return ERR_OK;
}

const struct tenant_store_ops tenant_store_ops = {load};
