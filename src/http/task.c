#include "http/task.h"

#include "base/enc.h"
#include "base/format.h"

#include <stdarg.h>

struct str task_param(const struct task *t, const char *name)
{
	for (size_t i = 0; i < t->n_params; i++) {
		if (str_eq(t->params[i].name, str_c(name))) {
			return t->params[i].value;
		}
	}
	assert_failed("the route has such a parameter", __FILE__, __LINE__);
}

enum err task_query(struct task *t, const char *name, struct str *out)
{
	enum err e = form_get_nocase(&t->arena, t->request.query, str_c(name), out);

	if (e == ERR_INVALID) {
		return fault_set(&t->fault, e, "query parameter %s is badly escaped", name);
	}
	return e;
}

enum err task_query_int(struct task *t, const char *name, int64_t dflt, int64_t min, int64_t max,
			int64_t *out)
{
	struct str text;
	int64_t v;
	enum err e = task_query(t, name, &text);

	if (e == ERR_NOT_FOUND) {
		*out = dflt;
		return ERR_OK;
	}
	TRY(e);
	if (!str_to_i64(text, &v) || v < min || v > max) {
		return fault_set(&t->fault, ERR_INVALID,
				 "%s must be a whole number from %lld to %lld", name,
				 (long long)min, (long long)max);
	}
	*out = v;
	return ERR_OK;
}

static bool is_json(struct str content_type)
{
	ptrdiff_t semicolon = str_index(content_type, ';');
	struct str type =
		semicolon < 0 ? content_type : str_slice(content_type, 0, (size_t)semicolon);

	type = str_trim(type);
	return str_eq_nocase(type, STR("application/json")) ||
	       str_eq_nocase(type, STR("text/json")) ||
	       (str_starts_nocase(type, STR("application/")) && str_ends(type, STR("+json")));
}

enum err task_body_json(struct task *t, const struct json_shape *shape, void *out)
{
	struct json *tree;

	if (!is_json(http_header_get(&t->request.headers, STR("Content-Type")))) {
		return task_refuse(t, 415, "send the %s as application/json", shape->what);
	}
	TRY(json_parse(&t->arena, t->body, &tree, &t->fault));
	return json_decode(shape, tree, out, &t->fault);
}

enum err task_reply_status(struct task *t, int status)
{
	t->reply.status = status;
	return ERR_OK;
}

struct json_writer task_reply_writer(struct task *t, int status)
{
	t->reply.status = status;
	t->reply.content_type = STR("application/json; charset=utf-8");
	buf_clear(&t->reply.body);
	return json_writer_to(&t->reply.body);
}

enum err task_reply_json(struct task *t, int status, const struct json_shape *shape,
			 const void *obj)
{
	struct json_writer w = task_reply_writer(t, status);

	json_encode(shape, obj, &w);
	return ERR_OK;
}

enum err task_reply_text(struct task *t, int status, struct str content_type, struct str body)
{
	t->reply.status = status;
	t->reply.content_type = content_type;
	buf_clear(&t->reply.body);
	buf_put(&t->reply.body, body);
	return ERR_OK;
}

enum err task_refuse(struct task *t, int status, const char *fmt, ...)
{
	char text[sizeof(t->fault.text)];
	va_list ap;

	va_start(ap, fmt);
	(void)format_print(text, sizeof(text), fmt, ap);
	va_end(ap);
	t->refused_status = status;
	return fault_set(&t->fault, ERR_INVALID, "%s", text);
}
