/*
 * The generated endpoints: collections, items, what belongs to another entity (the same
 * functions, with an owner), and what a foreign key points to ("far").
 */
#include "gateway/admin_int.h"

static const struct json *array_of(struct admin_call *a, const struct entity_page *page)
{
	struct json *data = tree_array(&a->t->arena);
	struct tree_tail tail = tree_tail_of(data);

	for (size_t i = 0; i < page->n; i++) {
		tree_push(&a->t->arena, &tail, STR_NULL, page->v[i]);
	}
	return data;
}

/* GET /consumers?custom_id= */
static enum err by_custom_id(struct admin_call *a, struct str custom_id)
{
	const struct json *found = NULL;
	struct json *data = tree_array(&a->t->arena);
	enum err e;

	if (custom_id.n == 0) {
		return admin_message(a, 400, "custom_id must be an unempty string");
	}
	e = entity_find_by(a->admin->entities, &a->c, a->r->kind, "custom_id", custom_id, &found);
	if (e == ERR_OK) {
		tree_append(&a->t->arena, data, found);
	} else if (e != ERR_NOT_FOUND) {
		return e;
	}
	return admin_reply_page(a, data, STR_NULL, STR("/consumers"));
}

enum err admin_list(struct admin_call *a)
{
	struct entity_query q;
	struct entity_page page;
	struct str path, custom_id;

	TRY(admin_query(a, &q));
	if (a->r->field) {
		TRY(admin_parent(a, &q.owner));
		path = admin_nested_path(a, &q.owner.id);
	} else {
		path = str_fmt(&a->t->arena, "/%s", entity_defs[a->r->kind].collection);
	}
	if (a->r->kind == ENTITY_CONSUMER && task_query(a->t, "custom_id", &custom_id) == ERR_OK) {
		return by_custom_id(a, custom_id);
	}
	TRY(entity_list(a->admin->entities, &a->c, a->r->kind, &q, &page));
	return admin_reply_page(a, array_of(a, &page), page.offset, path);
}

enum err admin_create(struct admin_call *a)
{
	struct entity_owner owner = {0};
	const struct json *body = a->body, *out = NULL;

	if (a->r->field) {
		struct json *owned;

		TRY(admin_parent(a, &owner));
		owned = tree_shallow(&a->t->arena, a->body);
		tree_set(&a->t->arena, owned, str_c(owner.field),
			 tree_ref(&a->t->arena, &owner.id));
		body = owned;
	}
	TRY(entity_insert(a->admin->entities, &a->c, a->r->kind, body, &out));
	return admin_reply(a, 201, out);
}

/* ---- one ---- */

static enum err target_of(struct admin_call *a, struct entity_target *out)
{
	*out = (struct entity_target){.text = admin_param(a, a->r->field ? 1 : 0)};
	return a->r->field ? admin_parent(a, &out->owner) : ERR_OK;
}

enum err admin_show(struct admin_call *a)
{
	struct entity_target which;
	const struct json *out = NULL;

	TRY(target_of(a, &which));
	TRY(entity_find_owned(a->admin->entities, &a->c, a->r->kind, &which.owner, which.text,
			      &out));
	return admin_reply(a, 200, out);
}

enum err admin_replace(struct admin_call *a)
{
	struct entity_target which;
	const struct json *out = NULL;

	TRY(target_of(a, &which));
	TRY(entity_upsert(a->admin->entities, &a->c, a->r->kind, &which, a->body, &out));
	return admin_reply(a, 200, out);
}

enum err admin_patch(struct admin_call *a)
{
	struct entity_target which;
	const struct json *out = NULL;

	TRY(target_of(a, &which));
	TRY(entity_update(a->admin->entities, &a->c, a->r->kind, &which, a->body, &out));
	return admin_reply(a, 200, out);
}

enum err admin_remove(struct admin_call *a)
{
	struct entity_target which;
	enum err e;

	TRY(target_of(a, &which));
	e = entity_delete(a->admin->entities, &a->c, a->r->kind, &which);
	if (e != ERR_OK && (e != ERR_NOT_FOUND || a->c.error.status > 0)) {
		return e;
	}
	return task_reply_status(a->t, 204);
}

/* ---- what a foreign key points to: /routes/{routes}/service ---- */

static enum err far_target(struct admin_call *a, struct entity_target *out)
{
	const struct json *near = NULL;
	struct guid id;

	TRY(entity_find(a->admin->entities, &a->c, a->r->parent, admin_param(a, 0), &near));
	if (!tree_id(json_get(near, str_c(a->r->field)), &id)) {
		return ERR_NOT_FOUND;
	}
	*out = (struct entity_target){.text = guid_d_str(&a->t->arena, &id)};
	return ERR_OK;
}

enum err admin_far_show(struct admin_call *a)
{
	struct entity_target which;
	const struct json *out = NULL;

	TRY(far_target(a, &which));
	TRY(entity_find(a->admin->entities, &a->c, a->r->kind, which.text, &out));
	return admin_reply(a, 200, out);
}

enum err admin_far_replace(struct admin_call *a)
{
	struct entity_target which;
	const struct json *out = NULL;

	TRY(far_target(a, &which));
	TRY(entity_upsert(a->admin->entities, &a->c, a->r->kind, &which, a->body, &out));
	return admin_reply(a, 200, out);
}

enum err admin_far_patch(struct admin_call *a)
{
	struct entity_target which;
	const struct json *out = NULL;

	TRY(far_target(a, &which));
	TRY(entity_update(a->admin->entities, &a->c, a->r->kind, &which, a->body, &out));
	return admin_reply(a, 200, out);
}

enum err admin_far_remove(struct admin_call *a)
{
	struct entity_target which;

	TRY(far_target(a, &which));
	return admin_message(a, 405, "Method not allowed");
}
