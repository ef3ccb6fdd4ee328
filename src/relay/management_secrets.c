/* Secrets of tenants: several each, so that they can be changed without an outage. */
#include "relay/management_int.h"

#include "base/clock.h"
#include "identity/secret.h"
#include "identity/secret_store.h"
#include "relay/listing.h"

struct secret_out {
	struct guid id;
	struct str secret;
	struct opt_i64 created_ms, expires_ms;
};

#define AT(member) offsetof(struct secret_out, member)
static const struct json_field listed_fields[] = {
	{"id", JSON_F_GUID, AT(id), 0, 0, 0},
	{"created", JSON_F_TIME, AT(created_ms), 0, 0, 0},
	{"expiration", JSON_F_TIME, AT(expires_ms), 0, 0, 0},
};
static const struct json_field new_fields[] = {
	{"id", JSON_F_GUID, AT(id), JSON_READONLY, 0, 0},
	{"secret", JSON_F_STR, AT(secret), 0, 0, SECRET_LEN_MAX},
	{"created", JSON_F_TIME, AT(created_ms), JSON_READONLY, 0, 0},
	{"expiration", JSON_F_TIME, AT(expires_ms), 0, 0, 0},
};
#undef AT
const struct json_shape management_secret_shape = {"secret", listed_fields,
						   ARRAY_LEN(listed_fields)};
const struct json_shape management_new_secret_shape = {"secret", new_fields, ARRAY_LEN(new_fields)};

/* GET /management/tenants/{name}/secrets */
enum err management_secrets_list(struct task *t)
{
	struct str tenant = management_tenant(t);
	struct client client;
	struct db_rows rows;

	TRY(client_find(t->db, tenant, &client));
	TRY(client_secret_list(t->db, tenant, &rows));

	const struct client_secret *stored = rows.v;
	struct secret_out *out = ARENA_NEW_ARRAY(&t->arena, struct secret_out, rows.n + 1);
	for (size_t i = 0; i < rows.n; i++) {
		out[i] = (struct secret_out){.id = stored[i].id,
					     .created_ms = {true, stored[i].created_ms},
					     .expires_ms = stored[i].expires_ms};
	}
	struct listing all = {0, (int64_t)rows.n, (int64_t)rows.n};
	return listing_reply(t, &all, &management_secret_shape, out, rows.n, sizeof(*out));
}

/* The body may be left out: then the secret is ours and does not expire. */
static enum err read_wish(struct task *t, struct secret_out *out)
{
	if (t->body.n == 0) {
		return ERR_OK;
	}
	TRY(task_body_json(t, &management_new_secret_shape, out));
	if (out->expires_ms.has && out->expires_ms.v <= clock_wall_ms()) {
		return fault_set(&t->fault, ERR_INVALID, "secret.expiration: is in the past");
	}
	return out->secret.p ? secret_check_chosen(out->secret, &t->fault) : ERR_OK;
}

/* POST /management/tenants/{name}/secrets */
enum err management_secrets_add(struct task *t)
{
	struct secret_out out = {0};
	struct str tenant = management_tenant(t);

	TRY(read_wish(t, &out));
	bool chosen = out.secret.p != NULL;
	out.id = guid_new();
	out.created_ms = (struct opt_i64){true, clock_wall_ms()};
	out.secret = chosen ? out.secret : secret_new(&t->arena);

	struct client_secret stored = {
		.id = out.id,
		.value = chosen ? secret_hash_chosen(&t->arena, out.secret)
				: secret_hash_random(&t->arena, out.secret),
		.created_ms = out.created_ms.v,
		.expires_ms = out.expires_ms,
	};
	enum err e = client_secret_add(t->db, tenant, &stored);
	if (e == ERR_LIMIT) {
		return task_refuse(t, 409, "the tenant has %d secrets already: delete one first",
				   CLIENT_SECRETS_MAX);
	}
	TRY(e);
	http_header_set(&t->arena, &t->reply.headers, STR("Cache-Control"), STR("no-store"));
	return task_reply_json(t, 201, &management_new_secret_shape, &out);
}

/* DELETE /management/tenants/{name}/secrets/{id} */
enum err management_secrets_remove(struct task *t)
{
	struct guid id;

	if (guid_parse(task_param(t, "id"), &id) != ERR_OK) {
		return fault_set(&t->fault, ERR_NOT_FOUND, "there is no such secret");
	}
	TRY(client_secret_remove(t->db, management_tenant(t), &id));
	return task_reply_status(t, 204);
}
