/* The OpenAPI 3.1 document of a REST table: what the table says, and nothing else. */
#include "http/rest.h"

static void put(struct json_writer *w, const char *key, struct str value)
{
	json_key(w, str_c(key));
	json_put_str(w, value);
}

static const char *type_name(enum json_field_type type)
{
	switch (type) {
	case JSON_F_BOOL:
	case JSON_F_OPT_BOOL:
		return "boolean";
	case JSON_F_I64:
	case JSON_F_OPT_I64:
		return "integer";
	case JSON_F_STR:
	case JSON_F_SPAN:
	case JSON_F_TIME:
	case JSON_F_GUID:
	case JSON_F_OPT_GUID:
		return "string";
	case JSON_F_TREE:
		break;
	}
	return NULL;
}

static const char *format_name(enum json_field_type type)
{
	switch (type) {
	case JSON_F_I64:
	case JSON_F_OPT_I64:
		return "int64";
	case JSON_F_SPAN:
		return "time-span";
	case JSON_F_TIME:
		return "date-time";
	case JSON_F_GUID:
	case JSON_F_OPT_GUID:
		return "uuid";
	case JSON_F_STR:
	case JSON_F_BOOL:
	case JSON_F_OPT_BOOL:
	case JSON_F_TREE:
		break;
	}
	return NULL;
}

static void write_field(struct json_writer *w, const struct json_field *f)
{
	json_key(w, str_c(f->name));
	json_begin_object(w);
	if (type_name(f->type)) {
		put(w, "type", str_c(type_name(f->type)));
	}
	if (format_name(f->type)) {
		put(w, "format", str_c(format_name(f->type)));
	}
	if (f->type == JSON_F_STR && f->max > 0) {
		json_key(w, STR("maxLength"));
		json_put_int(w, f->max);
	}
	if (f->flags & JSON_READONLY) {
		json_key(w, STR("readOnly"));
		json_put_bool(w, true);
	}
	json_end_object(w);
}

static void write_schema(struct json_writer *w, const struct json_shape *shape)
{
	json_key(w, STR("content"));
	json_begin_object(w);
	json_key(w, STR("application/json"));
	json_begin_object(w);
	json_key(w, STR("schema"));
	json_begin_object(w);
	put(w, "title", str_c(shape->what));
	put(w, "type", STR("object"));
	json_key(w, STR("properties"));
	json_begin_object(w);
	for (size_t i = 0; i < shape->n; i++) {
		write_field(w, &shape->fields[i]);
	}
	json_end_object(w);
	json_end_object(w);
	json_end_object(w);
	json_end_object(w);
}

static void write_parameters(struct json_writer *w, struct str path)
{
	struct str part;

	json_key(w, STR("parameters"));
	json_begin_array(w);
	while (str_split(&path, '/', &part)) {
		if (part.n < 2 || part.p[0] != '{') {
			continue;
		}
		json_begin_object(w);
		put(w, "name", str_slice(part, 1, part.n - 2));
		put(w, "in", STR("path"));
		json_key(w, STR("required"));
		json_put_bool(w, true);
		json_key(w, STR("schema"));
		json_begin_object(w);
		put(w, "type", STR("string"));
		json_end_object(w);
		json_end_object(w);
	}
	json_end_array(w);
}

static void write_operation(struct json_writer *w, const struct rest_route *r)
{
	char method[16];
	size_t n = 0;

	for (; r->method[n] && n < sizeof(method); n++) {
		method[n] = ascii_lower(r->method[n]);
	}
	json_key(w, str_of(method, n));
	json_begin_object(w);
	put(w, "summary", str_c(r->doc));
	write_parameters(w, str_c(r->path));
	if (r->access != REST_OPEN) {
		json_key(w, STR("security"));
		json_put_raw(w, STR("[{\"apiKey\":[]}]"));
	}
	if (r->in) {
		json_key(w, STR("requestBody"));
		json_begin_object(w);
		write_schema(w, r->in);
		json_end_object(w);
	}
	json_key(w, STR("responses"));
	json_begin_object(w);
	json_key(w, STR("2XX"));
	json_begin_object(w);
	put(w, "description", STR("Done"));
	if (r->out) {
		write_schema(w, r->out);
	}
	json_end_object(w);
	json_end_object(w);
	json_end_object(w);
}

static bool is_first_of_path(const struct rest_table *t, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (str_eq(str_c(t->routes[k].path), str_c(t->routes[i].path))) {
			return false;
		}
	}
	return true;
}

static void write_paths(struct json_writer *w, const struct rest_table *t)
{
	json_begin_object(w);
	for (size_t i = 0; i < t->n; i++) {
		if (!is_first_of_path(t, i)) {
			continue;
		}
		json_key(w, str_c(t->routes[i].path));
		json_begin_object(w);
		for (size_t k = i; k < t->n; k++) {
			if (str_eq(str_c(t->routes[k].path), str_c(t->routes[i].path))) {
				write_operation(w, &t->routes[k]);
			}
		}
		json_end_object(w);
	}
	json_end_object(w);
}

void rest_openapi(const struct rest_table *table, struct str title, struct str key_header,
		  struct buf *out)
{
	struct json_writer w = json_writer_to(out);

	json_begin_object(&w);
	put(&w, "openapi", STR("3.1.0"));
	json_key(&w, STR("info"));
	json_begin_object(&w);
	put(&w, "title", title);
	put(&w, "version", STR(POSTHOUSE_VERSION));
	json_end_object(&w);
	json_key(&w, STR("components"));
	json_begin_object(&w);
	json_key(&w, STR("securitySchemes"));
	json_begin_object(&w);
	json_key(&w, STR("apiKey"));
	json_begin_object(&w);
	put(&w, "type", STR("apiKey"));
	put(&w, "in", STR("header"));
	put(&w, "name", key_header.p ? key_header : STR("Api-Key"));
	json_end_object(&w);
	json_end_object(&w);
	json_end_object(&w);
	json_key(&w, STR("paths"));
	write_paths(&w, table);
	json_end_object(&w);
}
