#include "unit.h"

#include "app/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[64];

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/posthouse-test-XXXXXX");
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

static enum err load(const char *yaml, struct settings **out, struct fault *f)
{
	const struct settings_source source = {.config = str_c(path)};
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(yaml, 1, strlen(yaml), file), strlen(yaml));
	assert_int_equal(fclose(file), 0);
	return settings_load(&source, out, f);
}

static void assert_roles(const char *yaml, const char *roles)
{
	struct settings *s = NULL;
	struct fault f = {0};
	struct buf runs = {0};

	if (load(yaml, &s, &f) != ERR_OK) {
		fail_msg("%s", f.text);
	}
	for (size_t r = 0; r < ROLES; r++) {
		if (s->runs[r]) {
			buf_printf(&runs, "%s ", role_names[r]);
		}
	}
	assert_str(buf_str(&runs), str_c(roles));
	buf_free(&runs);
	settings_unref(&s);
}

#define ALL "relay identity management statistics gateway "
#define CONNECT "connect: {server: \"http://relay:5000\", tenant: t, secret: s}\n"

static void sections_choose_the_roles(void **state)
{
	(void)state;
	assert_roles("{}\n", ALL);
	assert_roles("status: {}\n", ALL);
	assert_roles("relay:\n", "relay ");
	assert_roles("relay: {}\nstatistics: {}\n", "relay statistics ");
}

static void the_connector_is_no_role(void **state)
{
	(void)state;
	assert_roles(CONNECT, ALL);
	assert_roles("identity: {}\n" CONNECT, "identity ");
}

/* `why` is empty when nothing is wrong. */
static void assert_fault(const char *yaml, const char *why)
{
	struct settings *s = NULL;
	struct fault f = {0};
	enum err e = load(yaml, &s, &f);

	if (e == ERR_OK) {
		e = settings_check(s, &f);
		settings_unref(&s);
	}
	assert_err(e, *why ? ERR_INVALID : ERR_OK);
	if (e != ERR_OK) {
		bool has_place = strncmp(f.text, path, strlen(path)) == 0;

		assert_string_equal(f.text + (has_place ? strlen(path) : 0), why);
	}
	assert_null(s);
}

static void the_connector_is_checked(void **state)
{
	(void)state;
	assert_fault("connect: {server: \"http://relay:5000\"}\n",
		     ":1: connect.tenant: is required");
	assert_fault(CONNECT "  \n", "");
	assert_fault("\nconnect:\n  sever: x\n",
		     ":3: connect.sever: unknown key (did you mean \"server\"?)");
	assert_fault("conect: {}\n",
		     ":1: conect: unknown section or key (did you mean \"connect\"?)");
}

static void urls_of_roles_are_checked(void **state)
{
	(void)state;
	assert_fault("gateway:\n  role_urls:\n    management: https://x\n    relay: "
		     "http://[::1]:5000/\n",
		     "");
	assert_fault("gateway: {role_urls: }\n", "");
	assert_fault("gateway:\n  role_urls:\n    managment: http://x\n",
		     ":3: gateway.role_urls: there is no role \"managment\"");
	assert_fault("\ngateway: {role_urls: [relay]}\n",
		     ":2: gateway.role_urls: must be a map of role and URL");
	assert_fault(
		"gateway:\n  role_urls:\n    management: ftp://x\n",
		":3: gateway.role_urls.management: URL does not start with http:// or https://");
	assert_fault("gateway:\n  role_urls: {management: \"http://x/y\"}\n",
		     ":2: gateway.role_urls.management: has more than scheme, host and port");
	assert_fault(
		"gateway: {role_urls: {management: }}\n",
		":1: gateway.role_urls.management: URL does not start with http:// or https://");
	assert_fault("gateway: {relay_url: \"http://u@x\"}\n",
		     "gateway.relay_url: has more than scheme, host and port");
	assert_fault("gateway: {role_ca: }\n", "");
	assert_fault("gateway:\n  role_ca: /no/ca.pem\n",
		     ":2: gateway.role_ca: cannot read /no/ca.pem: No such file or directory");
}

static void entities_come_from_one_place(void **state)
{
	(void)state;
	assert_fault("gateway: {declarative: kong.yml, declarative_text: \"\"}\n", "");
	assert_fault("gateway: {declarative: kong.yml, declarative_text: x}\n",
		     "gateway.declarative and gateway.declarative_text: only one of them may be "
		     "given");
}

static void what_is_for_a_role_to_understand_is_checked(void **state)
{
	(void)state;
	assert_fault("database: mysql://x\n",
		     "database: expected sqlite:PATH or postgres://HOST/NAME");
	assert_fault("gateway: {trusted_ips: [10.0.0.0/8, 1.2.3.4/99]}\n",
		     "gateway.trusted_ips: '1.2.3.4/99' is not a network");
	assert_fault("gateway: {trusted_ips: [\"unix:\", 10.0.0.0/8]}\n", "");
	assert_fault(
		"gateway: {dns_order: MX}\n",
		"gateway.dns_order: 'MX' is none of LAST, SRV, A, AAAA, CNAME, or one too many");
	assert_fault("relay: {trusted_proxies: [nets]}\n",
		     "relay.trusted_proxies: 'nets' is not a network");
	assert_fault("relay: {bodies: here}\n", "bodies: expected memory or file:DIR");
	assert_fault("bodies: \"file:\"\n", "bodies: expected memory or file:DIR");
	assert_fault("identity: {issuer: mine}\n", "identity.issuer must be an http or https URL");
	assert_fault("gateway: {}\nrelay:\n  listen: here\n",
		     ":3: relay.listen: \"here\" is no address to listen on (try 127.0.0.1:5000 or "
		     "[::]:5000)");
}

/* But for listeners of the gateway, where entities may have the certificates. */
static void files_of_listeners_are_checked(void **state)
{
	(void)state;
	assert_fault("gateway: {listen: {address: \":1\", tls: {}}}\n"
		     "status: {listen: {address: \":2\", tls: {}}}\n",
		     "");
	assert_fault("relay: {listen: {address: \":1\", tls: {}}}\n",
		     ":1: relay.listen.tls: cert and key are required");
	assert_fault("relay: \nstatus: {listen: {address: \":1\", tls: {}}}\n",
		     ":2: status.listen.tls: cert and key are required");
	assert_fault(
		"gateway:\n  admin:\n    - listen: {address: \":1\", tls: {cert: /no, key: "
		"/no}}\n",
		":3: gateway.admin.listen.tls.cert: cannot read /no: No such file or directory");
	assert_fault("gateway: {listen: {address: \":1\", tls: {ciphers: FOO}}}\n",
		     ":1: gateway.listen.tls: no such ciphers: \"FOO\"");
}

static void addresses_exclude_each_other(void **state)
{
	(void)state;
	assert_fault("gateway:\n  listen:\n    - 127.0.0.1:1\n    - 127.0.0.1:1\n",
		     ":4: gateway.listen: \"127.0.0.1:1\" is taken by \"127.0.0.1:1\" of "
		     "gateway.listen");
	assert_fault("gateway: {listen: \":1\"}\nstatus: {listen: 127.0.0.1:1}\n",
		     ":2: status.listen: \"127.0.0.1:1\" is taken by \":1\" of gateway.listen");
	assert_fault("gateway: {listen: 127.0.0.1:1, admin: [{listen: 0.0.0.0:1}]}\n",
		     ":1: gateway.admin.listen: \"0.0.0.0:1\" is taken by \"127.0.0.1:1\" of "
		     "gateway.listen");
	assert_fault("gateway: {listen: 127.0.0.1:0, admin: [{listen: 127.0.0.1:0}]}\n", "");
	assert_fault("gateway: {listen: 127.0.0.1:5000}\n", ""); /* the relay does not run */
}

/* The connector's secret stands in the environment of whoever tries both in one shell. */
static void a_variable_of_the_connector_hinders_nobody(void **state)
{
	(void)state;
	assert_int_equal(setenv("POSTHOUSE_CONNECT__SECRET", "s", 1), 0);
	assert_roles("{}\n", ALL);
	assert_roles("relay:\n", "relay ");
	assert_roles("connect: {server: \"http://relay:5000\", tenant: t}\n", ALL);
	assert_int_equal(unsetenv("POSTHOUSE_CONNECT__SECRET"), 0);
}

static void config_show_and_reference_know_it(void **state)
{
	struct settings *s = NULL;
	struct buf out = {0};

	(void)state;
	assert_ok(load(CONNECT, &s, NULL));
	config_show(s->root, settings_tables(), &out);
	assert_true(str_find(buf_str(&out), STR("\nconnect:\n  server: \"http://relay:5000\"\n"
						"  tenant: t\n  secret: \"***\"\n")) > 0);
	settings_unref(&s);
	buf_free(&out);
	assert_ok(load("relay:\n", &s, NULL));
	config_show(s->root, settings_tables(), &out);
	assert_int_equal(str_find(buf_str(&out), STR("connect:")), -1);
	settings_unref(&s);
	buf_free(&out);
	config_reference(settings_tables(), &out);
	assert_true(str_find(buf_str(&out), STR("\n## connect\n")) > 0);
	buf_free(&out);
}

static void the_gateway_listens_plain_and_with_tls(void **state)
{
	const struct listen_entry *v;
	struct settings *s = NULL;

	(void)state;
	assert_ok(load("gateway:\n", &s, NULL));
	v = s->listen[ROLE_GATEWAY].v;
	assert_int_equal(s->listen[ROLE_GATEWAY].n, 2);
	assert_str(v[0].address, STR(":8000"));
	assert_true(!v[0].tls && !v[0].http2);
	assert_str(v[1].address, STR(":8443"));
	assert_true(v[1].tls && v[1].http2);
	settings_unref(&s);
	assert_ok(load("gateway: {listen: \":80\"}\n", &s, NULL));
	assert_int_equal(s->listen[ROLE_GATEWAY].n, 1);
	settings_unref(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_choose_the_roles),
		cmocka_unit_test(the_connector_is_no_role),
		cmocka_unit_test(the_connector_is_checked),
		cmocka_unit_test(urls_of_roles_are_checked),
		cmocka_unit_test(entities_come_from_one_place),
		cmocka_unit_test(what_is_for_a_role_to_understand_is_checked),
		cmocka_unit_test(files_of_listeners_are_checked),
		cmocka_unit_test(addresses_exclude_each_other),
		cmocka_unit_test(a_variable_of_the_connector_hinders_nobody),
		cmocka_unit_test(config_show_and_reference_know_it),
		cmocka_unit_test(the_gateway_listens_plain_and_with_tls),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
