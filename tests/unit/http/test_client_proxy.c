#include "http/client_proxy.h"
#include "unit.h"

static struct uri uri_of(const char *host, uint16_t port)
{
	return (struct uri){.host = str_c(host), .port = port, .path = STR("/")};
}

struct chosen {
	const char *none; /* NO_PROXY */
	const char *host;
	uint16_t port;
	bool proxied;
};

static const struct chosen cases[] = {
	{"", "example.com", 80, true},
	{"", "localhost", 80, false},
	{"", "api.localhost", 80, false},
	{"", "127.0.0.1", 80, false},
	{"", "127.8.9.1", 80, false},
	{"", "::1", 80, false},
	{"", "10.0.0.1", 80, true},
	{"*", "example.com", 80, false},
	{"example.com", "example.com", 80, false},
	{"example.com", "EXAMPLE.com", 80, false},
	{"example.com", "www.example.com", 80, false},
	{"example.com", "badexample.com", 80, true},
	{".example.com", "www.example.com", 80, false},
	{".example.com", "example.com", 80, false},
	{"*.example.com", "www.example.com", 80, false},
	{"example.com:8080", "example.com", 8080, false},
	{"example.com:8080", "example.com", 80, true},
	{"a.test, example.com b.test", "example.com", 80, false},
	{"a.test, example.com b.test", "b.test", 80, false},
	{"10.0.0.0/8", "10.200.0.1", 80, false},
	{"10.0.0.0/8", "11.0.0.1", 80, true},
	{"10.0.0.0/8", "10.example.com", 80, true},
	{"192.168.1.1", "192.168.1.1", 80, false},
	{"192.168.1.1:81", "192.168.1.1", 80, true},
	{"192.168.1.1:81", "192.168.1.1", 81, false},
	{"fd00::/8", "fd12::1", 80, false},
	{",, ,", "example.com", 80, true},
};

static void test_exceptions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_proxy_vars vars = {.http = STR("http://p:3128"),
					       .none = str_c(cases[i].none)};
		struct http_proxy_env *e = http_proxy_env_new(&vars);
		struct uri u = uri_of(cases[i].host, cases[i].port);

		if ((http_proxy_for(e, &u) != NULL) != cases[i].proxied) {
			fail_msg("NO_PROXY=%s %s:%u", cases[i].none, cases[i].host, cases[i].port);
		}
		http_proxy_env_free(&e);
	}
}

static void test_forms(void **state)
{
	struct http_proxy_vars vars = {.http = STR("proxy.test:3128"),
				       .https = STR("http://u:p%40@[fd00::1]:81"),
				       .all = STR("socks5://x:1")};
	struct http_proxy_env *e = http_proxy_env_new(&vars);
	struct uri u = uri_of("example.com", 80);
	const struct http_proxy *p;

	(void)state;
	p = http_proxy_for(e, &u);
	assert_true(p && p->usable);
	assert_str(p->host, STR("proxy.test"));
	assert_int_equal(p->port, 3128);
	assert_int_equal(p->authorization.n, 0);
	u.tls = true;
	p = http_proxy_for(e, &u);
	assert_true(p && p->usable);
	assert_str(p->host, STR("fd00::1"));
	assert_str(p->authorization, STR("Basic dTpwQA=="));
	http_proxy_env_free(&e);
	assert_null(e);
	http_proxy_env_free(&e);
}

static void test_unusable(void **state)
{
	struct http_proxy_vars vars = {.all = STR("socks5://x:1")};
	struct http_proxy_env *e = http_proxy_env_new(&vars);
	struct uri u = uri_of("example.com", 80);
	const struct http_proxy *p = http_proxy_for(e, &u);

	(void)state;
	assert_true(p && !p->usable);
	assert_null(http_proxy_for(NULL, &u));
	http_proxy_env_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_unusable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
