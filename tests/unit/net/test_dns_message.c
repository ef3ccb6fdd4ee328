#include "net/dns_message.h"

#include "unit.h"

#include <stdlib.h>

#define HEADER(questions, answers, additional)                                                     \
	"\x12\x34\x81\x80\0" questions "\0" answers "\0\0\0" additional
#define QUESTION "\3svc\4test\0\0\x21\0\1" /* at 12, 14 bytes */
#define NAME "\xc0\x0c"
#define TTL "\0\0\0\x3c"

static const char srv[] = HEADER("\1", "\2", "\1") QUESTION
	/* SRV 10 5 8001 a.svc.test */
	NAME "\0\x21\0\1" TTL "\0\x0a\0\x0a\0\5\x1f\x41\1A" NAME
		/* SRV 20 0 8002 b.other */
		NAME "\0\x21\0\1" TTL "\0\x0f\0\x14\0\0\x1f\x42\1b\5other\0"
	     /* in the additional section: a.svc.test A */
	     "\1a" NAME "\0\1\0\1\0\0\0\5\0\4\xc0\0\2\1";

static struct dns_reader open_reader(const void *p, size_t n)
{
	struct dns_reader r;

	assert_ok(dns_reader_init(&r, p, n));
	return r;
}

static void test_srv(void **state)
{
	struct dns_reader r = open_reader(srv, sizeof(srv) - 1);
	struct dns_rr rr;

	(void)state;
	assert_true(dns_reader_next(&r, &rr));
	assert_int_equal(rr.type, DNS_TYPE_SRV);
	assert_false(rr.additional);
	assert_int_equal(rr.ttl_s, 60);
	assert_int_equal(rr.priority, 10);
	assert_int_equal(rr.weight, 5);
	assert_int_equal(rr.port, 8001);
	assert_str(dns_name_str(&rr.owner), STR("svc.test"));
	assert_str(dns_name_str(&rr.target), STR("a.svc.test"));
	assert_true(dns_reader_next(&r, &rr));
	assert_int_equal(rr.priority, 20);
	assert_str(dns_name_str(&rr.target), STR("b.other"));
	assert_true(dns_reader_next(&r, &rr));
	assert_int_equal(rr.type, DNS_TYPE_A);
	assert_true(rr.additional);
	assert_memory_equal(rr.ip, "\xc0\0\2\1", 4);
	assert_str(dns_name_str(&rr.owner), STR("a.svc.test"));
	assert_false(dns_reader_next(&r, &rr));
	assert_false(dns_reader_next(&r, &rr));
}

/* Cut anywhere, in a block of just that size: what is whole is shown, nothing else is read. */
static void test_every_cut(void **state)
{
	size_t most = 0;

	(void)state;
	for (size_t n = 0; n < sizeof(srv) - 1; n++) {
		char *copy = malloc(n + 1);
		struct dns_reader r;
		struct dns_rr rr;
		size_t records = 0;

		memcpy(copy, srv, n);
		copy = realloc(copy, n > 0 ? n : 1);
		if (dns_reader_init(&r, copy, n) == ERR_OK) {
			assert_true(n >= 26);
			while (dns_reader_next(&r, &rr)) {
				records++;
			}
			assert_true(records >= most && records < 3);
			most = records;
		} else {
			assert_true(n < 26);
		}
		free(copy);
	}
	assert_int_equal(most, 2);
}

#define ONE(record) HEADER("\1", "\1", "\0") QUESTION record
#define CASE(record, want)                                                                         \
	{                                                                                          \
		ONE(record), sizeof(ONE(record)) - 1, want                                         \
	}

static void test_odd_records(void **state)
{
	static const struct {
		const char *p;
		size_t n;
		bool want;
	} cases[] = {
		CASE(NAME "\0\1\0\1" TTL "\0\4\x7f\0\0\1", true),
		CASE(NAME "\0\5\0\1" TTL "\0\6\4next\0", true),
		CASE(NAME "\0\1\0\3" TTL "\0\4\x7f\0\0\1", false),	   /* not of the internet */
		CASE(NAME "\0\1\0\1" TTL "\0\3\x7f\0\1", false),	   /* A of three bytes */
		CASE(NAME "\0\x1c\0\1" TTL "\0\4\x7f\0\0\1", false),	   /* AAAA of four */
		CASE(NAME "\0\x10\0\1" TTL "\0\2\1x", false),		   /* TXT */
		CASE(NAME "\0\x21\0\1" TTL "\0\7\0\1\0\1\0\x50\0", false), /* no service */
		CASE(NAME "\0\5\0\1" TTL "\0\2\xc0\x1a", true),		   /* by way of its owner */
		CASE(NAME "\0\5\0\1" TTL "\0\2\xc0\x26", false),	   /* to itself */
		CASE(NAME "\0\5\0\1" TTL "\0\2\xff\xff", false),	   /* forward */
		CASE(NAME "\0\5\0\1" TTL "\0\2\x41x", false),	/* a label that is none */
		CASE(NAME "\0\5\0\1" TTL "\0\5\3a b\0", false), /* no host name */
		CASE(NAME "\0\5\0\1" TTL "\0\5\3a\r\n\0", false),
		CASE(NAME "\0\5\0\1" TTL "\0\5\3a.b\0", false),
		CASE(NAME "\0\1\0\1" TTL "\0\5\x7f\0\0\1", false), /* longer than the message */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct dns_reader r = open_reader(cases[i].p, cases[i].n);
		struct dns_rr rr;

		if (dns_reader_next(&r, &rr) != cases[i].want) {
			fail_msg("case %zu", i);
		}
	}
}

/* RFC 2181 8: the top bit set is 0. */
static void test_ttl(void **state)
{
	static const char text[] = ONE(NAME "\0\1\0\1\xff\0\0\1\0\4\x7f\0\0\1");
	struct dns_reader r = open_reader(text, sizeof(text) - 1);
	struct dns_rr rr;

	(void)state;
	assert_true(dns_reader_next(&r, &rr));
	assert_int_equal(rr.ttl_s, 0);
}

/* Longer than a name may be, by way of pointers. */
static void test_long_names(void **state)
{
	uint8_t p[1024] = {0x12, 0x34, 0x81, 0x80, 0, 0, 0, 2};
	struct dns_reader r;
	struct dns_rr rr;
	size_t n = 12;

	(void)state;
	/* Four labels of 63 and one more are too much; without the last they are 255. */
	for (unsigned i = 0; i < 4; i++) {
		p[n] = 63;
		memset(p + n + 1, 'a', 63);
		n += 64;
	}
	p[n++] = 0;
	memcpy(p + n, "\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1", 14);
	n += 14;
	memcpy(p + n, "\1b\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1", 18);
	n += 18;
	r = open_reader(p, n);
	assert_true(dns_reader_next(&r, &rr));
	assert_int_equal(rr.owner.n, 255);
	assert_false(dns_reader_next(&r, &rr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_srv),	    cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_odd_records), cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
