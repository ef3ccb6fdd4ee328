#include "conf_of_json.h"

#include "relay/interceptor.h"

#include <stdio.h>

struct fixture {
	struct arena a;
	struct interceptors rules;
	struct http_headers h;
	struct interceptor_request r;
};

static int setup(void **state)
{
	struct fixture *x = test_calloc(1, sizeof(*x));

	arena_init(&x->a, 0);
	http_header_add(&x->a, &x->h, STR("Host"), STR("relay"));
	http_header_add(&x->a, &x->h, STR("Cookie"), STR("a=1"));
	http_header_add(&x->a, &x->h, STR("X-Old"), STR("yes"));
	x->r = (struct interceptor_request){STR("GET"), STR("T1"), STR("web"), STR("api/v1/x?q"),
					    &x->h};
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	arena_fini(&x->a);
	test_free(x);
	return 0;
}

static void rules(struct fixture *x, const char *text)
{
	struct fault f = {0};

	if (interceptors_parse(&x->a, conf_of_json(&x->a, text), &x->rules, &f) != ERR_OK) {
		fail_msg("%s", f.text);
	}
}

static const struct interceptor_answer *apply(struct fixture *x, uint64_t *out_matched)
{
	const struct interceptor_answer *answer;

	*out_matched = interceptors_request(&x->rules, &x->a, &x->r, &answer);
	return answer;
}

static void test_edits(void **state)
{
	struct fixture *x = *state;
	uint64_t matched;

	rules(x, "[{\"set_request_headers\":{\"X-Via\":\"posthouse\"},"
		 "\"remove_request_headers\":[\"cookie\"],"
		 "\"rewrite\":{\"from\":\"api/v1/\",\"to\":\"api/v2/\"}},"
		 "{\"when\":{\"path\":\"api/v2/\",\"header\":\"X-Via: posthouse\"},"
		 "\"set_response_headers\":{\"X-Seen\":\"1\"},"
		 "\"remove_response_headers\":[\"Server\"]}]");
	assert_null(apply(x, &matched));
	assert_int_equal(matched, 3);
	assert_str(x->r.url, STR("api/v2/x?q"));
	assert_str(http_header_get(&x->h, STR("X-Via")), STR("posthouse"));
	assert_null(http_header_get(&x->h, STR("Cookie")).p);
	struct http_headers answer = {0};

	http_header_add(&x->a, &answer, STR("Server"), STR("iis"));
	interceptors_response(&x->rules, matched, &x->a, &answer);
	assert_int_equal(answer.n, 1);
	assert_str(http_header_get(&answer, STR("X-Seen")), STR("1"));
	interceptors_response(&x->rules, 1, &x->a, &answer);
	assert_int_equal(answer.n, 1);
}

static void test_conditions(void **state)
{
	static const char *const no[] = {
		"[{\"when\":{\"method\":[\"POST\",\"PUT\"]},\"strip_authorization\":true}]",
		"[{\"when\":{\"tenant\":\"T2\"}}]",
		"[{\"when\":{\"target\":\"other\"}}]",
		"[{\"when\":{\"path\":\"v1\"}}]",
		"[{\"when\":{\"header\":\"X-Old: no\"}}]",
		"[{\"when\":{\"header\":\"X-New\"}}]",
	};
	static const char *const yes[] = {
		"[{\"when\":{\"method\":\"get\"}}]",
		"[{\"when\":{\"tenant\":\"t1\",\"target\":\"WEB\"}}]",
		"[{\"when\":{\"path\":\"a%70i/\"}}]",
		"[{\"when\":{\"path\":\"api/\",\"header\":\"x-old: *\"}}]",
		"[{\"when\":{\"header\":\"X-Old: yes\"}}]",
		"[{}]",
	};
	struct fixture *x = *state;
	uint64_t matched;

	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		rules(x, no[i]);
		(void)apply(x, &matched);
		assert_int_equal(matched, 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		rules(x, yes[i]);
		(void)apply(x, &matched);
		assert_int_equal(matched, 1);
	}
}

static void test_path_as_targets_read_it(void **state)
{
	static const char *const same[] = {
		"admin/x",     "%61dmin/x",    "adm%69n/x",   "admin%2fx",
		"admin%2f/x",  "admin;v=1/x",  "admin%3bv/x", "%2Fadmin/",
		"admin%5Cx",   "admin./x",     "admin%20/x",  "admin%20.;v/x",
		"admin%252fx", "admin%c0%afx", "admin;v%2fx", "admin/?a",
	};
	static const char *const other[] = {
		"admin",     "admin2/x",  "x/admin/",	"a",	    "",
		"%",	     "%6",	  "admin%",	"Admin/x",  "admin;x",
		"a/dmin/",   "admin?/x",  "admin;a?/x", "ad.min/x", "adm%20in/x",
		"admin.x/y", "admin%3f/", "admin.",	".admin/",  "admin;?/x",
	};
	struct fixture *x = *state;
	uint64_t matched;

	rules(x, "[{\"when\":{\"path\":\"admin/\"},\"answer\":{\"status\":\"403\"}}]");
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		x->r.url = str_c(same[i]);
		(void)apply(x, &matched);
		assert_int_equal(matched, 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(other); i++) {
		x->r.url = str_c(other[i]);
		(void)apply(x, &matched);
		assert_int_equal(matched, 0);
	}
}

/* As an operator wrote them, asked for as they stand. */
static void test_escapes_in_rules(void **state)
{
	static const struct {
		const char *rule, *url;
		bool matches;
	} cases[] = {
		{"back%5Cslash", "back%5Cslash", true}, {"back%5Cslash", "back/slash", true},
		{"dbl%2541x", "dbl%2541x", true},	{"dbl%2541x", "dblAx", true},
		{"pct%2525z", "pct%2525z", true},	{"p%20q/100%", "p%20q/100%25", true},
		{"p%20q/100%", "p%20q/100x", false},	{"a%", "a", false},
	};
	struct fixture *x = *state;
	uint64_t matched;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[100];

		(void)snprintf(text, sizeof(text), "[{\"when\":{\"path\":\"%s\"}}]", cases[i].rule);
		rules(x, text);
		x->r.url = str_c(cases[i].url);
		(void)apply(x, &matched);
		assert_int_equal(matched, cases[i].matches);
	}
}

static void test_answer_ends_the_chain(void **state)
{
	struct fixture *x = *state;
	uint64_t matched;

	rules(x, "[{\"answer\":{\"status\":\"503\",\"headers\":{\"Retry-After\":\"60\"},"
		 "\"body\":\"closed\",\"deliver\":true}},"
		 "{\"set_request_headers\":{\"X-Late\":\"1\"}}]");
	const struct interceptor_answer *answer = apply(x, &matched);

	assert_non_null(answer);
	assert_int_equal(answer->status, 503);
	assert_true(answer->deliver);
	assert_str(answer->body, STR("closed"));
	assert_str(http_header_get(&answer->headers, STR("Retry-After")), STR("60"));
	assert_null(http_header_get(&x->h, STR("X-Late")).p);
}

/* What a rule matches it also rewrites, in whatever spelling. */
static void test_rewrite_as_targets_read_it(void **state)
{
	static const char *const urls[] = {"api/v1/x?a=/",   "api/%761/x?a=/",	"%61pi/v1/x?a=/",
					   "api;a/v1/x?a=/", "api%2fv1/x?a=/",	"api/v1./x?a=/",
					   "api//v1/x?a=/",  "api/v1%2F/x?a=/", "api/v1%5C//x?a=/"};
	struct fixture *x = *state;
	uint64_t matched;

	rules(x, "[{\"when\":{\"path\":\"api/v1/\"},"
		 "\"rewrite\":{\"from\":\"api/v%31/\",\"to\":\"new/\"}}]");
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		x->r.url = str_c(urls[i]);
		(void)apply(x, &matched);
		assert_int_equal(matched, 1);
		assert_str(x->r.url, STR("new/x?a=/"));
	}
	x->r.url = STR("api/v2/x");
	(void)apply(x, &matched);
	assert_str(x->r.url, STR("api/v2/x"));
}

/* A rewrite joins what was safe apart: the result is checked again. */
static void test_rewrite_stays_below(void **state)
{
	static const char *const urls[] = {"api/v1/x?q", "api//evil/", "apia:/x"};
	struct fixture *x = *state;
	uint64_t matched;

	rules(x, "[{\"rewrite\":{\"from\":\"api\",\"to\":\"\"}}]");
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		x->r.url = str_c(urls[i]);
		const struct interceptor_answer *answer = apply(x, &matched);

		assert_non_null(answer);
		assert_int_equal(answer->status, 400);
	}
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[1]",
		"[{\"wen\":{}}]",
		"[{\"when\":{\"paht\":\"x\"}}]",
		"[{\"when\":{\"header\":\"bad name: x\"}}]",
		"[{\"set_request_headers\":{\"a b\":\"1\"}}]",
		"[{\"set_request_headers\":{\"A\":\"x\\ny\"}}]",
		"[{\"set_response_headers\":{\"Content-Length\":\"1\"}}]",
		"[{\"set_request_headers\":{\"Connection\":\"close\"}}]",
		"[{\"rewrite\":{\"from\":\"\",\"to\":\"//evil/\"}}]",
		"[{\"answer\":{\"status\":\"199\"}}]",
		"[{\"answer\":{\"status\":\"600\"}}]",
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct fault f = {0};

		if (interceptors_parse(&x->a, conf_of_json(&x->a, bad[i]), &x->rules, &f) !=
		    ERR_INVALID) {
			fail_msg("taken: %s", bad[i]);
		}
		assert_true(strlen(f.text) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_edits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conditions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answer_ends_the_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_path_as_targets_read_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_escapes_in_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rewrite_as_targets_read_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rewrite_stays_below, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
