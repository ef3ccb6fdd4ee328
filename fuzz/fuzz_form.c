/*
 * Form bodies: the first byte says which kind. Whatever is read is a tree that can be
 * written, read back and put through the schema of a route as a form.
 */
#include "gateway/entity.h"
#include "gateway/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_tree(struct arena *a, const struct json *v)
{
	struct schema_input in = {.op = SCHEMA_INSERT, .value = v, .coerce = true, .now_ms = 1000};
	const struct json *out;
	const struct json *errors;
	struct buf text = {0};
	struct json_writer w = json_writer_to(&text);
	struct json *again;

	json_put_tree(&w, v);
	ASSERT(json_parse(a, buf_str(&text), &again, NULL) == ERR_OK);
	if (schema_process(a, entity_defs[ENTITY_ROUTE].schema, &in, &out, &errors) != ERR_OK) {
		ASSERT(schema_errors_text(a, errors).n > 0);
	}
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	bool multipart = n > 0 && data[0] == 'm';
	struct str type = multipart ? STR("multipart/form-data; boundary=b")
				    : STR("application/x-www-form-urlencoded");
	struct arena a;
	struct json *v;
	struct fault f = {0};

	arena_init(&a, 0);
	if (form_read(&a, type, str_of(data + (n > 0), n - (n > 0)), &v, &f) == ERR_OK) {
		check_tree(&a, v);
	} else {
		ASSERT((f.code == ERR_INVALID || f.code == ERR_LIMIT) && f.text[0]);
	}
	arena_fini(&a);
	return 0;
}
