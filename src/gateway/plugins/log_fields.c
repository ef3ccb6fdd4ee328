#include "gateway/plugins/log_fields.h"

/* Members of a record: a constant must not make a name stand there twice. */
static const char *const members[] = {
	"request", "upstream_uri", "upstream_status", "response",  "latencies",
	"tries",   "route",	   "service",	      "consumer",  "authenticated_entity",
	"source",  "workspace",	   "workspace_name",  "client_ip", "started_at",
};

static enum err check_name(struct arena *a, const struct schema_field *field, const struct json *v,
			   struct fault *f)
{
	struct str name = json_str(v);

	(void)a;
	(void)field;
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (str_eq(name, str_c(members[i]))) {
			return fault_set(f, ERR_INVALID, "cannot replace '%s' of the record",
					 members[i]);
		}
	}
	if (str_index(name, '.') >= 0) {
		return fault_set(f, ERR_INVALID, "a name with a dot is not built");
	}
	return ERR_OK;
}

static bool is_number(struct str s)
{
	struct arena a;
	struct json *v;
	bool is_one;

	arena_init(&a, 0);
	is_one = json_parse(&a, s, &v, NULL) == ERR_OK && v->type == JSON_NUMBER;
	arena_fini(&a);
	return is_one;
}

/* The text between the quotes, when it needs no thought: no backslash, no quote. */
static bool quoted(struct str s, struct str *out)
{
	char q = s.n >= 2 ? s.p[0] : 0;

	if ((q != '"' && q != '\'') || s.p[s.n - 1] != q) {
		return false;
	}
	*out = str_slice(s, 1, s.n - 2);
	return str_index(*out, '\\') < 0 && str_index(*out, q) < 0 && str_index(*out, '\n') < 0;
}

/* Writes the constant as JSON; false when it is none. */
static bool put_constant(struct json_writer *w, struct str code)
{
	struct str text;

	code = str_trim(code);
	if (!str_starts(code, STR("return")) || code.n < 7 ||
	    (code.p[6] != ' ' && code.p[6] != '"' && code.p[6] != '\'')) {
		return false;
	}
	code = str_trim(str_skip(code, 6));
	if (quoted(code, &text)) {
		json_put_str(w, text);
		return true;
	}
	if (str_eq(code, STR("true")) || str_eq(code, STR("false")) || is_number(code)) {
		json_put_raw(w, code);
		return true;
	}
	return false;
}

static enum err check_code(struct arena *a, const struct schema_field *field, const struct json *v,
			   struct fault *f)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);
	bool is_constant = put_constant(&w, json_str(v));

	(void)a;
	(void)field;
	buf_free(&b);
	return is_constant ? ERR_OK
			   : fault_set(f, ERR_INVALID,
				       "Lua is not built: only `return` and a constant");
}

const struct schema_field log_fields_name = {.type = SCHEMA_STRING, .check = check_name};
const struct schema_field log_fields_code = {.type = SCHEMA_STRING, .check = check_code};

enum err log_fields_compile(struct arena *a, const struct json *map, struct str *out,
			    struct fault *f)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);
	bool is_good = true;

	*out = STR_NULL;
	if (json_is_null(map) || map->n == 0) {
		return ERR_OK;
	}
	for (const struct json *m = map->child; m && is_good; m = m->next) {
		json_key(&w, m->key);
		is_good = put_constant(&w, json_str(m));
	}
	if (is_good) {
		*out = str_dup(a, buf_str(&b));
	}
	buf_free(&b);
	return is_good ? ERR_OK
		       : fault_set(f, ERR_INVALID, "config.custom_fields_by_lua: Lua is not built");
}

void log_fields_add(struct buf *record, struct str constants)
{
	if (constants.n == 0) {
		return;
	}
	record->n--; /* the closing brace */
	buf_putc(record, ',');
	buf_put(record, constants);
	buf_putc(record, '}');
}
