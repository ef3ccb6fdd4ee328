/*
 * basic-auths: names and passwords of consumers. What is stored and returned is the hex
 * SHA-1 of password and consumer id, as clients that move credentials between gateways
 * expect; no other form would stay theirs.
 */
#include "base/enc.h"
#include "gateway/entity_int.h"
#include "tls/crypto.h"

static const struct schema_field fields[] = {
	ENTITY_ID,
	ENTITY_CREATED_AT,
	ENTITY_FOREIGN("consumer", SCHEMA_REQUIRED, "consumers", .on_delete = "cascade"),
	{.name = "username", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED | SCHEMA_UNIQUE},
	{.name = "password", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED | SCHEMA_SECRET},
	ENTITY_TAGS,
};

static struct str hashed(struct arena *a, struct str password, struct str consumer)
{
	struct buf hex = {0};
	uint8_t digest[SHA1_LEN];
	struct str s = STR_CAT(a, password, consumer);

	crypto_sha1(s, digest);
	hex_encode(&hex, str_of(digest, sizeof(digest)));
	s = str_dup(a, buf_str(&hex));
	buf_free(&hex);
	return s;
}

/* A password that was not sent is stored already. */
static void finish(struct arena *a, const struct schema_input *in, struct json *v,
		   struct schema_errors *errors)
{
	struct str password = json_str(json_get(v, STR("password")));
	struct str consumer = json_str(tree_at(v, "consumer.id"));

	(void)errors;
	if (!in->keep_derived && !json_is_null(json_get(in->value, STR("password")))) {
		tree_set(a, v, STR("password"), tree_str(a, hashed(a, password, consumer)));
	}
}

const struct schema entity_basic_auth_schema = {.name = "basicauth_credentials",
						.fields = fields,
						.n = ARRAY_LEN(fields),
						.finish = finish};
