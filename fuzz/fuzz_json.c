/*
 * Reader, shapes and writer: what was read can be written, and what was written reads
 * back as the same text.
 */
#include "base/guid.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct thing {
	struct str name;
	bool on;
	int64_t count;
	struct opt_i64 limit;
	struct opt_bool maybe;
	struct opt_i64 span;
	struct opt_i64 time;
	struct guid id;
	struct guid origin;
	const struct json *extra;
	struct str all_required;
};

#define F(n, t, m, ...)                                                                            \
	{                                                                                          \
		n, t, offsetof(struct thing, m), __VA_ARGS__                                       \
	}
static const struct json_field fields[] = {
	F("name", JSON_F_STR, name, 0, 1, 40),
	F("on", JSON_F_BOOL, on),
	F("count", JSON_F_I64, count, 0, -5, 1000),
	F("limit", JSON_F_OPT_I64, limit),
	F("maybe", JSON_F_OPT_BOOL, maybe),
	F("span", JSON_F_SPAN, span),
	F("time", JSON_F_TIME, time),
	F("id", JSON_F_GUID, id),
	F("origin", JSON_F_OPT_GUID, origin),
	F("extra", JSON_F_TREE, extra),
	F("r", JSON_F_STR, all_required, JSON_REQUIRED),
};
#undef F
static const struct json_shape shape = {"thing", fields, ARRAY_LEN(fields)};

/* Writing the tree, reading it and writing again gives the same bytes. */
static void check_tree(struct arena *a, const struct json *v)
{
	struct buf once = {0};
	struct buf twice = {0};
	struct json_writer w = json_writer_to(&once);
	struct json *again;

	json_put_tree(&w, v);
	ASSERT(json_parse(a, buf_str(&once), &again, NULL) == ERR_OK);
	w = json_writer_to(&twice);
	json_put_tree(&w, again);
	ASSERT(str_eq(buf_str(&once), buf_str(&twice)));
	buf_free(&once);
	buf_free(&twice);
}

/* The same for a decoded struct. */
static void check_shape(struct arena *a, const struct json *v)
{
	struct buf once = {0};
	struct buf twice = {0};
	struct json_writer w = json_writer_to(&once);
	struct json *again;
	struct thing t;
	struct fault f = {0};

	if (json_decode(&shape, v, &t, &f) != ERR_OK) {
		ASSERT(f.code == ERR_INVALID && f.text[0]);
		return;
	}
	json_encode(&shape, &t, &w);
	ASSERT(json_parse(a, buf_str(&once), &again, NULL) == ERR_OK);
	ASSERT(json_decode(&shape, again, &t, NULL) == ERR_OK);
	w = json_writer_to(&twice);
	json_encode(&shape, &t, &w);
	ASSERT(str_eq(buf_str(&once), buf_str(&twice)));
	buf_free(&once);
	buf_free(&twice);
}

/* Whoever skims finds the same, and writes what means the same. */
static void check_skimmed(struct arena *a, struct str text, const struct json *v)
{
	struct buf raw = {0}, once = {0}, twice = {0};
	struct json_writer w = json_writer_to(&raw);
	struct json *skimmed, *again;

	ASSERT(json_skim(a, text, SIZE_MAX, &skimmed, NULL) == ERR_OK);
	ASSERT(skimmed->type == v->type && skimmed->n == v->n);
	json_put_tree(&w, skimmed);
	ASSERT(json_parse(a, buf_str(&raw), &again, NULL) == ERR_OK);
	w = json_writer_to(&once);
	json_put_tree(&w, v);
	w = json_writer_to(&twice);
	json_put_tree(&w, again);
	ASSERT(str_eq(buf_str(&once), buf_str(&twice)));
	buf_free(&raw);
	buf_free(&once);
	buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena a;
	struct json *v;
	struct fault f = {0};

	arena_init(&a, 0);
	if (json_parse(&a, str_of(data, n), &v, &f) == ERR_OK) {
		check_tree(&a, v);
		check_shape(&a, v);
		check_skimmed(&a, str_of(data, n), v);
	} else {
		ASSERT(f.code == ERR_INVALID && f.text[0]);
	}
	arena_fini(&a);
	return 0;
}
