#include "relay/management.h"

#include "base/utf8.h"
#include "relay/about.h"
#include "relay/listing.h"
#include "relay/management_int.h"
#include "relay/tenant_store.h"

#define TENANT_BODY_MAX (64 << 10)
#define OPENAPI_PATH "/docs/ManagementApi/openapi.json"

#define AT(member) offsetof(struct tenant_row, member)
static const struct json_field tenant_fields[] = {
	{"name", JSON_F_STR, AT(name), 0, 0, 0},
	{"displayName", JSON_F_STR, AT(display), 0, 0, 0},
	{"description", JSON_F_STR, AT(description), 0, 0, 0},
	{"requireAuthentication", JSON_F_BOOL, AT(require_authentication), 0, 0, 0},
	{"maximumConcurrentConnectorRequests", JSON_F_I64, AT(max_concurrent), 0, INT32_MIN,
	 INT32_MAX},
	{"keepAliveInterval", JSON_F_SPAN, AT(configure.keep_alive_interval_ms), 0, 0, 0},
	{"enableTracing", JSON_F_OPT_BOOL, AT(configure.enable_tracing), 0, 0, 0},
	{"reconnectMinimumDelay", JSON_F_SPAN, AT(configure.reconnect_minimum_delay_ms), 0, 0, 0},
	{"reconnectMaximumDelay", JSON_F_SPAN, AT(configure.reconnect_maximum_delay_ms), 0, 0, 0},
};
#undef AT
const struct json_shape management_tenant_shape = {"tenant", tenant_fields,
						   ARRAY_LEN(tenant_fields)};

struct str management_tenant(struct task *t)
{
	return tenant_name_normalize(&t->arena, task_param(t, "name"));
}

static void tell_change(struct task *t, struct str normalized)
{
	const struct management *m = t->role;

	if (m->tenant_changed) {
		m->tenant_changed(m->arg, normalized);
	}
}

/* ---- checks ---- */

static enum err check_text(struct task *t, const char *what, struct str s, size_t max)
{
	size_t chars = 0, step;

	for (struct str rest = s; (step = utf8_next(rest)) > 0; rest = str_skip(rest, step)) {
		chars++;
	}
	if (chars > max) {
		return fault_set(&t->fault, ERR_INVALID, "tenant.%s: has more than %zu characters",
				 what, max);
	}
	if (s.n > 0 && memchr(s.p, 0, s.n)) {
		return fault_set(&t->fault, ERR_INVALID, "tenant.%s: holds a NUL character", what);
	}
	return ERR_OK;
}

/* Two of it without a word, and a connection is cut off: a round trip must fit in. */
static enum err check_keep_alive(struct task *t, struct opt_i64 ms)
{
	if (ms.has && ms.v > 0 && ms.v < TENANT_KEEP_ALIVE_MIN_MS) {
		return fault_set(&t->fault, ERR_INVALID,
				 "tenant.keepAliveInterval: must be at least a second");
	}
	return ERR_OK;
}

static enum err check_span(struct task *t, const char *what, struct opt_i64 ms)
{
	const int64_t max = 365LL * 86400 * 1000;

	if (ms.has && (ms.v <= 0 || ms.v > max)) {
		return fault_set(&t->fault, ERR_INVALID,
				 "tenant.%s: must be more than 0 and at most 365 days", what);
	}
	return ERR_OK;
}

static enum err read_tenant(struct task *t, struct tenant_row *out)
{
	const struct tenant_configure *c = &out->configure;

	TRY(task_body_json(t, &management_tenant_shape, out));
	TRY(check_text(t, "displayName", out->display, TENANT_DISPLAY_MAX));
	TRY(check_text(t, "description", out->description, TENANT_DESCRIPTION_MAX));
	TRY(check_span(t, "keepAliveInterval", c->keep_alive_interval_ms));
	TRY(check_keep_alive(t, c->keep_alive_interval_ms));
	TRY(check_span(t, "reconnectMinimumDelay", c->reconnect_minimum_delay_ms));
	return check_span(t, "reconnectMaximumDelay", c->reconnect_maximum_delay_ms);
}

/* ---- tenants ---- */

/* GET /management/tenants */
static enum err tenants_list(struct task *t)
{
	struct listing page;
	struct db_rows rows;

	TRY(listing_params(t, &page));
	TRY(tx_begin_read(t->db));
	TRY(tenant_store_list(t->db, page.skip, page.take, &rows, &page.total));
	TRY(tx_commit(t->db));
	return listing_reply(t, &page, &management_tenant_shape, rows.v, rows.n,
			     sizeof(struct tenant_row));
}

/* GET /management/tenants/{name} */
static enum err tenant_show(struct task *t)
{
	struct tenant_row row;

	TRY(tenant_store_get(t->db, management_tenant(t), &row));
	return task_reply_json(t, 200, &management_tenant_shape, &row);
}

/* POST /management/tenants */
static enum err tenant_create(struct task *t)
{
	struct tenant_row row = {0};

	TRY(read_tenant(t, &row));
	TRY(tenant_name_check(row.name, &t->fault));
	row.normalized = tenant_name_normalize(&t->arena, row.name);

	TRY(tx_begin(t->db));
	TRY(tenant_store_insert(t->db, &row));
	TRY(tx_commit(t->db));
	tell_change(t, row.normalized);
	return task_reply_status(t, 202);
}

/* PUT /management/tenants/{name}; a name in the body is ignored. */
static enum err tenant_replace(struct task *t)
{
	struct tenant_row row = {0};

	TRY(read_tenant(t, &row));
	row.normalized = management_tenant(t);

	TRY(tx_begin(t->db));
	TRY(tenant_store_update(t->db, &row));
	TRY(tx_commit(t->db));
	tell_change(t, row.normalized);
	return task_reply_status(t, 202);
}

/* DELETE /management/tenants/{name} */
static enum err tenant_delete(struct task *t)
{
	struct str normalized = management_tenant(t);

	TRY(tenant_store_remove(t->db, normalized));
	tell_change(t, normalized);
	return task_reply_status(t, 204);
}

/* ---- documents ---- */

static struct about about_of(const struct task *t)
{
	const struct management *m = t->role;

	return (struct about){&management_table, "Posthouse management", OPENAPI_PATH,
			      m->key_header};
}

static enum err index_page(struct task *t)
{
	struct about about = about_of(t);

	return about_page(t, &about);
}

static enum err openapi(struct task *t)
{
	struct about about = about_of(t);

	return about_openapi(t, &about);
}

/* ---- the table ---- */

static const struct rest_route routes[] = {
	{"GET", "/management/tenants", tenants_list, REST_DB, REST_READ, 0,
	 "Lists tenants by name (?skip=0&take=10).", NULL, NULL},
	{"POST", "/management/tenants", tenant_create, REST_DB, REST_WRITE, TENANT_BODY_MAX,
	 "Creates a tenant; 409 when there is one of that name in any case.",
	 &management_tenant_shape, NULL},
	{"GET", "/management/tenants/{name}", tenant_show, REST_DB, REST_READ, 0, "Shows a tenant.",
	 NULL, &management_tenant_shape},
	{"PUT", "/management/tenants/{name}", tenant_replace, REST_DB, REST_WRITE, TENANT_BODY_MAX,
	 "Replaces a tenant's values; its name stays.", &management_tenant_shape, NULL},
	{"DELETE", "/management/tenants/{name}", tenant_delete, REST_DB, REST_WRITE, 0,
	 "Deletes a tenant with all that belongs to it.", NULL, NULL},
	{"GET", "/management/tenants/{name}/secrets", management_secrets_list, REST_DB, REST_READ,
	 0, "Lists the secrets of a tenant, without their values.", NULL, NULL},
	{"POST", "/management/tenants/{name}/secrets", management_secrets_add, REST_SLOW,
	 REST_WRITE, TENANT_BODY_MAX, "Adds a secret and shows it, this once.",
	 &management_new_secret_shape, &management_new_secret_shape},
	{"DELETE", "/management/tenants/{name}/secrets/{id}", management_secrets_remove, REST_DB,
	 REST_WRITE, 0, "Deletes a secret; tokens already issued stay valid until they expire.",
	 NULL, NULL},
	{"GET", OPENAPI_PATH, openapi, REST_DB, REST_OPEN, 0, "This interface for programs.", NULL,
	 NULL},
	{"GET", "/", index_page, REST_DB, REST_OPEN, 0, "This interface for people.", NULL, NULL},
};

const struct rest_table management_table = {"management", routes, ARRAY_LEN(routes)};

void management_error(struct task *t, int status)
{
	if (status == 401 || (status >= 403 && status <= 405)) {
		return;
	}
	rest_problem(t, status);
}
