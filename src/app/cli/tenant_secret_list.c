#include "app/cli/cli.h"
#include "base/clock.h"
#include "identity/secret_store.h"
#include "relay/tenant_store.h"

static const struct option options[] = {CLI_OPTIONS};

struct listed {
	struct guid id;
	struct opt_i64 created_ms, expires_ms;
};

static const struct json_field listed_fields[] = {
	{"id", JSON_F_GUID, offsetof(struct listed, id), 0, 0, 0},
	{"created", JSON_F_TIME, offsetof(struct listed, created_ms), 0, 0, 0},
	{"expiration", JSON_F_TIME, offsetof(struct listed, expires_ms), 0, 0, 0},
};
static const struct json_shape listed_shape = {"secret", listed_fields, ARRAY_LEN(listed_fields)};

static struct str expiry(struct arena *a, struct opt_i64 at)
{
	if (!at.has) {
		return STR("never");
	}
	return str_fmt(a, "%.*s%s", STR_ARG(cli_time(a, at)),
		       at.v <= clock_wall_ms() ? " (expired)" : "");
}

static void cells(struct arena *a, const void *row, struct str *out)
{
	const struct listed *v = row;

	*out++ = guid_d_str(a, &v->id);
	*out++ = cli_time(a, v->created_ms);
	*out = expiry(a, v->expires_ms);
}

static const char *const heads[] = {"ID", "CREATED", "EXPIRES"};
static const struct cli_listing listing = {
	.shape = &listed_shape,
	.size = sizeof(struct listed),
	.heads = heads,
	.n_columns = ARRAY_LEN(heads),
	.cells = cells,
	.none = "No secrets. Add one: posthouse tenant secret add NAME",
};

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	struct str normalized = tenant_name_normalize(&c->arena, args[0]);
	struct client client;
	struct db_rows rows;

	(void)opts;
	TRY(client_find(c->db, normalized, &client));
	TRY(client_secret_list(c->db, normalized, &rows));
	const struct client_secret *v = rows.v;
	struct listed *shown = ARENA_NEW_ARRAY(&c->arena, struct listed, rows.n + 1);
	for (size_t i = 0; i < rows.n; i++) {
		shown[i] = (struct listed){v[i].id, {true, v[i].created_ms}, v[i].expires_ms};
	}
	cli_print_rows(c, &listing, &(struct db_rows){shown, rows.n});
	return ERR_OK;
}

const struct command tenant_secret_list_command = {
	.name = "tenant secret list",
	.usage = "NAME",
	.doc = "List the secrets of a tenant, without their values.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct cli_options),
	.args_min = 1,
	.args_max = 1,
	.run = cli_run,
	.work = work,
};
