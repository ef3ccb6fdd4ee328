/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "identity/trust.h"

#define AUTHORITY "https://idp.example/realms/r"
#define METADATA                                                                                   \
	"{\"issuer\":\"" AUTHORITY "\",\"jwks_uri\":\"https://idp.example/certs\","                \
	"\"token_endpoint\":\"https://idp.example/token\"}"
#define KEYS                                                                                       \
	"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_ES256_X                        \
	"\",\"y\":\"" RFC_ES256_Y "\"}]}"

static struct key_source source;

static int set_up(void **state)
{
	(void)state;
	assert_ok(key_source_init(&source, STR(AUTHORITY "/"), NULL));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	key_source_fini(&source);
	return 0;
}

static void expect_nothing(int64_t now_ms)
{
	struct str url;

	assert_int_equal(key_source_next(&source, now_ms, &url), KEY_FETCH_NOTHING);
}

static void expect_fetch(int64_t now_ms, enum key_fetch what, const char *want_url)
{
	struct str url;

	assert_int_equal(key_source_next(&source, now_ms, &url), what);
	assert_str(url, str_c(want_url));
}

static void expect_metadata(int64_t now_ms)
{
	expect_fetch(now_ms, KEY_FETCH_METADATA,
		     "https://idp.example/realms/r/.well-known/openid-configuration");
}

/* A whole round at one moment. */
static void fetch_all(int64_t now_ms)
{
	expect_metadata(now_ms);
	assert_ok(key_source_feed(&source, STR(METADATA), now_ms, NULL));
	expect_fetch(now_ms, KEY_FETCH_KEYS, "https://idp.example/certs");
	assert_ok(key_source_feed(&source, STR(KEYS), now_ms, NULL));
}

static void test_first_fetch(void **state)
{
	(void)state;
	assert_null(key_source_trust(&source));
	assert_int_equal(key_source_due(&source), 0);
	expect_metadata(0);
	assert_true(key_source_due(&source) == INT64_MAX);
	expect_nothing(10);
	assert_ok(key_source_feed(&source, STR(METADATA), 20, NULL));
	assert_int_equal(key_source_due(&source), 0);
	expect_fetch(20, KEY_FETCH_KEYS, "https://idp.example/certs");
	expect_nothing(25);
	assert_null(key_source_trust(&source));
	assert_ok(key_source_feed(&source, STR(KEYS), 30, NULL));
	assert_non_null(key_source_trust(&source));
	assert_str(trust_issuer(key_source_trust(&source)), STR(AUTHORITY));
	assert_str(trust_token_endpoint(key_source_trust(&source)),
		   STR("https://idp.example/token"));
	assert_int_equal(jwks_count(trust_keys(key_source_trust(&source))), 1);
	assert_int_equal(key_source_due(&source), 30 + TRUST_REFRESH_MS);
}

static void test_routine_refresh(void **state)
{
	struct trust *before;

	(void)state;
	fetch_all(0);
	before = trust_ref(key_source_trust(&source));
	expect_nothing(TRUST_REFRESH_MS - 1);
	fetch_all(TRUST_REFRESH_MS);
	assert_ptr_not_equal(key_source_trust(&source), before);
	/* The old snapshot lives as long as somebody holds it. */
	assert_str(trust_issuer(before), STR(AUTHORITY));
	trust_unref(&before);
}

static void test_missed_key(void **state)
{
	(void)state;
	fetch_all(0);
	assert_true(key_source_miss(&source));
	assert_false(key_source_miss(&source));
	expect_nothing(TRUST_MISS_MS - 1);
	assert_int_equal(key_source_due(&source), TRUST_MISS_MS);
	fetch_all(TRUST_MISS_MS);
	expect_nothing(10 * TRUST_MISS_MS);
	assert_true(key_source_miss(&source));
	fetch_all(10 * TRUST_MISS_MS);
}

/* A flood of unknown keys costs one fetch in 15 s. */
static void test_many_misses(void **state)
{
	unsigned fetches = 0;

	(void)state;
	fetch_all(0);
	for (int64_t now = 1; now <= 60000; now++) {
		struct str url;

		(void)key_source_miss(&source);
		if (key_source_next(&source, now, &url) == KEY_FETCH_NOTHING) {
			continue;
		}
		fetches++;
		assert_ok(key_source_feed(&source, STR(METADATA), now, NULL));
		assert_int_equal(key_source_next(&source, now, &url), KEY_FETCH_KEYS);
		assert_ok(key_source_feed(&source, STR(KEYS), now, NULL));
	}
	assert_int_equal(fetches, 4);
}

static void test_failures_back_off(void **state)
{
	static const int64_t pauses[] = {1000, 2000, 4000, 8000, 15000, 15000};
	int64_t now = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pauses); i++) {
		expect_metadata(now);
		key_source_fail(&source, now);
		expect_nothing(now + pauses[i] - 1);
		now += pauses[i];
	}
	fetch_all(now);
	expect_nothing(now + TRUST_MISS_MS);
}

static void test_failed_refresh_keeps_trust(void **state)
{
	struct trust *before;

	(void)state;
	fetch_all(0);
	before = key_source_trust(&source);
	expect_metadata(TRUST_REFRESH_MS);
	assert_ok(key_source_feed(&source, STR(METADATA), TRUST_REFRESH_MS, NULL));
	expect_fetch(TRUST_REFRESH_MS, KEY_FETCH_KEYS, "https://idp.example/certs");
	assert_err(key_source_feed(&source, STR("{\"keys\":[]}"), TRUST_REFRESH_MS, NULL),
		   ERR_INVALID);
	assert_ptr_equal(key_source_trust(&source), before);
	expect_nothing(TRUST_REFRESH_MS + 999);
	fetch_all(TRUST_REFRESH_MS + 1000);
}

static void test_bad_metadata(void **state)
{
	static const char *const cases[] = {
		"",
		"[]",
		"<html>",
		"{\"issuer\":\"i\"}",
		"{\"jwks_uri\":\"https://idp.example/certs\"}",
		"{\"issuer\":\"\",\"jwks_uri\":\"https://idp.example/certs\"}",
		"{\"issuer\":\"i\",\"jwks_uri\":\"file:///etc/passwd\"}",
		"{\"issuer\":\"i\",\"jwks_uri\":\"/certs\"}",
		"{\"issuer\":\"i\",\"jwks_uri\":[\"https://idp.example/certs\"]}",
		/* keys over http undo the https of the authority */
		"{\"issuer\":\"i\",\"jwks_uri\":\"http://idp.example/certs\"}",
	};
	int64_t now = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++, now += TRUST_MISS_MS) {
		struct fault f = {0};

		expect_metadata(now);
		assert_err(key_source_feed(&source, str_c(cases[i]), now, &f), ERR_INVALID);
		assert_true(f.text[0] != '\0');
	}
	assert_null(key_source_trust(&source));
}

static void test_plain_http_authority(void **state)
{
	struct key_source s;
	struct str url;

	(void)state;
	assert_ok(key_source_init(&s, STR("http://localhost:5002"), NULL));
	assert_int_equal(key_source_next(&s, 0, &url), KEY_FETCH_METADATA);
	assert_str(url, STR("http://localhost:5002/.well-known/openid-configuration"));
	assert_ok(key_source_feed(&s, STR("{\"issuer\":\"i\",\"jwks_uri\":\"http://localhost/k\"}"),
				  0, NULL));
	assert_int_equal(key_source_next(&s, 0, &url), KEY_FETCH_KEYS);
	key_source_fini(&s);
}

static void test_bad_authority(void **state)
{
	static const char *const cases[] = {"", "/", "idp.example", "ftp://idp.example", "https:/"};
	struct key_source s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_err(key_source_init(&s, str_c(cases[i]), NULL), ERR_INVALID);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_fetch),
		TEST(test_routine_refresh),
		TEST(test_missed_key),
		TEST(test_many_misses),
		TEST(test_failures_back_off),
		TEST(test_failed_refresh_keeps_trust),
		TEST(test_bad_metadata),
		cmocka_unit_test(test_plain_http_authority),
		cmocka_unit_test(test_bad_authority),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
