#include "base/clock.h"
#include "tls/cert.h"
#include "unit.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

struct fixture {
	struct arena arena;
	struct tls_pem rsa, ec, ec2;
};

static int set_up(void **state)
{
	static struct fixture f;

	arena_init(&f.arena, 0);
	assert_ok(tls_self_signed(&f.arena, TLS_KEY_RSA, STR("localhost"), 10, &f.rsa, NULL));
	assert_ok(tls_self_signed(&f.arena, TLS_KEY_EC, STR("localhost"), 10, &f.ec, NULL));
	assert_ok(tls_self_signed(&f.arena, TLS_KEY_EC, STR("::1"), 10, &f.ec2, NULL));
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	arena_fini(&((struct fixture *)*state)->arena);
	return 0;
}

static void expect(const struct tls_pem *pairs, size_t n, const char *want)
{
	struct tls_cert *c = NULL;
	struct fault f = {0};
	enum err e = tls_cert_new(pairs, n, &c, &f);

	if (!want) {
		assert_ok(e);
		tls_cert_unref(&c);
		return;
	}
	assert_err(e, ERR_INVALID);
	assert_null(c);
	if (strncmp(f.text, want, strlen(want)) != 0) {
		fail_msg("\"%s\" is not \"%s\"", f.text, want);
	}
}

static void test_pairs(void **state)
{
	struct fixture *f = *state;
	struct tls_pem both[] = {f->rsa, f->ec}, same[] = {f->ec, f->ec2};
	struct tls_pem mixed = {f->rsa.cert, f->ec.key}, swapped = {f->rsa.key, f->rsa.cert};
	struct tls_pem no_key = {f->rsa.cert, STR("")};
	struct tls_pem junk = {
		STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), f->rsa.key};
	struct tls_pem cut = {str_slice(f->rsa.cert, 0, f->rsa.cert.n - 30), f->rsa.key};
	struct tls_pem second_cut = {
		str_fmt(&f->arena, "%.*s%.*s", STR_ARG(f->rsa.cert), STR_ARG(cut.cert)),
		f->rsa.key};
	struct tls_pem chain = {
		str_fmt(&f->arena, "%.*s%.*s", STR_ARG(f->rsa.cert), STR_ARG(f->ec.cert)),
		f->rsa.key};

	expect(&f->rsa, 1, NULL);
	expect(&f->ec, 1, NULL);
	expect(both, 2, NULL);
	expect(&chain, 1, NULL);
	expect(&mixed, 1, "certificate does not match key");
	expect(same, 2, "certificate and alternative certificate have keys of one type");
	expect(&swapped, 1, "invalid certificate: no start line");
	expect(&no_key, 1, "invalid key: ");
	expect(&junk, 1, "invalid certificate: ");
	expect(&cut, 1, "invalid certificate: ");
	expect(&second_cut, 1, "invalid certificate: ");
}

/* Nobody is asked for a passphrase. */
static void test_encrypted_key(void **state)
{
	static const struct str key = STR_INIT("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
					       "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAc\n"
					       "-----END ENCRYPTED PRIVATE KEY-----\n");
	enum tls_key_kind kind;
	struct fault f = {0};

	(void)state;
	assert_err(tls_pem_check_key(key, &kind, &f), ERR_INVALID);
	assert_memory_equal(f.text, "invalid key: ", 13);
}

static void test_inspect(void **state)
{
	struct fixture *f = *state;
	struct tls_cert_info info;
	enum tls_key_kind kind;
	int64_t now = clock_wall_ms();

	assert_ok(tls_pem_inspect(f->rsa.cert, &info, NULL));
	assert_int_equal(info.key, TLS_KEY_RSA);
	assert_int_equal(info.count, 1);
	assert_false(info.is_ca);
	assert_true(info.not_before_ms < now && info.not_before_ms > now - DAY_MS);
	assert_true(info.not_after_ms > now + 9 * DAY_MS && info.not_after_ms < now + 11 * DAY_MS);
	assert_int_equal(strlen(info.sha256), TLS_DIGEST_LEN);
	assert_ok(tls_pem_inspect(f->ec2.cert, &info, NULL));
	assert_int_equal(info.key, TLS_KEY_EC);
	assert_ok(tls_pem_check_key(f->ec.key, &kind, NULL));
	assert_int_equal(kind, TLS_KEY_EC);
}

/* Made with openssl: its own tool says what the digest is. */
static void test_ca(void **state)
{
	static const struct str pem =
		STR_INIT("-----BEGIN CERTIFICATE-----\n"
			 "MIIBejCCASGgAwIBAgIUVlb0aF4w0qqHBce3UolCWybsZWowCgYIKoZIzj0EAwIw\n"
			 "EjEQMA4GA1UEAwwHVGVzdCBDQTAgFw0yNjExMjgxNjQyNTBaGA8yMTI2MTEwNDE2\n"
			 "NDI1MFowEjEQMA4GA1UEAwwHVGVzdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n"
			 "A0IABDzGWjpl5UgWGILtyRgGYZSqq9PqjgAVJHyPv6c5jpZqp3yBm+Lyfu154JLd\n"
			 "eGMYLiAUenMWGoBjN6xHGtuZvzKjUzBRMB0GA1UdDgQWBBTP5A0cYnOE3uuhjipl\n"
			 "g+MZILoU1jAfBgNVHSMEGDAWgBTP5A0cYnOE3uuhjiplg+MZILoU1jAPBgNVHRMB\n"
			 "Af8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIEc8s4twj8VodtbPqp938hRGxYTc\n"
			 "6IOWFXWUGV2Z0stlAiAcfBqleLzULpPplzOcRelWli/+iTlI7pEuoE0PA/1aqg==\n"
			 "-----END CERTIFICATE-----\n");
	struct tls_cert_info info;

	(void)state;
	assert_ok(tls_pem_inspect(pem, &info, NULL));
	assert_true(info.is_ca);
	assert_string_equal(info.sha256,
			    "c25f4c4d9d663825ecd46e4087502566d6b1df16943f48b7bf16b13659a0a31d");
	assert_int_equal(info.not_after_ms, INT64_C(4949484170000));
}

static void test_names(void **state)
{
	struct fixture *f = *state;
	struct tls_pem out;

	assert_err(tls_self_signed(&f->arena, TLS_KEY_EC, STR(""), 1, &out, NULL), ERR_INVALID);
	assert_err(tls_self_signed(&f->arena, TLS_KEY_EC, STR("a,DNS:b"), 1, &out, NULL),
		   ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),	cmocka_unit_test(test_encrypted_key),
		cmocka_unit_test(test_inspect), cmocka_unit_test(test_ca),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
