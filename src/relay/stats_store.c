#include "relay/stats_store.h"

enum {
	ORIGINS,
	ORIGINS_COUNT,
	CONNECTIONS,
	CONNECTIONS_COUNT,
	REQUESTS,
	REQUESTS_COUNT,
	SUMMARY,
	LIVE,
	QUANTILE,
};

/* clang-format off */
#define NAME_OF(t) \
	"(SELECT n.\"Name\" FROM \"Tenants\" AS n WHERE n.\"NormalizedName\" = " t ".\"TenantName\")"
#define CONNECTIONS_WHERE                                                                          \
	" FROM \"Connections\" AS c WHERE ($1 IS NULL OR c.\"TenantName\" = $1)"                   \
	" AND ($2 IS NULL OR (c.\"DisconnectTime\" IS NULL) = $2)"                                 \
	" AND ($3 IS NULL OR c.\"OriginId\" = $3)"
#define OUTCOME                                                                                    \
	"CASE WHEN r.\"Aborted\" THEN 'aborted' WHEN r.\"Failed\" THEN 'failed'"                   \
	" WHEN r.\"Expired\" THEN 'expired' WHEN r.\"Errored\" THEN 'errored'"                     \
	" ELSE 'succeeded' END"
#define REQUESTS_WHERE                                                                             \
	" FROM \"Requests\" AS r WHERE ($1 IS NULL OR r.\"TenantName\" = $1)"                      \
	" AND ($2 IS NULL OR r.\"RequestDate\" >= $2)"                                             \
	" AND ($3 IS NULL OR r.\"RequestDate\" < $3)"                                              \
	" AND ($4 IS NULL OR lower(r.\"Target\") = $4)"                                            \
	" AND ($5 IS NULL OR " OUTCOME " = $5)"
#define OF_TENANT                                                                                  \
	" FROM \"Requests\" AS r WHERE r.\"TenantName\" = $1"                                      \
	" AND ($2 IS NULL OR r.\"RequestDate\" >= $2) AND ($3 IS NULL OR r.\"RequestDate\" < $3)"
#define SUCCEEDED                                                                                  \
	"NOT (r.\"Aborted\" OR r.\"Failed\" OR r.\"Expired\" OR r.\"Errored\")"
#define COUNT_IF(condition) "count(*) FILTER (WHERE " condition ")"
/* No body had a TiB: once what connectors said was written down, and sums must not overflow. */
#define SUM_OF(column)                                                                             \
	"CAST(coalesce(sum(CASE WHEN r.\"" column "\" < 1099511627776 THEN r.\"" column             \
	"\" END), 0) AS bigint)"
#define SUMMARY_COLUMNS                                                                            \
	"count(*), " COUNT_IF(SUCCEEDED) ", " COUNT_IF("r.\"Aborted\"") ", "                       \
	COUNT_IF("r.\"Failed\"") ", " COUNT_IF("r.\"Expired\"") ", " COUNT_IF("r.\"Errored\"") ", " \
	SUM_OF("RequestBodySize") ", " SUM_OF("ResponseBodySize") ","                              \
	" CAST(avg(r.\"RequestDuration\") FILTER (WHERE " SUCCEEDED ") AS bigint),"                \
	" max(r.\"RequestDuration\") FILTER (WHERE " SUCCEEDED ")"
/* clang-format on */

static const struct stmt stmts[] = {
	[ORIGINS] = {.name = "stats_origins",
		     .sql = "SELECT o.\"Id\", o.\"StartupTime\", o.\"ShutdownTime\","
			    " o.\"LastSeenTime\", (SELECT count(*) FROM \"Connections\" AS c"
			    " WHERE c.\"OriginId\" = o.\"Id\" AND c.\"DisconnectTime\" IS NULL)"
			    " FROM \"Origins\" AS o ORDER BY o.\"StartupTime\" DESC, o.\"Id\""
			    " LIMIT $2 OFFSET $1",
		     .params = "ii",
		     .cols = "uMMMi"},
	[ORIGINS_COUNT] = {.name = "stats_origins_count",
			   .sql = "SELECT count(*) FROM \"Origins\"",
			   .cols = "i"},
	[CONNECTIONS] =
		{.name = "stats_connections",
		 .sql = "SELECT c.\"Id\", " NAME_OF(
			 "c") ", c.\"OriginId\","
			      " c.\"ConnectTime\", c.\"DisconnectTime\", c.\"LastSeenTime\","
			      " c.\"RemoteIpAddress\"" CONNECTIONS_WHERE
			      " ORDER BY c.\"ConnectTime\" DESC, c.\"Id\" LIMIT $5 OFFSET $4",
		 .params = "TBUii",
		 .cols = "ttuMMMT"},
	[CONNECTIONS_COUNT] = {.name = "stats_connections_count",
			       .sql = "SELECT count(*)" CONNECTIONS_WHERE,
			       .params = "TBU",
			       .cols = "i"},
	[REQUESTS] =
		{.name = "stats_requests",
		 .sql = "SELECT r.\"RequestId\", " NAME_OF(
			 "r") ", r.\"RequestDate\","
			      " r.\"RequestDuration\", r.\"HttpMethod\", r.\"Target\","
			      " r.\"RequestUrl\", r.\"HttpStatusCode\", r.\"RequestBodySize\","
			      " r.\"ResponseBodySize\", " OUTCOME REQUESTS_WHERE
			      " ORDER BY r.\"RequestDate\" DESC, r.\"Id\" DESC LIMIT $7 OFFSET $6",
		 .params = "TMMTTii",
		 .cols = "utMitttIiIt"},
	[REQUESTS_COUNT] = {.name = "stats_requests_count",
			    .sql = "SELECT count(*)" REQUESTS_WHERE,
			    .params = "TMMTT",
			    .cols = "i"},
	[SUMMARY] = {.name = "stats_summary",
		     .sql = "SELECT " SUMMARY_COLUMNS OF_TENANT,
		     .params = "tMM",
		     .cols = "iiiiiiiiII"},
	[LIVE] = {.name = "stats_live",
		  .sql = "SELECT count(*) FROM \"Connections\" WHERE \"TenantName\" = $1"
			 " AND \"DisconnectTime\" IS NULL",
		  .params = "t",
		  .cols = "i"},
	[QUANTILE] = {.name = "stats_quantile",
		      .sql = "SELECT r.\"RequestDuration\"" OF_TENANT " AND " SUCCEEDED
			     " ORDER BY r.\"RequestDuration\" LIMIT 1 OFFSET $4",
		      .params = "tMMi",
		      .cols = "i"},
};

const struct stmt_table stats_statements = {"statistics", stmts, ARRAY_LEN(stmts)};

#define AT(member) offsetof(struct stats_origin, member)
static const struct db_col origin_cols[] = {
	{"Id", 'u', AT(id)},
	{"StartupTime", 'M', AT(startup_ms)},
	{"ShutdownTime", 'M', AT(shutdown_ms)},
	{"LastSeenTime", 'M', AT(last_seen_ms)},
	{"count", 'i', AT(connections)},
};
#undef AT
static const struct db_shape origin_shape = {"origin", origin_cols, ARRAY_LEN(origin_cols),
					     sizeof(struct stats_origin)};

#define AT(member) offsetof(struct stats_connection, member)
static const struct db_col connection_cols[] = {
	{"Id", 't', AT(id)},
	{"TenantName", 't', AT(tenant)},
	{"OriginId", 'u', AT(origin)},
	{"ConnectTime", 'M', AT(connect_ms)},
	{"DisconnectTime", 'M', AT(disconnect_ms)},
	{"LastSeenTime", 'M', AT(last_seen_ms)},
	{"RemoteIpAddress", 'T', AT(remote_ip)},
};
#undef AT
static const struct db_shape connection_shape = {
	"connection", connection_cols, ARRAY_LEN(connection_cols), sizeof(struct stats_connection)};

#define AT(member) offsetof(struct stats_request, member)
static const struct db_col request_cols[] = {
	{"RequestId", 'u', AT(id)},
	{"TenantName", 't', AT(tenant)},
	{"RequestDate", 'M', AT(start_ms)},
	{"RequestDuration", 'i', AT(duration_ms)},
	{"HttpMethod", 't', AT(method)},
	{"Target", 't', AT(target)},
	{"RequestUrl", 't', AT(url)},
	{"HttpStatusCode", 'I', AT(status)},
	{"RequestBodySize", 'i', AT(request_bytes)},
	{"ResponseBodySize", 'I', AT(response_bytes)},
	{"outcome", 't', AT(outcome)},
};
#undef AT
static const struct db_shape request_shape = {"request", request_cols, ARRAY_LEN(request_cols),
					      sizeof(struct stats_request)};

#define AT(member) offsetof(struct stats_summary, member)
static const struct db_col summary_cols[] = {
	{"requests", 'i', AT(requests)},
	{"succeeded", 'i', AT(succeeded)},
	{"aborted", 'i', AT(aborted)},
	{"failed", 'i', AT(failed)},
	{"expired", 'i', AT(expired)},
	{"errored", 'i', AT(errored)},
	{"request_bytes", 'i', AT(request_bytes)},
	{"response_bytes", 'i', AT(response_bytes)},
	{"avg", 'I', AT(duration_avg_ms)},
	{"max", 'I', AT(duration_max_ms)},
};
#undef AT
static const struct db_shape summary_shape = {"summary", summary_cols, ARRAY_LEN(summary_cols),
					      sizeof(struct stats_summary)};

bool stats_is_outcome(struct str s)
{
	static const char *const names[] = {"succeeded", "aborted", "failed", "expired", "errored"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_eq(s, str_c(names[i]))) {
			return true;
		}
	}
	return false;
}

enum err stats_origins(struct db *db, struct stats_page page, struct db_rows *out,
		       int64_t *out_total)
{
	int64_t total = 0;

	TRY(db_int(db, &stmts[ORIGINS_COUNT], DB_NO_ARGS, &total));
	TRY(db_all(db, &stmts[ORIGINS], DB_ARGS(DB_INT(page.skip), DB_INT(page.take)),
		   &origin_shape, (size_t)page.take, out));
	*out_total = total;
	return ERR_OK;
}

enum err stats_connections(struct db *db, const struct stats_connection_filter *filter,
			   struct stats_page page, struct db_rows *out, int64_t *out_total)
{
	struct db_arg tenant = DB_TEXT(filter->tenant);
	struct db_arg active = DB_OPT_BOOL(filter->active);
	struct db_arg origin = DB_OPT_GUID(filter->origin);
	int64_t total = 0;

	TRY(db_int(db, &stmts[CONNECTIONS_COUNT], DB_ARGS(tenant, active, origin), &total));
	TRY(db_all(db, &stmts[CONNECTIONS],
		   DB_ARGS(tenant, active, origin, DB_INT(page.skip), DB_INT(page.take)),
		   &connection_shape, (size_t)page.take, out));
	*out_total = total;
	return ERR_OK;
}

enum err stats_requests(struct db *db, const struct stats_request_filter *filter,
			struct stats_page page, struct db_rows *out, int64_t *out_total)
{
	struct str target = filter->target.p ? str_lower(db_arena(db), filter->target) : STR_NULL;
	struct db_arg where[] = {DB_TEXT(filter->tenant), DB_OPT_TIME(filter->from_ms),
				 DB_OPT_TIME(filter->to_ms), DB_TEXT(target),
				 DB_TEXT(filter->outcome)};
	int64_t total = 0;

	TRY(db_int(db, &stmts[REQUESTS_COUNT], (struct db_args){where, ARRAY_LEN(where)}, &total));
	TRY(db_all(db, &stmts[REQUESTS],
		   DB_ARGS(where[0], where[1], where[2], where[3], where[4], DB_INT(page.skip),
			   DB_INT(page.take)),
		   &request_shape, (size_t)page.take, out));
	*out_total = total;
	return ERR_OK;
}

/* The nearest rank: the smallest duration that at least 95 % do not exceed. */
static enum err find_p95(struct db *db, const struct db_arg where[3], struct stats_summary *s)
{
	int64_t rank = (s->succeeded * 95 + 99) / 100;

	if (rank == 0) {
		return ERR_OK;
	}
	s->duration_p95_ms.has = true;
	return db_int(db, &stmts[QUANTILE], DB_ARGS(where[0], where[1], where[2], DB_INT(rank - 1)),
		      &s->duration_p95_ms.v);
}

enum err stats_summarize(struct db *db, struct str tenant, struct opt_i64 from_ms,
			 struct opt_i64 to_ms, struct stats_summary *out)
{
	struct db_arg where[3] = {DB_TEXT(tenant), DB_OPT_TIME(from_ms), DB_OPT_TIME(to_ms)};
	struct stats_summary s = {0};

	TRY(db_one(db, &stmts[SUMMARY], (struct db_args){where, ARRAY_LEN(where)}, &summary_shape,
		   &s));
	TRY(find_p95(db, where, &s));
	TRY(db_int(db, &stmts[LIVE], DB_ARGS(where[0]), &s.connections));
	*out = s;
	return ERR_OK;
}
