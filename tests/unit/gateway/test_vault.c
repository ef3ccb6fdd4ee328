#include "gateway/tree.h"
#include "gateway/vault.h"
#include "unit.h"

#include <stdlib.h>

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	(void)setenv("VT_SECRET_KEY", "s3", 1);
	(void)setenv("VT_DB", "{\"user\":\"u\",\"port\":5432,\"tls\":true,\"more\":{}}", 1);
	(void)setenv("VT_B64_KEY", "czM=\n", 1);
	(void)setenv("VT_B64_DB", "eyJ1c2VyIjoidSJ9", 1);
	(void)setenv("VT_B64_NUL", "YQBi", 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static const struct json *find_vault(void *arg, struct str prefix)
{
	struct json *v = NULL;

	(void)arg;
	if (str_eq(prefix, STR("mine"))) {
		assert_ok(json_parse(&arena,
				     STR("{\"name\":\"env\",\"prefix\":\"mine\","
					 "\"config\":{\"prefix\":\"vt_\"}}"),
				     &v, NULL));
	} else if (str_eq(prefix, STR("b64"))) {
		assert_ok(json_parse(&arena,
				     STR("{\"name\":\"env\",\"prefix\":\"b64\","
					 "\"config\":{\"prefix\":\"vt_\",\"base64_decode\":true}}"),
				     &v, NULL));
	} else if (str_eq(prefix, STR("aws1"))) {
		assert_ok(json_parse(&arena, STR("{\"name\":\"aws\",\"config\":{}}"), &v, NULL));
	}
	return v;
}

static const struct vaults vaults = {find_vault, NULL};

static void resolves_references(void **state)
{
	static const struct {
		const char *reference, *want;
	} cases[] = {
		{"{vault://env/vt-secret-key}", "s3"},	 {"{vault://env/VT_SECRET_KEY}", "s3"},
		{"{vault://mine/secret-key}", "s3"},	 {"{vault://env/vt-db/user}", "u"},
		{"{vault://mine/db/port}", "5432"},	 {"{vault://env/vt-db/tls}", "true"},
		{"{vault://env/vt-db/user?ttl=5}", "u"}, {"{vault://b64/b64-key}", "s3"},
		{"{vault://b64/b64-db/user}", "u"},	 {"{vault://mine/b64-key}", "czM=\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str out;

		assert_true(vault_is_reference(str_c(cases[i].reference)));
		assert_ok(vault_resolve(&arena, &vaults, str_c(cases[i].reference), &out, NULL));
		assert_str(out, str_c(cases[i].want));
	}
}

static void says_what_is_missing_but_no_secret(void **state)
{
	static const struct {
		const char *reference;
		enum err want;
		const char *text;
	} cases[] = {
		{"plain", ERR_INVALID, "not a reference to a vault"},
		{"{vault://env}", ERR_INVALID, "{vault://env}: a reference is {vault://NAME/KEY}"},
		{"{vault://env/}", ERR_INVALID,
		 "{vault://env/}: a reference is {vault://NAME/KEY}"},
		{"{vault://nope/x}", ERR_NOT_FOUND, "there is no vault 'nope'"},
		{"{vault://aws1/x}", ERR_INVALID,
		 "vault 'aws1' is of a kind that is not supported"},
		{"{vault://env/vt-none}", ERR_NOT_FOUND, "environment variable VT_NONE is not set"},
		{"{vault://b64/secret-key}", ERR_NOT_FOUND,
		 "environment variable VT_SECRET_KEY holds no text in base64"},
		{"{vault://b64/b64-nul}", ERR_NOT_FOUND,
		 "environment variable VT_B64_NUL holds no text in base64"},
		{"{vault://env/vt-secret-key/x}", ERR_NOT_FOUND,
		 "the secret is no JSON object, so it has no 'x'"},
		{"{vault://env/vt-db/none}", ERR_NOT_FOUND, "the secret has no text 'none'"},
		{"{vault://env/vt-db/more}", ERR_NOT_FOUND, "the secret has no text 'more'"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault f = {0};
		struct str out;

		assert_err(vault_resolve(&arena, &vaults, str_c(cases[i].reference), &out, &f),
			   cases[i].want);
		assert_string_equal(f.text, cases[i].text);
	}
}

static void resolves_only_referenceable_fields(void **state)
{
	static const struct schema_field text = {.type = SCHEMA_STRING};
	static const struct schema_field inner_fields[] = {
		{.name = "password", .type = SCHEMA_STRING, .flags = SCHEMA_REFERENCEABLE},
	};
	static const struct schema inner = {
		.name = "inner", .fields = inner_fields, .n = ARRAY_LEN(inner_fields)};
	static const struct schema_field fields[] = {
		{.name = "a", .type = SCHEMA_STRING},
		{.name = "b",
		 .type = SCHEMA_ARRAY,
		 .flags = SCHEMA_REFERENCEABLE,
		 .elements = &text},
		{.name = "c", .type = SCHEMA_RECORD, .record = &inner},
	};
	static const struct schema s = {.name = "s", .fields = fields, .n = ARRAY_LEN(fields)};
	const struct json *out;
	struct fault f = {0};
	struct json *v;

	(void)state;
	assert_ok(json_parse(&arena,
			     STR("{\"a\":\"{vault://env/vt-secret-key}\","
				 "\"b\":[\"x\",\"{vault://env/vt-secret-key}\"],"
				 "\"c\":{\"password\":\"{vault://env/vt-db/user}\"}}"),
			     &v, NULL));
	assert_ok(vault_resolve_all(&arena, &vaults, &s, v, &out, &f));
	assert_str(json_str(json_get(out, STR("a"))), STR("{vault://env/vt-secret-key}"));
	assert_str(json_str(json_get(out, STR("b"))->child->next), STR("s3"));
	assert_str(json_str(tree_at(out, "c.password")), STR("u"));
	/* What was given is as it was. */
	assert_str(json_str(tree_at(v, "c.password")), STR("{vault://env/vt-db/user}"));

	assert_ok(json_parse(&arena, STR("{\"a\":\"x\",\"b\":[],\"c\":null}"), &v, NULL));
	assert_ok(vault_resolve_all(&arena, &vaults, &s, v, &out, &f));
	assert_ptr_equal(out, v);

	assert_ok(json_parse(&arena, STR("{\"c\":{\"password\":\"{vault://env/vt-none}\"}}"), &v,
			     NULL));
	assert_err(vault_resolve_all(&arena, &vaults, &s, v, &out, &f), ERR_NOT_FOUND);
	assert_string_equal(f.text, "password: environment variable VT_NONE is not set");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(resolves_references),
		TEST(says_what_is_missing_but_no_secret),
		TEST(resolves_only_referenceable_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
