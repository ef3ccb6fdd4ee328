#include "app/config.h"
#include "app/listen.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
	struct arena arena;
	struct conf_node *root;
	struct listen_set set;
	struct fault fault;
	char dir[64];
};

static int set_up(void **state)
{
	static struct fixture f;
	struct tls_pem pem, other;

	f = (struct fixture){.dir = "/tmp/posthouse-listen-XXXXXX"};
	arena_init(&f.arena, 0);
	assert_non_null(mkdtemp(f.dir));
	assert_ok(tls_self_signed(&f.arena, TLS_KEY_EC, STR("a"), 1, &pem, NULL));
	assert_ok(tls_self_signed(&f.arena, TLS_KEY_RSA, STR("b"), 1, &other, NULL));
	const struct {
		const char *name;
		struct str text;
	} files[] = {{"cert.pem", pem.cert},
		     {"key.pem", pem.key},
		     {"cert2.pem", other.cert},
		     {"key2.pem", other.key}};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		FILE *out = fopen(
			str_cstr(&f.arena, str_fmt(&f.arena, "%s/%s", f.dir, files[i].name)), "w");

		assert_non_null(out);
		assert_int_equal(fwrite(files[i].text.p, 1, files[i].text.n, out), files[i].text.n);
		assert_int_equal(fclose(out), 0);
	}
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"cert.pem", "key.pem", "cert2.pem", "key2.pem"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)unlink(str_cstr(&f->arena, str_fmt(&f->arena, "%s/%s", f->dir, names[i])));
	}
	(void)rmdir(f->dir);
	arena_fini(&f->arena);
	return 0;
}

/* As a file in the directory of the certificates. */
static enum err read_text(struct fixture *f, const char *listen)
{
	struct arena *a = &f->arena;
	struct str text = str_fmt(a, "listen: %s\n", listen);

	f->fault = (struct fault){0};
	assert_ok(config_parse(a, text, str_fmt(a, "%s/p.yml", f->dir), &f->root, NULL));
	return listen_read(a, "relay", conf_get(f->root, STR("listen")), &f->set, &f->fault);
}

static enum err make(struct fixture *f)
{
	struct tls_server *tls = NULL;
	enum err e = listen_tls(&f->set.v[0], NULL, NULL, &tls, &f->fault);

	assert_int_equal(e == ERR_OK, tls != NULL);
	tls_server_unref(&tls);
	return e;
}

static void says(const struct fixture *f, const char *want)
{
	if (!strstr(f->fault.text, want)) {
		fail_msg("\"%s\" lacks \"%s\"", f->fault.text, want);
	}
}

static void test_forms(void **state)
{
	struct fixture *f = *state;

	assert_ok(read_text(f, "127.0.0.1:1"));
	assert_int_equal(f->set.n, 1);
	assert_null(f->set.v[0].tls);
	assert_ok(read_text(f, "\"127.0.0.1:1, [::1]:2\""));
	assert_int_equal(f->set.n, 2);
	assert_str(f->set.v[1].address, STR("[::1]:2"));
	assert_ok(read_text(f, "{address: \":3\", proxy_protocol: true}"));
	assert_true(f->set.v[0].proxy_protocol);
	assert_ok(read_text(f, "[\":1,:2\", {address: \":3\", tls: {cert: c, key: k}}]"));
	assert_int_equal(f->set.n, 3);
	assert_non_null(f->set.v[2].tls);
	assert_ok(read_text(f, "[]"));
	assert_int_equal(f->set.n, 0);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *listen, *says;
	} cases[] = {
		{"{tls: {cert: c}}", "p.yml:1: listen.address: is required"},
		{"{address: \":1\", tsl: {}}", "did you mean \"tls\"?"},
		{"{address: \":1\", tls: yes}", "listen.tls"},
		{"{address: \":1\", tls: {min_version: TLSv1.1}}", "min_version"},
		{"{address: \":1\", tls: {certificates: {}}}", "must be a list"},
		{"{address: \":1\", tls: {certificates: [{names: a, cert: c}]}}",
		 "key: is required"},
		{"{address: \":1\", tls: {client_certificates: maybe}}", "client_certificates"},
		{"\"127.0.0.1:1, localhost:2\"",
		 "p.yml:1: relay.listen: \"localhost:2\" is no address to listen on"},
		{"[\":1\", {address: \":65536\"}]", "relay.listen: \":65536\" is no address"},
		{"\":1,:2,:3,:4,:5,:6,:7,:8,:9\"", "relay.listen: at most 8 addresses"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_err(read_text(f, cases[i].listen), ERR_INVALID);
		says(f, cases[i].says);
	}
}

static void test_files(void **state)
{
	static const struct {
		const char *tls, *says; /* NULL = fine */
	} cases[] = {
		{"{cert: cert.pem, key: key.pem}", NULL},
		{"{cert: cert.pem, key: key.pem, cert_alt: cert2.pem, key_alt: key2.pem}", NULL},
		{"{cert: cert.pem, key: key.pem, client_ca: cert2.pem}", NULL},
		{"{certificates: [{names: [a.b, \"*.c\"], cert: cert.pem, key: key.pem}]}", NULL},
		{"{}", "relay.listen.tls: cert and key are required"},
		{"{cert: nowhere.pem, key: key.pem}",
		 "p.yml:1: relay.listen.tls.cert: cannot read /"},
		{"{certificates: [{names: a, cert: cert.pem, key: nowhere.pem}]}",
		 "p.yml:1: relay.listen.tls.certificates.key: cannot read /"},
		{"{cert: cert.pem, key: key.pem, client_ca: nowhere.pem}",
		 "p.yml:1: relay.listen.tls.client_ca: cannot read /"},
		{"{cert: cert.pem, key: key2.pem}", "certificate does not match key"},
		{"{cert: key.pem, key: cert.pem}", "invalid certificate: "},
		{"{cert: cert.pem, key: key.pem, client_certificates: required}", "need a CA"},
		{"{cert: cert.pem, key: key.pem, client_ca: key.pem}", "invalid certificate: "},
		{"{cert: cert.pem, key: key.pem, ciphers: none}", "no such ciphers: \"none\""},
		{"{cert: cert.pem, key: key.pem, min_version: TLSv1.3, max_version: TLSv1.2}",
		 "the least protocol version is above the greatest"},
		{"{certificates: [{names: \"a.*.b\", cert: cert.pem, key: key.pem}]}",
		 "\"a.*.b\" is no name"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str text = str_fmt(&f->arena, "{address: \":1\", tls: %s}", cases[i].tls);

		assert_ok(read_text(f, str_cstr(&f->arena, text)));
		if (cases[i].says) {
			assert_err(make(f), ERR_INVALID);
			says(f, cases[i].says);
		} else if (make(f) != ERR_OK) {
			fail_msg("%s: %s", cases[i].tls, f->fault.text);
		}
	}
}

static const struct tls_cert *pick(void *arg, struct str sni, bool or_default)
{
	(void)arg;
	(void)sni;
	(void)or_default;
	return NULL;
}

/* Whoever picks needs no certificate here; one that is named must be good all the same. */
static void test_picked(void **state)
{
	struct fixture *f = *state;
	struct tls_server *tls = NULL;

	assert_ok(read_text(f, "{address: \":1\", tls: {}}"));
	assert_ok(listen_tls(&f->set.v[0], pick, f, &tls, &f->fault));
	tls_server_unref(&tls);
	assert_ok(read_text(f, "{address: \":1\", tls: {cert: /not/there, key: /not/there}}"));
	assert_err(listen_tls(&f->set.v[0], pick, f, &tls, &f->fault), ERR_INVALID);
	says(f, "cannot read /not/there");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_picked),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
