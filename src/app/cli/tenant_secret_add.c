#include "app/cli/secrets.h"
#include "base/clock.h"
#include "relay/tenant_store.h"

#include <stdio.h>

struct add_options {
	struct cli_options common;
	struct str secret, expires;
};

static const struct option options[] = {
	CLI_OPTIONS,
	{"secret", "SECRET|-", "use this one (- reads it) instead of a random one",
	 offsetof(struct add_options, secret), false},
	{"expires", "TIME|DURATION", "end of its life, as 2027-01-01T00:00:00Z or 90d",
	 offsetof(struct add_options, expires), false},
};

struct added {
	struct guid id;
	struct str name, secret;
	struct opt_i64 expires_ms;
};

static const struct json_field added_fields[] = {
	{"name", JSON_F_STR, offsetof(struct added, name), 0, 0, 0},
	{"id", JSON_F_GUID, offsetof(struct added, id), 0, 0, 0},
	{"secret", JSON_F_STR, offsetof(struct added, secret), 0, 0, 0},
	{"expiration", JSON_F_TIME, offsetof(struct added, expires_ms), 0, 0, 0},
};
static const struct json_shape added_shape = {"secret", added_fields, ARRAY_LEN(added_fields)};

static enum err read_expiry(struct str text, struct opt_i64 *out, struct fault *f)
{
	int64_t ms;

	*out = (struct opt_i64){0};
	if (!text.p) {
		return ERR_OK;
	}
	if (duration_parse(text, &ms) == ERR_OK) {
		*out = (struct opt_i64){true, clock_wall_ms() + ms};
	} else if (clock_iso_parse(text, &ms) == ERR_OK) {
		*out = (struct opt_i64){true, ms};
	}
	if (!out->has || out->v <= clock_wall_ms()) {
		return fault_set(f, ERR_INVALID,
				 "--expires is a time to come, like 2027-01-01T00:00:00Z or 90d");
	}
	return ERR_OK;
}

static enum err add(struct cli *c, const struct add_options *o, struct added *a)
{
	struct client_secret stored;
	struct opt_i64 expires;

	TRY(read_expiry(o->expires, &expires, &c->fault));
	TRY(secrets_make(c, o->secret, &a->secret, &stored));
	stored.expires_ms = expires;
	TRY(client_secret_add(c->db, tenant_name_normalize(&c->arena, a->name), &stored));
	a->id = stored.id;
	a->expires_ms = expires;
	return ERR_OK;
}

static void print_added(struct cli *c, const struct added *a)
{
	printf("id      %.*s\nsecret  %.*s\n", STR_ARG(guid_d_str(&c->arena, &a->id)),
	       STR_ARG(a->secret));
	(void)fprintf(stderr, "Keep the secret: it is not shown again.\n");
}

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	struct added added = {.name = args[0]};

	TRY(add(c, opts, &added));
	if (c->json) {
		cli_print_object(&added_shape, &added);
	} else {
		print_added(c, &added);
	}
	return ERR_OK;
}

const struct command tenant_secret_add_command = {
	.name = "tenant secret add",
	.usage = "NAME",
	.doc = "Add a secret to a tenant and print it, once.",
	.more = "A tenant may have several, so that a secret can be changed without an outage:\n"
		"add the new one, move the connectors, remove the old one.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct add_options),
	.args_min = 1,
	.args_max = 1,
	.run = cli_run,
	.work = work,
};
