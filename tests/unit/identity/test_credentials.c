/* SPDX-License-Identifier: MIT */
#include "base/enc.h"
#include "identity/credentials.h"
#include "unit.h"

#define GRANT "grant_type=client_credentials"

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static struct str basic(struct str pair)
{
	struct buf value = {0};
	struct str out;

	buf_puts(&value, "Basic ");
	base64_encode(&value, pair);
	out = str_dup(&arena, buf_str(&value));
	buf_free(&value);
	return out;
}

static void expect_ok(struct str authorization, const char *form, const char *id,
		      const char *secret, const char *scope)
{
	struct oauth_refusal refusal;
	struct token_request r;

	assert_ok(token_request_parse(&arena, authorization, str_c(form), &r, &refusal));
	assert_str(r.grant_type, STR("client_credentials"));
	assert_str(r.client_id, str_c(id));
	assert_str(r.client_secret, str_c(secret));
	assert_str(r.scope, str_c(scope));
	assert_int_equal(r.by_header, authorization.p != NULL);
}

static void expect_refusal(struct str authorization, struct str form, enum oauth_error error)
{
	struct oauth_refusal refusal = {0};
	struct token_request r = {0};

	assert_err(token_request_parse(&arena, authorization, form, &r, &refusal), ERR_INVALID);
	assert_int_equal(refusal.error, error);
	assert_non_null(refusal.text);
	assert_null(r.client_secret.p);
	assert_int_equal(r.by_header, authorization.p != NULL);
}

/* Acceptance check 41: the secret <Strong!Passw0rd> as the .NET connector sends it. */
static void test_basic(void **state)
{
	(void)state;
	expect_ok(basic(STR("TestTenant1:%3CStrong%21Passw0rd%3E")), GRANT "&scope=connector",
		  "TestTenant1", "<Strong!Passw0rd>", "connector");
	expect_ok(basic(STR("a%3Ab:c:d%2B+e")), GRANT, "a:b", "c:d+ e", "");
	expect_ok(str_fmt(&arena, "basic   %.*s", STR_ARG(str_skip(basic(STR("a:b")), 6))), GRANT,
		  "a", "b", "");
	/* The name may be repeated in the form. */
	expect_ok(basic(STR("a:b")), GRANT "&client_id=a", "a", "b", "");
}

static void test_body(void **state)
{
	(void)state;
	expect_ok(STR_NULL, GRANT "&client_id=branch%201&client_secret=%3Cx%3E+%2B", "branch 1",
		  "<x> +", "");
	expect_ok(STR_NULL, "client_secret=s&&unknown=1&client_id=c&scope=a+b&" GRANT, "c", "s",
		  "a b");
	expect_ok(STR_NULL, GRANT "&client_id=c&client_secret=s&scope=", "c", "s", "");
	expect_ok(STR_NULL, GRANT "&cl%69ent_id=c&client_secret=s", "c", "s", "");
}

static void test_refusals_of_form(void **state)
{
	static const struct {
		const char *form;
		enum oauth_error error;
	} cases[] = {
		{"", OAUTH_INVALID_REQUEST},
		{"{}", OAUTH_INVALID_REQUEST},
		{"client_id=c&client_secret=s", OAUTH_INVALID_REQUEST},
		{"grant_type=&client_id=c&client_secret=s", OAUTH_INVALID_REQUEST},
		{GRANT "&" GRANT "&client_id=c&client_secret=s", OAUTH_INVALID_REQUEST},
		{GRANT "&client_id=c&client_secret=s&client_secret=t", OAUTH_INVALID_REQUEST},
		{GRANT "&client_id=c&client_id=c&client_secret=s", OAUTH_INVALID_REQUEST},
		{GRANT "&client_id=c&client_secret=%zz", OAUTH_INVALID_REQUEST},
		{GRANT "&client_id=c&client_secret=%", OAUTH_INVALID_REQUEST},
		{GRANT "&client_id=c%00d&client_secret=s", OAUTH_INVALID_REQUEST},
		{GRANT "&client_id=c%0d%0ad&client_secret=s", OAUTH_INVALID_REQUEST},
		{GRANT "&client_id=%ff&client_secret=s", OAUTH_INVALID_REQUEST},
		{GRANT, OAUTH_INVALID_CLIENT},
		{GRANT "&client_id=c", OAUTH_INVALID_CLIENT},
		{GRANT "&client_secret=s", OAUTH_INVALID_CLIENT},
		{GRANT "&client_id=&client_secret=s", OAUTH_INVALID_CLIENT},
		{GRANT "&client_id=c&client_secret=", OAUTH_INVALID_CLIENT},
		{GRANT "&Client_Id=c&client_secret=s", OAUTH_INVALID_CLIENT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		expect_refusal(STR_NULL, str_c(cases[i].form), cases[i].error);
	}
}

static void test_refusals_of_header(void **state)
{
	(void)state;
	expect_refusal(STR(""), STR(GRANT), OAUTH_INVALID_CLIENT);
	expect_refusal(STR("Basic"), STR(GRANT), OAUTH_INVALID_CLIENT);
	expect_refusal(STR("Basic "), STR(GRANT), OAUTH_INVALID_CLIENT);
	expect_refusal(STR("Basic !!!!"), STR(GRANT), OAUTH_INVALID_CLIENT);
	expect_refusal(STR("Bearer abc"), STR(GRANT), OAUTH_INVALID_CLIENT);
	expect_refusal(basic(STR("nocolon")), STR(GRANT), OAUTH_INVALID_CLIENT);
	expect_refusal(basic(STR(":secret")), STR(GRANT), OAUTH_INVALID_CLIENT);
	expect_refusal(basic(STR("id:")), STR(GRANT), OAUTH_INVALID_CLIENT);
	expect_refusal(basic(STR("id:100%")), STR(GRANT), OAUTH_INVALID_CLIENT);
	expect_refusal(basic(STR("id:a\0b")), STR(GRANT), OAUTH_INVALID_CLIENT);
	expect_refusal(basic(STR("id:\xff")), STR(GRANT), OAUTH_INVALID_CLIENT);
	/* Two ways at once. */
	expect_refusal(basic(STR("a:b")), STR(GRANT "&client_id=a&client_secret=b"),
		       OAUTH_INVALID_REQUEST);
	expect_refusal(basic(STR("a:b")), STR(GRANT "&client_secret=b"), OAUTH_INVALID_REQUEST);
	expect_refusal(basic(STR("a:b")), STR(GRANT "&client_id=c"), OAUTH_INVALID_REQUEST);
}

static struct str repeated(const char *head, const char *piece, size_t n)
{
	struct buf text = {0};
	struct str out;

	buf_put(&text, str_c(head));
	while (n-- > 0) {
		buf_put(&text, str_c(piece));
	}
	out = str_dup(&arena, buf_str(&text));
	buf_free(&text);
	return out;
}

static void test_limits(void **state)
{
	(void)state;
	expect_refusal(STR_NULL, repeated(GRANT "&x=", "x", CREDENTIALS_FORM_MAX),
		       OAUTH_INVALID_REQUEST);
	expect_refusal(STR_NULL, repeated(GRANT, "&a=b", CREDENTIALS_PARAMS_MAX),
		       OAUTH_INVALID_REQUEST);
	expect_refusal(basic(repeated("id:", "x", CREDENTIALS_HEADER_MAX)), STR(GRANT),
		       OAUTH_INVALID_CLIENT);
	expect_refusal(basic(repeated("id:", "x", 257)), STR(GRANT), OAUTH_INVALID_CLIENT);
	expect_refusal(STR_NULL,
		       repeated(GRANT "&client_secret=s&client_id=", "x", CREDENTIALS_ID_MAX + 1),
		       OAUTH_INVALID_CLIENT);
}

static void test_error_names(void **state)
{
	(void)state;
	assert_str(oauth_error_name(OAUTH_INVALID_CLIENT), STR("invalid_client"));
	assert_str(oauth_error_name(OAUTH_UNSUPPORTED_GRANT_TYPE), STR("unsupported_grant_type"));
	assert_int_equal(oauth_error_status(OAUTH_INVALID_CLIENT), 401);
	assert_int_equal(oauth_error_status(OAUTH_INVALID_SCOPE), 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_refusals_of_form),
		cmocka_unit_test(test_refusals_of_header),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_error_names),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
