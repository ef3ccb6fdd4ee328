#include "unit.h"

#include "base/guid.h"
#include "base/json.h"

struct thing {
	struct str name;
	struct str note;
	bool on;
	int64_t count;
	struct opt_i64 limit;
	struct opt_bool maybe;
	struct opt_i64 span;
	struct opt_i64 time;
	struct guid id;
	struct guid origin;
	const struct json *extra;
	int64_t revision;
};

#define F(n, t, m, fl, lo, hi)                                                                     \
	{                                                                                          \
		n, t, offsetof(struct thing, m), fl, lo, hi                                        \
	}
static const struct json_field thing_fields[] = {
	F("name", JSON_F_STR, name, JSON_REQUIRED, 2, 5),
	F("note", JSON_F_STR, note, 0, 0, 0),
	F("on", JSON_F_BOOL, on, 0, 0, 0),
	F("count", JSON_F_I64, count, 0, 0, 10),
	F("limit", JSON_F_OPT_I64, limit, 0, 0, 0),
	F("maybe", JSON_F_OPT_BOOL, maybe, 0, 0, 0),
	F("span", JSON_F_SPAN, span, 0, 0, 86400000),
	F("time", JSON_F_TIME, time, 0, 0, 0),
	F("id", JSON_F_GUID, id, 0, 0, 0),
	F("origin", JSON_F_OPT_GUID, origin, 0, 0, 0),
	F("extra", JSON_F_TREE, extra, 0, 0, 0),
	F("revision", JSON_F_I64, revision, JSON_READONLY, 0, 0),
};
#undef F
static const struct json_shape thing_shape = {"thing", thing_fields, ARRAY_LEN(thing_fields)};

static enum err decode(struct arena *a, const char *text, struct thing *out, struct fault *f)
{
	struct json *v;

	assert_ok(json_parse(a, str_c(text), &v, NULL));
	memset(out, 0x55, sizeof(*out));
	return json_decode(&thing_shape, v, out, f);
}

static void assert_encodes(const struct thing *t, const char *want)
{
	struct buf out = {0};
	struct json_writer w = json_writer_to(&out);

	json_encode(&thing_shape, t, &w);
	assert_str(buf_str(&out), str_c(want));
	buf_free(&out);
}

static void decodes_and_encodes_all_types(void **state)
{
	struct arena a;
	struct thing t;

	(void)state;
	arena_init(&a, 0);
	assert_ok(decode(&a,
			 "{\"NAME\":\"abc\",\"note\":\"\",\"On\":true,\"count\":\"10\",\"limit\":0,"
			 "\"maybe\":false,\"span\":\"00:02:00\",\"time\":\"2026-11-20T22:31:03Z\","
			 "\"id\":\"{0F8FAD5B-D9CB-469F-A165-70867728950E}\","
			 "\"origin\":\"0f8fad5bd9cb469fa16570867728950e\","
			 "\"extra\":{\"k\":[1]},\"revision\":5,\"unknown\":1}",
			 &t, NULL));
	assert_str(t.name, STR("abc"));
	assert_non_null(t.note.p);
	assert_int_equal(t.note.n, 0);
	assert_true(t.on);
	assert_int_equal(t.count, 10);
	assert_true(t.limit.has);
	assert_true(t.maybe.has && !t.maybe.v);
	assert_int_equal(t.span.v, 120000);
	assert_int_equal(t.revision, 0);
	assert_encodes(&t, "{\"name\":\"abc\",\"note\":\"\",\"on\":true,\"count\":10,\"limit\":0,"
			   "\"maybe\":false,\"span\":\"00:02:00\","
			   "\"time\":\"2026-11-20T22:31:03.000Z\","
			   "\"id\":\"0f8fad5b-d9cb-469f-a165-70867728950e\","
			   "\"origin\":\"0f8fad5b-d9cb-469f-a165-70867728950e\","
			   "\"extra\":{\"k\":[1]},\"revision\":0}");
	arena_fini(&a);
}

static void absent_and_null_are_the_same(void **state)
{
	static const char *const texts[] = {
		"{\"name\":\"ab\"}",
		"{\"name\":\"ab\",\"note\":null,\"on\":null,\"count\":null,\"limit\":null,"
		"\"maybe\":null,\"span\":null,\"time\":null,\"id\":null,\"origin\":null,"
		"\"extra\":null}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct arena a;
		struct thing t;

		arena_init(&a, 0);
		assert_ok(decode(&a, texts[i], &t, NULL));
		assert_null(t.note.p);
		assert_encodes(&t, "{\"name\":\"ab\",\"note\":null,\"on\":false,\"count\":0,"
				   "\"limit\":null,\"maybe\":null,\"span\":null,\"time\":null,"
				   "\"id\":\"00000000-0000-0000-0000-000000000000\","
				   "\"origin\":null,\"extra\":null,\"revision\":0}");
		arena_fini(&a);
	}
}

static void names_the_culprit(void **state)
{
	static const struct {
		const char *in, *why;
	} cases[] = {
		{"[]", "thing: must be an object"},
		{"{}", "thing.name: is required"},
		{"{\"name\":null}", "thing.name: is required"},
		{"{\"name\":\"\"}", "thing.name: is required"},
		{"{\"name\":1}", "thing.name: must be a string"},
		{"{\"name\":\"a\"}", "thing.name: must have at least 2 bytes"},
		{"{\"name\":\"abcdef\"}", "thing.name: must not exceed 5 bytes"},
		{"{\"name\":\"abc\",\"Name\":\"def\"}", "thing.name: is given twice"},
		{"{\"name\":null,\"Name\":\"def\"}", "thing.name: is given twice"},
		{"{\"name\":\"abc\",\"on\":\"true\"}", "thing.on: must be true or false"},
		{"{\"name\":\"abc\",\"count\":1.5}", "thing.count: must be a whole number"},
		{"{\"name\":\"abc\",\"count\":\"x\"}", "thing.count: must be a whole number"},
		{"{\"name\":\"abc\",\"count\":true}", "thing.count: must be a whole number"},
		{"{\"name\":\"abc\",\"count\":11}", "thing.count: must lie between 0 and 10"},
		{"{\"name\":\"abc\",\"count\":-1}", "thing.count: must lie between 0 and 10"},
		{"{\"name\":\"abc\",\"limit\":9223372036854775808}",
		 "thing.limit: must be a whole number"},
		{"{\"name\":\"abc\",\"maybe\":0}", "thing.maybe: must be true or false"},
		{"{\"name\":\"abc\",\"span\":\"x\"}",
		 "thing.span: must be a time span like \"00:02:00\""},
		{"{\"name\":\"abc\",\"span\":5}",
		 "thing.span: must be a time span like \"00:02:00\""},
		{"{\"name\":\"abc\",\"span\":\"2.00:00:00\"}",
		 "thing.span: must lie between 0 and 86400000"},
		{"{\"name\":\"abc\",\"time\":\"yesterday\"}",
		 "thing.time: must be a time like \"2026-11-20T22:31:03Z\""},
		{"{\"name\":\"abc\",\"id\":\"12\"}", "thing.id: must be a GUID"},
		{"{\"name\":\"abc\",\"origin\":{}}", "thing.origin: must be a GUID"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct fault f = {0};
		struct thing t;

		arena_init(&a, 0);
		assert_err(decode(&a, cases[i].in, &t, &f), ERR_INVALID);
		assert_string_equal(f.text, cases[i].why);
		arena_fini(&a);
	}
	struct thing t;

	assert_err(json_decode(&thing_shape, NULL, &t, NULL), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_and_encodes_all_types),
		cmocka_unit_test(absent_and_null_are_the_same),
		cmocka_unit_test(names_the_culprit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
