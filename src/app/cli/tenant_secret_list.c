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

static struct str expiry(struct cli *c, struct opt_i64 at)
{
	if (!at.has) {
		return STR("never");
	}
	return str_fmt(&c->arena, "%.*s%s", STR_ARG(cli_time(&c->arena, at)),
		       at.v <= clock_wall_ms() ? " (expired)" : "");
}

static void print_table(struct cli *c, const struct listed *v, size_t n)
{
	static const char *const heads[] = {"ID", "CREATED", "EXPIRES"};
	struct cli_table t;

	cli_table_init(&t, &c->arena, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < n; i++) {
		cli_table_add(&t, (struct str[]){guid_d_str(&c->arena, &v[i].id),
						 cli_time(&c->arena, v[i].created_ms),
						 expiry(c, v[i].expires_ms)});
	}
	cli_table_print(&t, "No secrets. Add one: posthouse tenant secret add NAME");
}

static enum err list(struct cli *c, struct str name, struct listed **out, size_t *out_n)
{
	struct str normalized = tenant_name_normalize(&c->arena, name);
	struct client client;
	struct db_rows rows;

	TRY(client_find(c->db, normalized, &client));
	TRY(client_secret_list(c->db, normalized, &rows));
	const struct client_secret *v = rows.v;
	*out = ARENA_NEW_ARRAY(&c->arena, struct listed, rows.n + 1);
	*out_n = rows.n;
	for (size_t i = 0; i < rows.n; i++) {
		(*out)[i] = (struct listed){v[i].id, {true, v[i].created_ms}, v[i].expires_ms};
	}
	return ERR_OK;
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct cli_options *o = opts;
	struct listed *v;
	struct cli c;
	size_t n;
	enum err e = cli_open(&c, o);

	(void)cmd;
	(void)n_args;
	if (e == ERR_OK) {
		e = list(&c, args[0], &v, &n);
	}
	if (e != ERR_OK) {
		return cli_failed(&c, e);
	}
	if (o->json) {
		cli_print_objects(&listed_shape, v, n, sizeof(*v));
	} else {
		print_table(&c, v, n);
	}
	cli_close(&c);
	return EXIT_DONE;
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
	.run = run,
};
