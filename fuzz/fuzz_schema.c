/*
 * Routes and upstreams from JSON: what is accepted is complete and is accepted again
 * without change, by PUT and by PATCH; what is refused says why.
 */
#include "gateway/entity.h"
#include "gateway/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_again(struct arena *a, const struct schema *s, const struct json *v)
{
	struct schema_input in = {.op = SCHEMA_INSERT, .value = v, .now_ms = 1000};
	const struct json *out;
	const struct json *errors;

	ASSERT(schema_process(a, s, &in, &out, &errors) == ERR_OK);
	ASSERT(tree_eq(out, v));
	in.op = SCHEMA_UPDATE;
	in.value = tree_object(a);
	in.current = v;
	ASSERT(schema_process(a, s, &in, &out, &errors) == ERR_OK);
	ASSERT(tree_eq(out, v));
}

static void check_kind(struct arena *a, enum entity_kind kind, const struct json *v)
{
	const struct schema *s = entity_defs[kind].schema;
	struct schema_input in = {.op = SCHEMA_INSERT, .value = v, .now_ms = 1000};
	const struct json *out;
	const struct json *errors;

	if (schema_process(a, s, &in, &out, &errors) == ERR_OK) {
		ASSERT(out->n == s->n);
		check_again(a, s, out);
	} else {
		ASSERT(errors && errors->n > 0 && schema_errors_text(a, errors).n > 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena a;
	struct json *v;

	arena_init(&a, 0);
	if (json_parse(&a, str_of(data, n), &v, NULL) == ERR_OK) {
		check_kind(&a, ENTITY_ROUTE, v);
		check_kind(&a, ENTITY_UPSTREAM, v);
	}
	arena_fini(&a);
	return 0;
}
