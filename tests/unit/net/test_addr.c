#include "net/addr.h"
#include "unit.h"

static void check_text(const char *in, const char *out)
{
	struct addr a;
	char text[ADDR_TEXT_MAX];

	assert_ok(addr_parse(str_c(in), &a));
	assert_str(str_of(text, addr_format(&a, text)), str_c(out));
}

static void test_parse(void **state)
{
	static const char *const bad[] = {
		"",	      "127.0.0.1",    "127.0.0.1:", "127.0.0.1:65536", "::1:80",
		"[::1]",      "localhost:80", "1.2.3:80",   "[::1:80",	       "1.2.3.4:-1",
		"1.2.3.4:+1", "1.2.3.4:0x50", "[]:80",	    "1.2.3.4.5:80",    "256.1.1.1:80"};
	struct addr a;

	(void)state;
	check_text("127.0.0.1:5000", "127.0.0.1:5000");
	check_text("[::1]:80", "[::1]:80");
	check_text(":80", "[::]:80");
	check_text("*:80", "[::]:80");
	check_text("[::ffff:10.0.0.1]:80", "10.0.0.1:80");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_err(addr_parse(str_c(bad[i]), &a), ERR_INVALID);
	}
}

static bool in_net(const char *net, const char *ip)
{
	struct addr_net n;
	struct addr a;

	assert_ok(addr_net_parse(str_c(net), &n));
	assert_ok(addr_from_ip(str_c(ip), 0, &a));
	return addr_net_has(&n, &a);
}

static void test_nets(void **state)
{
	struct addr_net n;

	(void)state;
	assert_true(in_net("10.0.0.0/8", "10.255.1.2"));
	assert_false(in_net("10.0.0.0/8", "11.0.0.1"));
	assert_true(in_net("192.168.4.0/22", "192.168.7.255"));
	assert_false(in_net("192.168.4.0/22", "192.168.8.0"));
	assert_true(in_net("0.0.0.0/0", "1.2.3.4"));
	assert_false(in_net("0.0.0.0/0", "::1"));
	assert_true(in_net("1.2.3.4", "::ffff:1.2.3.4"));
	assert_true(in_net("fe80::/10", "febf::1"));
	assert_false(in_net("fe80::/10", "fec0::1"));
	assert_err(addr_net_parse(STR("10.0.0.0/33"), &n), ERR_INVALID);
	assert_err(addr_net_parse(STR("10.0.0.0/"), &n), ERR_INVALID);
	assert_err(addr_net_parse(STR("x/8"), &n), ERR_INVALID);
}

static const char *told(const char *list, bool recursive)
{
	static char text[ADDR_TEXT_MAX];
	struct addr_net net;
	struct addr a;

	assert_ok(addr_net_parse(STR("10.0.0.0/8"), &net));
	if (!addr_told(str_c(list), (struct addr_nets){&net, 1}, recursive, &a)) {
		return "";
	}
	assert_int_equal(addr_port(&a), 0);
	(void)addr_format_ip(&a, text);
	return text;
}

static void test_who_is_told(void **state)
{
	(void)state;
	assert_string_equal(told("1.2.3.4", false), "1.2.3.4");
	assert_string_equal(told("1.2.3.4, 10.0.0.1", false), "10.0.0.1");
	assert_string_equal(told("6.6.6.6, 1.2.3.4,10.0.0.1 ", true), "1.2.3.4");
	assert_string_equal(told("10.0.0.2, 10.0.0.1", true), "10.0.0.2");
	assert_string_equal(told("x, 10.0.0.1", true), "10.0.0.1");
	assert_string_equal(told("1.2.3.4, x", true), "");
	assert_string_equal(told("", true), "");
}

static void test_a_port_is_told_as_well(void **state)
{
	static const char *const bad[] = {
		"1.2.3.4:",
		"1.2.3.4:0",
		"1.2.3.4:65536",
		"1.2.3.4:+1",
		"1.2.3.4:x",
		"1.2.3.4:80:80",
		"1.2.3.4: 80",
		":80",
		"*:80",
		"host:80",
		"[1.2.3.4]:80",
		"[1.2.3.4]",
		"[::1",
		"::1]",
		"[::1]80",
		"[::1]:",
		"[::1]:65536",
		"[::1]:-1",
		"[]:80",
		"[]",
		"[[::1]]:80",
		"[::1]:80]",
		"[::1%eth0]:80",
		"::1.2.3:80",
		"2001:db8::1::80",
		"1.2.3.4]:80",
		"[2001:db8:1]:80",
		"\"[::1]:80\"",
		"unknown",
		"1.2.3:80",
	};

	(void)state;
	assert_string_equal(told("1.2.3.4:52341", false), "1.2.3.4");
	assert_string_equal(told("1.2.3.4:1", false), "1.2.3.4");
	assert_string_equal(told("[2001:db8::1]:443", false), "2001:db8::1");
	assert_string_equal(told("[2001:db8::1]", false), "2001:db8::1");
	assert_string_equal(told("2001:db8::1:443", false), "2001:db8::1:443");
	assert_string_equal(told("[::ffff:1.2.3.4]:65535", false), "1.2.3.4");
	assert_string_equal(told("6.6.6.6, [2001:db8::1]:1, 10.0.0.1:2", true), "2001:db8::1");
	assert_string_equal(told("6.6.6.6:1, 10.0.0.1:x, 10.0.0.2:2", true), "10.0.0.2");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_string_equal(told(bad[i], true), "");
	}
}

static bool covers(const char *a, const char *b)
{
	struct addr x, y;

	assert_ok(addr_parse(str_c(a), &x));
	assert_ok(addr_parse(str_c(b), &y));
	return addr_covers(&x, &y);
}

static void test_who_listens_everywhere_covers_the_rest(void **state)
{
	(void)state;
	assert_true(covers("127.0.0.1:1", "127.0.0.1:1"));
	assert_true(covers("[::1]:1", "[::1]:1"));
	assert_true(covers("[::ffff:127.0.0.1]:1", "127.0.0.1:1"));
	assert_false(covers("127.0.0.1:1", "127.0.0.1:2"));
	assert_false(covers("127.0.0.1:1", "127.0.0.2:1"));
	assert_true(covers("0.0.0.0:1", "127.0.0.1:1"));
	assert_false(covers("127.0.0.1:1", "0.0.0.0:1"));
	assert_false(covers("0.0.0.0:1", "127.0.0.1:2"));
	assert_false(covers("0.0.0.0:1", "[::1]:1"));
	assert_false(covers("0.0.0.0:1", "[::]:1"));
	assert_true(covers(":1", "[::1]:1"));
	assert_true(covers(":1", "127.0.0.1:1"));
	assert_true(covers("*:1", "0.0.0.0:1"));
	assert_false(covers("[::1]:1", "0.0.0.1:1"));
	assert_false(covers("127.0.0.1:0", "127.0.0.1:0"));
	assert_false(covers(":0", "127.0.0.1:0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_nets),
		cmocka_unit_test(test_who_is_told),
		cmocka_unit_test(test_a_port_is_told_as_well),
		cmocka_unit_test(test_who_listens_everywhere_covers_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
