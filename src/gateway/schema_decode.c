#include "gateway/schema_int.h"

/* A number that is written otherwise (429.0, 4.29e2) is cut to a whole one. */
static int64_t whole(const struct json *v)
{
	int64_t i = 0;
	double d;

	if (json_int(v, &i) || !v || v->type != JSON_NUMBER) {
		return i;
	}
	d = schema_number(v);
	return d > -0x1p62 && d < 0x1p62 ? (int64_t)d : 0;
}

static void decode_strs(struct arena *a, const struct json *v, struct schema_strs *out)
{
	if (json_is_null(v) || v->n == 0) {
		return;
	}
	struct str *list = ARENA_NEW_ARRAY(a, struct str, v->n);
	size_t n = 0;

	for (const struct json *c = v->child; c; c = c->next) {
		list[n++] = json_str(c);
	}
	*out = (struct schema_strs){list, n};
}

static void decode_ints(struct arena *a, const struct json *v, struct schema_ints *out)
{
	if (json_is_null(v) || v->n == 0) {
		return;
	}
	int64_t *list = ARENA_NEW_ARRAY(a, int64_t, v->n);
	size_t n = 0;

	for (const struct json *c = v->child; c; c = c->next) {
		list[n++] = whole(c);
	}
	*out = (struct schema_ints){list, n};
}

static double number(const struct json *v)
{
	return v && v->type == JSON_NUMBER ? schema_number(v) : 0;
}

/* `out` was zeroed; null leaves it so. */
static void decode_field(struct arena *a, const struct schema_field *f, const struct json *v,
			 void *out)
{
	void *to = (char *)out + f->offset;

	switch (f->c) {
	case SCHEMA_C_NONE:
		break;
	case SCHEMA_C_STR:
		*(struct str *)to = json_is_null(v) ? STR_NULL : json_str(v);
		break;
	case SCHEMA_C_STRS:
		decode_strs(a, v, to);
		break;
	case SCHEMA_C_INT:
		*(int64_t *)to = whole(v);
		break;
	case SCHEMA_C_INTS:
		decode_ints(a, v, to);
		break;
	case SCHEMA_C_OPT_INT:
		*(struct opt_i64 *)to = (struct opt_i64){!json_is_null(v), whole(v)};
		break;
	case SCHEMA_C_NUM:
		*(double *)to = number(v);
		break;
	case SCHEMA_C_OPT_NUM:
		*(struct opt_num *)to = (struct opt_num){!json_is_null(v), number(v)};
		break;
	case SCHEMA_C_BOOL:
		*(bool *)to = json_bool(v);
		break;
	case SCHEMA_C_OPT_BOOL:
		*(struct opt_bool *)to = (struct opt_bool){!json_is_null(v), json_bool(v)};
		break;
	case SCHEMA_C_RECORD:
		schema_decode(a, f->record, v, to);
		break;
	case SCHEMA_C_TREE:
		*(const struct json **)to = json_is_null(v) ? NULL : v;
		break;
	}
}

void schema_decode(struct arena *a, const struct schema *s, const struct json *v, void *out)
{
	for (size_t i = 0; i < s->n; i++) {
		decode_field(a, &s->fields[i], json_get(v, str_c(s->fields[i].name)), out);
	}
}

/* -- null stands for the default -------------------------------------------- */

static const struct json *in_use(struct arena *a, const struct schema_field *f,
				 const struct json *v)
{
	if (json_is_null(v) && f->dflt) {
		return schema_default(a, f);
	}
	if (f->type != SCHEMA_RECORD || !f->record) {
		return v;
	}
	if (json_is_null(v)) {
		return f->flags & SCHEMA_REQUIRED ? schema_in_use(a, f->record, tree_object(a)) : v;
	}
	return schema_in_use(a, f->record, v);
}

const struct json *schema_in_use(struct arena *a, const struct schema *s, const struct json *v)
{
	struct json *out = NULL;

	for (size_t i = 0; i < s->n; i++) {
		struct str name = str_c(s->fields[i].name);
		const struct json *m = json_get(v, name), *now = in_use(a, &s->fields[i], m);

		if (now != m) {
			out = out ? out : tree_shallow(a, v);
			tree_set(a, out, name, now);
		}
	}
	return out ? out : v;
}
