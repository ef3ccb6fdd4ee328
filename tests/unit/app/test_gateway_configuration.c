#include "unit.h"

#include "app/gateway_configuration.h"
#include "gateway/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[64];
static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	(void)snprintf(path, sizeof(path), "/tmp/posthouse-test-XXXXXX");
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
	(void)state;
	arena_fini(&arena);
	return unlink(path);
}

static const struct json *told(const char *yaml)
{
	const struct settings_source source = {.config = str_c(path)};
	FILE *file = fopen(path, "wb");
	struct settings *s = NULL;
	struct fault f = {0};
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);
	struct json *v = NULL;

	assert_non_null(file);
	assert_int_equal(fwrite(yaml, 1, strlen(yaml), file), strlen(yaml));
	assert_int_equal(fclose(file), 0);
	if (settings_load(&source, &s, &f) != ERR_OK) {
		fail_msg("%s", f.text);
	}
	json_begin_object(&w);
	gateway_configuration_put(s, &arena, &w);
	json_end_object(&w);
	settings_unref(&s);
	/* Which also refuses a key that is there twice. */
	assert_ok(json_parse(&arena, str_dup(&arena, buf_str(&b)), &v, NULL));
	buf_free(&b);
	return v;
}

/* The member as JSON; empty when there is none. */
static struct str at(const struct json *v, const char *name)
{
	const struct json *found = tree_at(v, name);
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);
	struct str text;

	if (!found) {
		return STR("");
	}
	json_put_tree(&w, found);
	text = str_dup(&arena, buf_str(&b));
	buf_free(&b);
	return text;
}

static void names_and_forms_are_those_of_kong(void **state)
{
	static const struct {
		const char *key, *dflt, *set;
	} cases[] = {
		{"prefix", "\"posthouse-data\"", "\"/srv/p\""},
		{"log_level", "\"notice\"", "\"debug\""},
		{"nginx_worker_processes", "\"auto\"", "\"3\""},
		{"drain_timeout", "30", "1.5"},
		{"declarative_config", "", "\"/etc/kong.yml\""},
		{"trusted_ips", "[]", "[\"10.0.0.0/8\",\"::1\"]"},
		{"real_ip_header", "\"X-Real-IP\"", "\"X-Forwarded-For\""},
		{"real_ip_recursive", "\"off\"", "\"on\""},
		{"headers_upstream", "[\"X-Kong-Request-Id\"]", "[\"off\"]"},
		{"allow_debug_header", "false", "true"},
		{"error_default_type", "\"text/plain\"", "\"text/html\""},
		{"upstream_keepalive_pool_size", "512", "7"},
		{"upstream_keepalive_idle_timeout", "60", "90"},
		{"db_update_frequency", "1", "0.25"},
		{"dns_order", "[\"LAST\",\"SRV\",\"A\",\"AAAA\"]", "[\"A\"]"},
		{"role_urls", "{}", "{\"management\":\"http://10.0.0.2:5004\"}"},
		{"listen", "", ""},
		{"admin", "", ""},
		{"database", "", ""}, /* the Admin API's own */
	};
	const struct json *dflt = told("gateway: {}\n");
	const struct json *set =
		told("data: /srv/p\nlog_level: trace\nloops: 3\ndrain_timeout: 1500ms\n"
		     "gateway:\n  declarative: /etc/kong.yml\n  trusted_ips: [10.0.0.0/8, '::1']\n"
		     "  real_ip_header: X-Forwarded-For\n  real_ip_recursive: true\n"
		     "  headers_upstream: false\n  allow_debug_header: true\n"
		     "  error_default_type: text/html\n  upstream_keepalive_pool_size: 7\n"
		     "  upstream_keepalive_idle_timeout: 90s\n  db_update_frequency: 250ms\n"
		     "  dns_order: A\n  role_urls: {management: 'http://10.0.0.2:5004'}\n");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_str(at(dflt, cases[i].key), str_c(cases[i].dflt));
		assert_str(at(set, cases[i].key), str_c(cases[i].set));
	}
}

static void every_setting_of_the_gateway_shows_itself(void **state)
{
	const struct json *v = told("gateway: {}\n");
	size_t seen = 0;

	(void)state;
	for (size_t i = 0; i < gateway_conf.n; i++) {
		const struct conf_key *key = &gateway_conf.keys[i];

		if (key->dflt) {
			seen++;
			if (!json_get(v, str_c(key->name))) {
				fail_msg("%s is not told", key->name);
			}
		}
	}
	assert_true(seen > 10);
}

static void listeners_as_text_and_as_objects(void **state)
{
	const struct json *v =
		told("gateway:\n  listen:\n  - 127.0.0.1:80\n"
		     "  - {address: '[::1]:443', http2: true, proxy_protocol: true, tls: {}}\n"
		     "  admin:\n  - {listen: '127.0.0.1:8001'}\n"
		     "  - {listen: '127.0.0.1:8002', api_keys: [{key: hidden}]}\n");

	(void)state;
	assert_str(at(v, "proxy_listen"),
		   STR("[\"127.0.0.1:80\",\"[::1]:443 http2 ssl proxy_protocol\"]"));
	assert_str(at(v, "proxy_listeners"),
		   STR("[{\"ip\":\"127.0.0.1\",\"port\":80,\"listener\":\"127.0.0.1:80\","
		       "\"ssl\":false,\"http2\":false,\"proxy_protocol\":false},"
		       "{\"ip\":\"[::1]\",\"port\":443,"
		       "\"listener\":\"[::1]:443 http2 ssl proxy_protocol\","
		       "\"ssl\":true,\"http2\":true,\"proxy_protocol\":true}]"));
	assert_str(at(v, "proxy_ssl_enabled"), STR("true"));
	assert_str(at(v, "admin_listen"), STR("[\"127.0.0.1:8001\",\"127.0.0.1:8002\"]"));
	assert_str(at(v, "admin_ssl_enabled"), STR("false"));
	assert_str(at(v, "status_listen"), STR("[\"127.0.0.1:9600\"]"));
}

static void the_database_in_parts_without_its_password(void **state)
{
	const struct json *v = told(
		"database: 'postgres://k%6Fng:hid%40den@db.example:5433/main?sslmode=require'\n"
		"gateway: {}\n");

	(void)state;
	assert_str(at(v, "pg_host"), STR("\"db.example\""));
	assert_str(at(v, "pg_port"), STR("5433"));
	assert_str(at(v, "pg_user"), STR("\"kong\""));
	assert_str(at(v, "pg_password"), STR("\"******\""));
	assert_str(at(v, "pg_database"), STR("\"main\""));
	v = told("database: postgresql://h1:1,h2:2\ngateway: {}\n");
	assert_str(at(v, "pg_host"), STR("\"h1:1,h2:2\""));
	assert_str(at(v, "pg_port"), STR("5432"));
	assert_str(at(v, "pg_user"), STR(""));
	assert_str(at(v, "pg_database"), STR(""));
	v = told("database: postgres:///n?host=/run\ngateway: {}\n");
	assert_str(at(v, "pg_host"), STR(""));
	assert_str(at(v, "pg_database"), STR("\"n\""));
	assert_str(at(told("database: 'sqlite:/x/y.db'\ngateway: {}\n"), "pg_host"), STR(""));
	assert_str(
		at(told("gateway: {declarative: k.yml}\ndatabase: 'postgres://h/n'\n"), "pg_host"),
		STR(""));
	v = told("gateway: {declarative_text: 'hidden: 1'}\ndatabase: 'postgres://h/n'\n");
	assert_str(at(v, "declarative_config_string"), STR("\"******\""));
	assert_str(at(v, "pg_host"), STR(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_forms_are_those_of_kong),
		cmocka_unit_test(every_setting_of_the_gateway_shows_itself),
		cmocka_unit_test(listeners_as_text_and_as_objects),
		cmocka_unit_test(the_database_in_parts_without_its_password),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
