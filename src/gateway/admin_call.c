/* Around a handler: the body, the call of the repository, and failures in Kong's shape. */
#include "base/enc.h"
#include "base/format.h"
#include "gateway/admin_int.h"
#include "gateway/form.h"

#include <stdarg.h>

/* ---- answers ---- */

enum err admin_reply(struct admin_call *a, int status, const struct json *v)
{
	struct json_writer w = task_reply_writer(a->t, status);

	json_put_tree(&w, v);
	return ERR_OK;
}

enum err admin_reply_message(struct task *t, int status, const char *message)
{
	struct json_writer w = task_reply_writer(t, status);

	json_begin_object(&w);
	json_key(&w, STR("message"));
	json_put_str(&w, str_c(message));
	json_end_object(&w);
	return ERR_OK;
}

enum err admin_message(struct admin_call *a, int status, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)format_print(text, sizeof(text), fmt, ap);
	va_end(ap);
	return admin_reply_message(a->t, status, text);
}

enum err admin_not_found(struct admin_call *a)
{
	return admin_reply_message(a->t, 404, "Not found");
}

enum err admin_reply_error(struct task *t, const struct entity_error *e)
{
	struct json_writer w = task_reply_writer(t, e->status);

	entity_error_write(e, &w);
	return ERR_OK;
}

/* ---- the body ---- */

enum body_type { BODY_NONE, BODY_JSON, BODY_FORM, BODY_OTHER };

static enum body_type body_type(const struct task *t, struct str *out_type)
{
	struct str type = http_header_get(&t->request.headers, STR("Content-Type"));
	ptrdiff_t semicolon = str_index(type, ';');
	struct str bare = str_trim(semicolon < 0 ? type : str_slice(type, 0, (size_t)semicolon));

	*out_type = type;
	if (str_eq_nocase(bare, STR("application/json"))) {
		return BODY_JSON;
	}
	if (form_is_type(type)) {
		return BODY_FORM;
	}
	return bare.n == 0 && t->body.n == 0 ? BODY_NONE : BODY_OTHER;
}

static bool has_two_types(const struct task *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->request.headers.n; i++) {
		n += str_eq_nocase(t->request.headers.v[i].name, STR("Content-Type"));
	}
	return n > 1;
}

static enum err read_form(struct admin_call *a, struct str content_type)
{
	struct fault f = {0};
	struct json *tree = NULL;
	enum err e = form_read(&a->t->arena, content_type, a->t->body, &tree, &f);

	a->c.coerce = true;
	a->body = tree;
	if (e != ERR_OK) {
		(void)admin_message(a, 400, "%s", f.text);
	}
	return e;
}

static enum err read_json(struct admin_call *a)
{
	struct json *tree;

	if (a->t->body.n == 0) {
		return ERR_OK;
	}
	if (json_parse(&a->t->arena, a->t->body, &tree, NULL) != ERR_OK ||
	    tree->type != JSON_OBJECT) {
		(void)admin_message(a, 400, "Cannot parse JSON body");
		return ERR_INVALID;
	}
	a->body = tree;
	return ERR_OK;
}

/* On failure the reply is made. */
static enum err read_body(struct admin_call *a)
{
	struct str type;

	a->body = tree_object(&a->t->arena);
	if (has_two_types(a->t)) {
		(void)admin_message(a, 400, "Multiple Content-Type headers not allowed");
		return ERR_INVALID;
	}
	switch (body_type(a->t, &type)) {
	case BODY_NONE:
		return ERR_OK;
	case BODY_JSON:
		return read_json(a);
	case BODY_FORM:
		return read_form(a, type);
	case BODY_OTHER:
		break;
	}
	(void)task_reply_status(a->t, 415);
	return ERR_INVALID;
}

static bool takes_body(enum http_method m)
{
	return m == HTTP_POST || m == HTTP_PUT || m == HTTP_PATCH;
}

enum err admin_run(struct task *t)
{
	struct admin_call a = {
		.t = t,
		.admin = t->role,
		.r = t->route_arg,
		.c = {.arena = &t->arena, .db = t->db},
	};
	enum err e;

	if (takes_body(t->request.method) && !a.r->raw_body && read_body(&a) != ERR_OK) {
		return ERR_OK;
	}
	if (!t->db && !entities_is_memory(a.admin->entities)) {
		return fault_set(&t->fault, ERR_UNAVAILABLE, "no database session");
	}
	e = a.r->fn(&a);
	if (e != ERR_OK && a.c.error.status > 0) {
		return admin_reply_error(t, &a.c.error);
	}
	return e == ERR_NOT_FOUND ? admin_not_found(&a) : e;
}

/* ---- what requests say ---- */

struct str admin_param(const struct admin_call *a, size_t i)
{
	ASSERT(i < a->t->n_params);
	return a->t->params[i].value;
}

/* Absent or empty: p NULL. */
static enum err query(struct admin_call *a, const char *name, struct str *out)
{
	enum err e = task_query(a->t, name, out);

	if (e == ERR_INVALID) {
		return entity_fail_option(&a->c, name, "is badly escaped");
	}
	if (e != ERR_OK) {
		*out = STR_NULL;
	}
	return ERR_OK;
}

struct str admin_option(struct admin_call *a, const char *name)
{
	struct str v;

	return task_query(a->t, name, &v) == ERR_OK ? v : STR_NULL;
}

static bool is_number(struct str s)
{
	bool digits = false;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		digits = digits || (c >= '0' && c <= '9');
		if (!(c >= '0' && c <= '9') && c != '.' && !(i == 0 && c == '-')) {
			return false;
		}
	}
	return digits;
}

static enum err query_size(struct admin_call *a, uint32_t *out)
{
	struct str text;
	int64_t v;

	TRY(query(a, "size", &text));
	*out = ADMIN_PAGE_DEFAULT;
	if (!text.p) {
		return ERR_OK;
	}
	if (!is_number(text)) {
		return entity_fail(&a->c, ENTITY_INVALID_SIZE, STR("size must be a number"), NULL);
	}
	*out = str_to_i64(text, &v) && v > 0 && v <= UINT32_MAX ? (uint32_t)v : 0;
	return ERR_OK;
}

enum err admin_query(struct admin_call *a, struct entity_query *out)
{
	*out = (struct entity_query){0};
	TRY(query_size(a, &out->size));
	TRY(query(a, "offset", &out->offset));
	if (out->offset.n == 0) {
		out->offset = STR_NULL;
	}
	return query(a, "tags", &out->tags);
}

/* ---- pages ---- */

static void put_query(struct admin_call *a, struct buf *b, const char *name)
{
	struct str v;

	if (task_query(a->t, name, &v) == ERR_OK) {
		buf_printf(b, "&%s=", name);
		percent_encode(b, v);
	}
}

static const struct json *next_of(struct admin_call *a, struct str path, struct str offset)
{
	struct buf b = {0};
	struct str text;

	if (!offset.p) {
		return tree_null(&a->t->arena);
	}
	buf_put(&b, path);
	buf_printf(&b, "?offset=");
	percent_encode(&b, offset);
	put_query(a, &b, "size");
	put_query(a, &b, "tags");
	text = str_dup(&a->t->arena, buf_str(&b));
	buf_free(&b);
	return tree_str(&a->t->arena, text);
}

enum err admin_reply_page(struct admin_call *a, const struct json *data, struct str offset,
			  struct str path)
{
	struct json *page = tree_object(&a->t->arena);

	tree_set(&a->t->arena, page, STR("data"), data);
	tree_set(&a->t->arena, page, STR("next"), next_of(a, path, offset));
	if (offset.p) {
		tree_set(&a->t->arena, page, STR("offset"), tree_str(&a->t->arena, offset));
	}
	return admin_reply(a, 200, page);
}

/* ---- nested paths ---- */

enum err admin_parent(struct admin_call *a, struct entity_owner *out)
{
	const struct json *parent = NULL;

	out->field = a->r->field;
	TRY(entity_find(a->admin->entities, &a->c, a->r->parent, admin_param(a, 0), &parent));
	return tree_id(parent, &out->id) ? ERR_OK : ERR_INTERNAL;
}

const char *admin_nested_name(enum entity_kind kind, enum entity_kind parent)
{
	const struct entity_def *def = &entity_defs[kind];
	bool is_owner = def->owner && strcmp(def->owner, entity_defs[parent].collection) == 0;

	return is_owner && def->owner_path ? def->owner_path : def->collection;
}

struct str admin_nested_path(struct admin_call *a, const struct guid *parent)
{
	char id[GUID_D_LEN];

	guid_d(parent, id);
	return str_fmt(&a->t->arena, "/%s/%.*s/%s", entity_defs[a->r->parent].collection,
		       GUID_D_LEN, id, admin_nested_name(a->r->kind, a->r->parent));
}
