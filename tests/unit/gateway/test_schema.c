#include "entity_test.h"

/* A schema with one of everything. */

static const char *const colours[] = {"red", "green", NULL};
static const char *const sizes[] = {"1", "2", NULL};

static enum err check_even(struct arena *a, const struct schema_field *field, const struct json *v,
			   struct fault *f)
{
	int64_t i;

	(void)a;
	(void)field;
	return json_int(v, &i) && i % 2 == 0 ? ERR_OK : fault_set(f, ERR_INVALID, "must be even");
}

static const struct schema_field text = {.type = SCHEMA_STRING};
static const struct schema_field small = {
	.type = SCHEMA_INTEGER, .has_range = true, .min = 0, .max = 9};
static const struct schema_field lower = {.type = SCHEMA_STRING, .match = "^[a-z]+$"};

struct inner {
	int64_t n;
	struct str s;
};

static const struct schema_field inner_fields[] = {
	{.name = "n",
	 .type = SCHEMA_INTEGER,
	 .dflt = "7",
	 .c = SCHEMA_C_INT,
	 .offset = offsetof(struct inner, n)},
	{.name = "s",
	 .type = SCHEMA_STRING,
	 .c = SCHEMA_C_STR,
	 .offset = offsetof(struct inner, s)},
};
static const struct schema_rule inner_rules[] = {
	{.kind = SCHEMA_AT_LEAST_ONE_OF, .fields = {"n", "s"}},
};
static const struct schema inner = {.name = "inner",
				    .fields = inner_fields,
				    .n = ARRAY_LEN(inner_fields),
				    .rules = inner_rules,
				    .n_rules = ARRAY_LEN(inner_rules)};
static const struct schema_field inner_element = {.type = SCHEMA_RECORD, .record = &inner};

struct thing {
	struct str colour;
	struct schema_strs list;
	struct schema_ints set;
	int64_t even;
	struct opt_i64 small;
	double above;
	struct opt_num number;
	bool on;
	struct opt_bool maybe;
	struct inner inner;
	const struct json *map;
};

#define C(kind, member) .c = kind, .offset = offsetof(struct thing, member)

static const struct schema_field fields[] = {
	{.name = "id", .type = SCHEMA_STRING, .flags = SCHEMA_UUID | SCHEMA_AUTO},
	{.name = "fixed", .type = SCHEMA_STRING, .flags = SCHEMA_IMMUTABLE},
	{.name = "token", .type = SCHEMA_STRING, .flags = SCHEMA_AUTO},
	{.name = "at", .type = SCHEMA_INTEGER, .flags = SCHEMA_TIMESTAMP},
	{.name = "colour",
	 .type = SCHEMA_STRING,
	 .dflt = "\"red\"",
	 .one_of = colours,
	 C(SCHEMA_C_STR, colour)},
	{.name = "other", .type = SCHEMA_STRING, .not_one_of = colours},
	{.name = "size", .type = SCHEMA_INTEGER, .one_of = sizes},
	{.name = "word", .type = SCHEMA_STRING, .len_min = 2, .len_max = 4},
	{.name = "pair", .type = SCHEMA_STRING, .len_min = 2, .len_max = 2},
	{.name = "any", .type = SCHEMA_STRING, .flags = SCHEMA_EMPTY_OK},
	{.name = "slash", .type = SCHEMA_STRING, .starts_with = "/"},
	{.name = "lower", .type = SCHEMA_STRING, .match = "^[a-z]+$"},
	{.name = "upper",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REFERENCEABLE,
	 .match = "^[A-Z]+$",
	 .match_err = "must shout"},
	{.name = "regex", .type = SCHEMA_STRING, .flags = SCHEMA_REGEX},
	{.name = "even", .type = SCHEMA_INTEGER, .check = check_even, C(SCHEMA_C_INT, even)},
	{.name = "small",
	 .type = SCHEMA_INTEGER,
	 .has_range = true,
	 .min = 0,
	 .max = 2147483646,
	 C(SCHEMA_C_OPT_INT, small)},
	{.name = "above", .type = SCHEMA_NUMBER, .has_gt = true, .gt = 0.5, C(SCHEMA_C_NUM, above)},
	{.name = "number", .type = SCHEMA_NUMBER, C(SCHEMA_C_OPT_NUM, number)},
	{.name = "on", .type = SCHEMA_BOOLEAN, .dflt = "true", C(SCHEMA_C_BOOL, on)},
	{.name = "maybe", .type = SCHEMA_BOOLEAN, C(SCHEMA_C_OPT_BOOL, maybe)},
	{.name = "list",
	 .type = SCHEMA_ARRAY,
	 .elements = &text,
	 .len_max = 3,
	 C(SCHEMA_C_STRS, list)},
	{.name = "set", .type = SCHEMA_SET, .elements = &small, C(SCHEMA_C_INTS, set)},
	{.name = "holes",
	 .type = SCHEMA_ARRAY,
	 .flags = SCHEMA_NULLABLE_ELEMENTS,
	 .elements = &text},
	{.name = "map",
	 .type = SCHEMA_MAP,
	 .keys = &lower,
	 .elements = &small,
	 C(SCHEMA_C_TREE, map)},
	{.name = "inner",
	 .type = SCHEMA_RECORD,
	 .flags = SCHEMA_REQUIRED,
	 .record = &inner,
	 C(SCHEMA_C_RECORD, inner)},
	{.name = "maybe_inner", .type = SCHEMA_RECORD, .record = &inner},
	{.name = "records", .type = SCHEMA_ARRAY, .elements = &inner_element},
	{.name = "service", .type = SCHEMA_FOREIGN, .foreign = "services"},
	{.name = "old_s", .type = SCHEMA_STRING, .alias_of = "inner.s"},
	{.name = "must", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .dflt = "\"x\""},
};

static const struct schema_rule rules[] = {
	{.kind = SCHEMA_ONLY_ONE_OF, .fields = {"word", "pair"}},
	{.kind = SCHEMA_ALL_OR_NONE, .fields = {"lower", "upper"}},
	{.kind = SCHEMA_DISTINCT, .fields = {"slash", "any"}},
	{.kind = SCHEMA_EXACTLY_ONE_OF, .fields = {"must", "other"}},
	{.kind = SCHEMA_CONDITIONAL,
	 .fields = {"colour", "at"},
	 .if_one_of = (const char *const[]){"green", NULL},
	 .then = SCHEMA_THEN_REQUIRED,
	 .then_err = "green needs a time"},
};

static const struct schema all = {.name = "all",
				  .fields = fields,
				  .n = ARRAY_LEN(fields),
				  .rules = rules,
				  .n_rules = ARRAY_LEN(rules)};

static struct entity_test t;

static int setup(void **state)
{
	(void)state;
	entity_test_init(&t, &all);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	entity_test_fini(&t);
	return 0;
}

/* -- texts ------------------------------------------------------------------ */

static void test_texts(void **state)
{
	static const struct {
		const char *in, *errors;
	} cases[] = {
		{"\"nope\":null", "\"nope\":\"unknown field\""},
		{"\"must\":null", "\"must\":\"required field missing\""},
		{"\"word\":5", "\"word\":\"expected a string\""},
		{"\"number\":\"5\"", "\"number\":\"expected a number\""},
		{"\"number\":1e999", "\"number\":\"expected a number\""},
		{"\"above\":0.00000000000000000000000000000000000000000000000000000000000000000001",
		 "\"above\":\"value must be greater than 0.5\""},
		{"\"even\":\"2\"", "\"even\":\"expected an integer\""},
		{"\"even\":2.5", "\"even\":\"expected an integer\""},
		{"\"even\":1e300", "\"even\":\"expected an integer\""},
		{"\"on\":\"true\"", "\"on\":\"expected a boolean\""},
		{"\"on\":0", "\"on\":\"expected a boolean\""},
		{"\"inner\":5", "\"inner\":\"expected a record\""},
		{"\"list\":\"a\"", "\"list\":\"expected an array\""},
		{"\"list\":{\"a\":1}", "\"list\":\"expected an array\""},
		{"\"set\":5", "\"set\":\"expected a set\""},
		{"\"map\":[1]", "\"map\":\"expected a map\""},
		{"\"id\":\"x\"", "\"id\":\"expected a valid UUID\""},
		{"\"id\":\"0aa0a0aa000040008000000000000000aaaa\"",
		 "\"id\":\"expected a valid UUID\""},
		{"\"id\":\"00000000-0000-0000-0000-000000000000\"",
		 "\"id\":\"expected a valid UUID\""},
		{"\"at\":0", "\"at\":\"expected a valid timestamp\""},
		{"\"at\":1000000000000001", "\"at\":\"expected a valid timestamp\""},
		{"\"at\":9223372036854775807", "\"at\":\"expected a valid timestamp\""},
		{"\"any\":\"a\\u0000b\"",
		 "\"any\":\"invalid NUL character detected at position 2\""},
		{"\"upper\":\"{vault://env/\\u0000}\"",
		 "\"upper\":\"invalid NUL character detected at position 14\""},
		{"\"list\":[\"\\u0000\"]",
		 "\"list\":[\"invalid NUL character detected at position 1\"]"},
		{"\"map\":{\"a\\u0000\":1}",
		 "\"map\":{\"a\\u0000\":\"invalid NUL character detected at position 2\"}"},
		{"\"small\":-1", "\"small\":\"value should be between 0 and 2147483646\""},
		{"\"small\":2147483647", "\"small\":\"value should be between 0 and 2147483646\""},
		{"\"above\":0.5", "\"above\":\"value must be greater than 0.5\""},
		{"\"pair\":\"abc\"", "\"pair\":\"length must be 2\""},
		{"\"word\":\"a\"", "\"word\":\"length must be at least 2\""},
		{"\"word\":\"abcde\"", "\"word\":\"length must be at most 4\""},
		{"\"slash\":\"\"", "\"slash\":\"length must be at least 1\""},
		{"\"list\":[\"a\",\"b\",\"c\",\"d\"]", "\"list\":\"length must be at most 3\""},
		{"\"colour\":\"blue\"", "\"colour\":\"expected one of: red, green\""},
		{"\"size\":3", "\"size\":\"expected one of: 1, 2\""},
		{"\"must\":null,\"other\":\"red\"",
		 "\"other\":\"must not be one of: red, green\",\"must\":\"required field "
		 "missing\""},
		{"\"slash\":\"x\"", "\"slash\":\"should start with: /\""},
		{"\"lower\":\"X\"", "\"lower\":\"invalid value: X\""},
		{"\"lower\":\"x\\n\"", "\"lower\":\"invalid value: x\\n\""},
		{"\"upper\":\"x\"", "\"upper\":\"must shout\""},
		{"\"regex\":\"a(\"", "\"regex\":\"not a valid regex: a(\""},
		{"\"even\":3", "\"even\":\"must be even\""},
		{"\"list\":[\"a\",5,\"\"]",
		 "\"list\":[null,\"expected a string\",\"length must be at least 1\"]"},
		{"\"list\":[null]", "\"list\":[\"required field missing\"]"},
		{"\"map\":{\"a\":1,\"b\":10,\"C\":1}",
		 "\"map\":{\"b\":\"value should be between 0 and 9\",\"C\":\"invalid value: C\"}"},
		{"\"inner\":{\"x\":1,\"n\":\"y\"}",
		 "\"inner\":{\"x\":\"unknown field\",\"n\":\"expected an integer\"}"},
		{"\"inner\":{\"n\":null}",
		 "\"inner\":{\"@entity\":[\"at least one of these fields must be non-empty: 'n', "
		 "'s'\"]}"},
		{"\"records\":[{},{\"n\":true}]",
		 "\"records\":[null,{\"n\":\"expected an integer\"}]"},
		{"\"service\":{}", "\"service\":{\"id\":\"missing primary key\"}"},
		{"\"service\":{\"id\":null}", "\"service\":{\"id\":\"missing primary key\"}"},
		{"\"service\":{\"id\":5}", "\"service\":{\"id\":\"expected a string\"}"},
		{"\"old_s\":5", "\"inner\":{\"s\":\"expected a string\"}"},
		{"\"old_s\":\"a\",\"inner\":{\"s\":\"b\"}",
		 "\"old_s\":\"both deprecated and new field are used but their values mismatch: "
		 "old_s and inner.s\""},
		/* rules */
		{"\"word\":\"ab\",\"pair\":\"ab\"",
		 "\"@entity\":[\"only one or none of these fields must be set: 'word', 'pair'\"]"},
		{"\"lower\":\"a\"",
		 "\"@entity\":[\"all or none of these fields must be set: 'lower', 'upper'\"]"},
		{"\"slash\":\"/\",\"any\":\"/\"",
		 "\"@entity\":[\"values of these fields must be distinct: 'slash', 'any'\"]"},
		{"\"other\":\"blue\"",
		 "\"@entity\":[\"exactly one of these fields must be non-empty: 'must', "
		 "'other'\"]"},
		{"\"colour\":\"green\"",
		 "\"at\":\"required field missing\",\"@entity\":[\"green needs a time\"]"},
		/* a rule about a faulty field keeps silent */
		{"\"lower\":5", "\"lower\":\"expected a string\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str in = str_fmt(&t.arena, "{%s}", cases[i].in);
		struct str errors = str_fmt(&t.arena, "{%s}", cases[i].errors);

		assert_refuses(&t, str_cstr(&t.arena, in), str_cstr(&t.arena, errors));
	}
}

static void test_not_an_object(void **state)
{
	(void)state;
	assert_refuses(&t, "5", "{\"@entity\":[\"expected a record\"]}");
	assert_refuses(&t, "[1]", "{\"@entity\":[\"expected a record\"]}");
	assert_takes(&t, "[]"); /* an empty table of Lua clients */
}

static void test_invalid_utf8(void **state)
{
	struct schema_input in = {.op = SCHEMA_INSERT, .now_ms = NOW};
	struct json *v = tree_object(&t.arena);

	(void)state;
	tree_set(&t.arena, v, STR("any"), tree_str(&t.arena, STR("ab\xff")));
	in.value = v;
	assert_err(run(&t, &in), ERR_INVALID);
	assert_same(written(&t, t.errors),
		    "{\"any\":\"invalid utf-8 character sequence detected at position 3\"}");
}

/* The sender chooses how many there are: a megabyte of them is told shortly, and soon. */
static void test_many_unknown_fields(void **state)
{
	struct json *v = tree_object(&t.arena), *map = tree_object(&t.arena);
	struct tree_tail tail = tree_tail_of(v), map_tail = tree_tail_of(map);
	struct schema_input in = {.op = SCHEMA_INSERT, .value = v, .now_ms = NOW};

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		struct str name = str_fmt(&t.arena, "k%u", i);

		tree_push(&t.arena, &tail, name, tree_null(&t.arena));
		tree_push(&t.arena, &map_tail, name, tree_null(&t.arena));
	}
	tree_push(&t.arena, &tail, STR("word"), tree_int(&t.arena, 5));
	tree_push(&t.arena, &tail, STR("map"), map);
	assert_err(run(&t, &in), ERR_INVALID);
	assert_int_equal(t.errors->n, 102);
	assert_int_equal(json_get(t.errors, STR("map"))->n, 100);
	assert_str(json_get_str(t.errors, "word"), STR("expected a string"));
}

static void test_message(void **state)
{
	static const struct {
		const char *in, *text;
	} cases[] = {
		{"{\"word\":5}", "schema violation (word: expected a string)"},
		{"{\"word\":5,\"nope\":1}",
		 "2 schema violations (nope: unknown field; word: expected a string)"},
		{"{\"list\":[\"a\",5],\"inner\":{\"n\":\"x\"}}",
		 "2 schema violations (inner.n: expected an integer; list.2: expected a string)"},
		{"{\"inner\":{\"n\":null},\"any\":5,\"word\":\"ab\",\"pair\":\"ab\"}",
		 "3 schema violations (only one or none of these fields must be set: 'word', "
		 "'pair'; any: expected a string; inner: at least one of these fields must be "
		 "non-empty: 'n', 's')"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_err(insert(&t, cases[i].in), ERR_INVALID);
		assert_same(schema_errors_text(&t.arena, t.errors), cases[i].text);
	}
}

/* -- values ----------------------------------------------------------------- */

static void test_defaults_in_table_order(void **state)
{
	(void)state;
	assert_takes(&t, "{\"must\":\"m\",\"id\":\"0AA0A0AA-0000-4000-8000-00000000000A\","
			 "\"token\":\"t\"}");
	assert_same(written(&t, t.out),
		    "{\"id\":\"0aa0a0aa-0000-4000-8000-00000000000a\",\"fixed\":null,"
		    "\"token\":\"t\",\"at\":null,\"colour\":\"red\",\"other\":null,\"size\":null,"
		    "\"word\":null,\"pair\":null,\"any\":null,\"slash\":null,\"lower\":null,"
		    "\"upper\":null,\"regex\":null,\"even\":null,\"small\":null,\"above\":null,"
		    "\"number\":null,\"on\":true,\"maybe\":null,\"list\":null,\"set\":null,"
		    "\"holes\":null,\"map\":null,\"inner\":{\"n\":7,\"s\":null},"
		    "\"maybe_inner\":null,\"records\":null,\"service\":null,\"old_s\":null,"
		    "\"must\":\"m\"}");
}

static void test_values(void **state)
{
	(void)state;
	assert_takes(&t, "{}");
	assert_int_equal(json_str(json_get(t.out, STR("token"))).n, 32);
	assert_int_equal(json_str(json_get(t.out, STR("id"))).n, GUID_D_LEN);
	assert_takes(&t, "{\"even\":4.0,\"set\":[1,2,1,3,2],\"list\":[\"a\",\"a\"],"
			 "\"holes\":[\"a\",null],\"map\":{\"b\":1,\"a\":2},\"maybe_inner\":{},"
			 "\"records\":[{\"s\":\"x\"}],\"any\":\"\",\"old_s\":\"o\",\"colour\":null,"
			 "\"upper\":\"{vault://env/x}\",\"lower\":\"a\"}");
	assert_at(&t, "even", "4");
	assert_at(&t, "set", "[1,2,3]");
	assert_at(&t, "list", "[\"a\",\"a\"]");
	assert_at(&t, "holes", "[\"a\",null]");
	assert_at(&t, "map", "{\"b\":1,\"a\":2}");
	assert_at(&t, "maybe_inner", "{\"n\":7,\"s\":null}");
	assert_at(&t, "records", "[{\"n\":7,\"s\":\"x\"}]");
	assert_at(&t, "any", "\"\"");
	assert_at(&t, "inner", "{\"n\":7,\"s\":\"o\"}");
	assert_at(&t, "old_s", "\"o\"");
	assert_at(&t, "colour", "null");
	assert_at(&t, "upper", "\"{vault://env/x}\"");
	assert_takes(&t, "{\"number\":1E1,\"above\":1.50}");
	assert_at(&t, "number", "10");
	assert_at(&t, "above", "1.50");
	assert_takes(
		&t, "{\"number\":25e-1,\"above\":0.700000000000000000000000000000000000000000001}");
	assert_at(&t, "number", "2.5");
	assert_at(&t, "above", "0.7");
	assert_takes(&t, "{\"number\":1e+300}");
	assert_at(&t, "number", "1e+300");
	assert_takes(&t, "{\"list\":{},\"map\":[]}");
	assert_at(&t, "list", "[]");
	assert_at(&t, "map", "{}");
}

/* What was returned may be sent again, with the older names in it. */
static void test_round_trip(void **state)
{
	(void)state;
	assert_takes(&t, "{\"old_s\":\"o\",\"set\":[1],\"records\":[{}],\"map\":{\"a\":1}}");
	struct str once = written(&t, t.out);

	assert_takes(&t, str_cstr(&t.arena, once));
	assert_str(written(&t, t.out), once);
}

/* PUT over the last result. */
static void assert_replaces(struct entity_test *e, const char *put, const char *errors)
{
	const struct json *before = e->out;
	struct schema_input in = {
		.op = SCHEMA_INSERT, .value = parsed(e, put), .current = before, .now_ms = NOW};

	assert_err(run(e, &in), errors ? ERR_INVALID : ERR_OK);
	if (errors) {
		assert_same(written(e, e->errors), errors);
	}
	e->out = before;
}

/* What is made by itself is never unset, whatever is sent. */
static void test_null_of_what_is_made(void **state)
{
	(void)state;
	assert_takes(&t, "{\"id\":null,\"token\":null}");
	struct str token = json_get_str(t.out, "token");

	assert_int_equal(token.n, 32);
	assert_int_equal(json_get_str(t.out, "id").n, GUID_D_LEN);
	assert_ok(update(&t, "{\"token\":null}"));
	assert_str(json_get_str(t.out, "token"), token);
	t.coerce = true;
	assert_takes(&t, "{\"id\":\"\"}");
	t.coerce = false;
	assert_int_equal(json_get_str(t.out, "id").n, GUID_D_LEN);
}

static void test_update(void **state)
{
	(void)state;
	assert_takes(&t, "{\"fixed\":\"f\",\"inner\":{\"s\":\"a\"},\"list\":[\"a\",\"b\"],"
			 "\"map\":{\"a\":1},\"word\":\"ab\",\"colour\":\"green\",\"at\":1}");
	assert_ok(update(&t, "{\"inner\":{\"n\":8},\"list\":[\"c\"],\"map\":{\"b\":2}}"));
	assert_at(&t, "inner", "{\"n\":8,\"s\":\"a\"}");
	assert_at(&t, "old_s", "\"a\"");
	assert_at(&t, "list", "[\"c\"]");
	assert_at(&t, "map", "{\"b\":2}");
	assert_at(&t, "word", "\"ab\"");
	assert_at(&t, "colour", "\"green\"");
	assert_ok(update(&t, "{\"word\":null,\"inner\":{\"s\":null}}"));
	assert_at(&t, "word", "null");
	assert_at(&t, "inner", "{\"n\":8,\"s\":null}");
	assert_ok(update(&t, "{\"fixed\":\"f\"}"));
	assert_update_refused(&t, "{\"fixed\":\"g\"}",
			      "{\"fixed\":\"immutable field cannot be updated\"}");
	assert_replaces(&t, "{\"fixed\":\"f\",\"inner\":{}}", NULL);
	assert_replaces(&t, "{\"fixed\":\"g\",\"inner\":{}}",
			"{\"fixed\":\"immutable field cannot be updated\"}");
	assert_update_refused(&t, "{\"inner\":{\"n\":null}}",
			      "{\"inner\":{\"@entity\":[\"when updating, at least one of these "
			      "fields must be non-empty: 'n', 's'\"]}}");
	assert_update_refused(&t, "{\"inner\":null}", "{\"inner\":\"required field missing\"}");
	assert_ok(update(&t, "{\"maybe_inner\":{\"s\":\"x\"}}"));
	assert_at(&t, "maybe_inner", "{\"n\":7,\"s\":\"x\"}");
	assert_ok(update(&t, "{\"old_s\":\"b\"}"));
	assert_at(&t, "inner", "{\"n\":8,\"s\":\"b\"}");
}

static void test_coerce(void **state)
{
	(void)state;
	t.coerce = true;
	assert_takes(&t, "{\"even\":\"4\",\"above\":\"0.75\",\"on\":\"false\",\"list\":\"a\","
			 "\"set\":[\"1\",\"2\"],\"map\":{\"a\":\"5\"},\"word\":\"\","
			 "\"inner\":{\"n\":\"3\"},\"records\":[{\"n\":\"1\"}],\"slash\":\"/\"}");
	assert_at(&t, "even", "4");
	assert_at(&t, "above", "0.75");
	assert_at(&t, "on", "false");
	assert_at(&t, "list", "[\"a\"]");
	assert_at(&t, "set", "[1,2]");
	assert_at(&t, "map", "{\"a\":5}");
	assert_at(&t, "word", "null");
	assert_at(&t, "inner.n", "3");
	assert_at(&t, "records", "[{\"n\":1,\"s\":null}]");
	assert_ok(update(&t, "{\"slash\":\"\"}"));
	assert_at(&t, "slash", "null");
	assert_refuses(&t, "{\"even\":\"x\"}", "{\"even\":\"expected an integer\"}");
	assert_refuses(&t, "{\"even\":\"0x10\"}", "{\"even\":\"expected an integer\"}");
	assert_refuses(&t, "{\"on\":\"yes\"}", "{\"on\":\"expected a boolean\"}");
	t.coerce = false;
}

/* -- decode ----------------------------------------------------------------- */

static void test_decode(void **state)
{
	struct thing x;

	(void)state;
	assert_takes(&t, "{\"list\":[\"a\",\"b\"],\"set\":[3,1],\"even\":2,\"small\":5,"
			 "\"above\":1.5,\"number\":2,\"maybe\":false,\"inner\":{\"s\":\"x\"},"
			 "\"map\":{\"a\":1}}");
	memset(&x, 0, sizeof(x));
	schema_decode(&t.arena, &all, t.out, &x);
	assert_str(x.colour, STR("red"));
	assert_int_equal(x.list.n, 2);
	assert_str(x.list.v[1], STR("b"));
	assert_int_equal(x.set.n, 2);
	assert_int_equal(x.set.v[0], 3);
	assert_int_equal(x.even, 2);
	assert_true(x.small.has && x.small.v == 5);
	assert_true(x.above > 1.4 && x.above < 1.6);
	assert_true(x.number.has && x.number.v > 1.9);
	assert_true(x.on);
	assert_true(x.maybe.has && !x.maybe.v);
	assert_int_equal(x.inner.n, 7);
	assert_str(x.inner.s, STR("x"));
	assert_int_equal(x.map->n, 1);
	assert_takes(&t, "{\"colour\":null}");
	memset(&x, 0, sizeof(x));
	schema_decode(&t.arena, &all, t.out, &x);
	assert_null(x.colour.p);
	assert_int_equal(x.list.n, 0);
	assert_false(x.small.has);
	assert_false(x.number.has);
	assert_false(x.maybe.has);
	assert_null(x.map);
	assert_null(x.inner.s.p);
}

/* Stored and shown as null, used as the default. */
static void test_null_in_use(void **state)
{
	struct thing x = {0};

	(void)state;
	assert_takes(
		&t,
		"{\"colour\":null,\"on\":null,\"inner\":{\"n\":null,\"s\":\"x\"},\"even\":null}");
	assert_at(&t, "colour", "null");
	schema_decode(&t.arena, &all, schema_in_use(&t.arena, &all, t.out), &x);
	assert_str(x.colour, STR("red"));
	assert_true(x.on);
	assert_int_equal(x.inner.n, 7);
	assert_str(x.inner.s, STR("x"));
	assert_int_equal(x.even, 0);
	assert_takes(&t, "{}");
	assert_ptr_equal(schema_in_use(&t.arena, &all, t.out), t.out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_not_an_object),
		cmocka_unit_test(test_invalid_utf8),
		cmocka_unit_test(test_many_unknown_fields),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_defaults_in_table_order),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_null_of_what_is_made),
		cmocka_unit_test(test_update),
		cmocka_unit_test(test_coerce),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_null_in_use),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
