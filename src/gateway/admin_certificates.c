/*
 * Certificates with their server names. `snis` is no field of theirs: it is the list of the sni
 * entities that refer to them, shown with each and set with each, in one transaction.
 */
#include "base/map.h"
#include "gateway/admin_int.h"

#define PAGE_MAX 1000

/* ---- showing ---- */

/* All of them, as an array. */
static enum err snis_of(struct admin_call *a, const struct guid *certificate,
			const struct json **out)
{
	struct entity_query q = {.size = PAGE_MAX, .owner = {"certificate", *certificate}};
	struct json *all = tree_array(&a->t->arena);
	struct tree_tail tail = tree_tail_of(all);
	struct entity_page page;

	do {
		TRY(entity_list(a->admin->entities, &a->c, ENTITY_SNI, &q, &page));
		for (size_t i = 0; i < page.n; i++) {
			tree_push(&a->t->arena, &tail, STR_NULL, page.v[i]);
		}
		q.offset = page.offset;
	} while (q.offset.p);
	*out = all;
	return ERR_OK;
}

static enum err with_snis(struct admin_call *a, const struct json *certificate,
			  const struct json **out)
{
	struct json *v = tree_shallow(&a->t->arena, certificate);
	struct json *names = tree_array(&a->t->arena);
	struct tree_tail tail = tree_tail_of(names);
	const struct json *snis = NULL;
	struct guid id;

	if (!tree_id(certificate, &id)) {
		return ERR_INTERNAL;
	}
	TRY(snis_of(a, &id, &snis));
	for (const struct json *s = snis->child; s; s = s->next) {
		tree_push(&a->t->arena, &tail, STR_NULL, json_get(s, STR("name")));
	}
	tree_set(&a->t->arena, v, STR("snis"), names);
	*out = v;
	return ERR_OK;
}

static enum err reply_one(struct admin_call *a, int status, const struct json *certificate)
{
	const struct json *v = NULL;

	TRY(with_snis(a, certificate, &v));
	return admin_reply(a, status, v);
}

static enum err list(struct admin_call *a)
{
	struct json *data = tree_array(&a->t->arena);
	struct tree_tail tail = tree_tail_of(data);
	struct entity_query q;
	struct entity_page page;

	TRY(admin_query(a, &q));
	TRY(entity_list(a->admin->entities, &a->c, ENTITY_CERTIFICATE, &q, &page));
	for (size_t i = 0; i < page.n; i++) {
		const struct json *v = NULL;

		TRY(with_snis(a, page.v[i], &v));
		tree_push(&a->t->arena, &tail, STR_NULL, v);
	}
	return admin_reply_page(a, data, page.offset, STR("/certificates"));
}

/* ---- which one ---- */

/* By id, or by the name of one of its snis. An sni that is not known: ERR_NOT_FOUND. */
static enum err which_one(struct admin_call *a, struct str *out_id)
{
	struct str text = admin_param(a, 0);
	const struct json *sni = NULL;
	struct guid id;

	if (text.n == GUID_D_LEN && guid_parse(text, &id) == ERR_OK) {
		*out_id = text;
		return ERR_OK;
	}
	TRY(entity_find_by(a->admin->entities, &a->c, ENTITY_SNI, "name", text, &sni));
	*out_id = json_str(json_get(json_get(sni, STR("certificate")), STR("id")));
	return ERR_OK;
}

static enum err no_sni(struct admin_call *a, enum err e)
{
	return e == ERR_NOT_FOUND ? admin_message(a, 404, "SNI not found") : e;
}

static enum err show(struct admin_call *a)
{
	const struct json *found = NULL;
	struct str id;
	enum err e = which_one(a, &id);

	if (e != ERR_OK) {
		return no_sni(a, e);
	}
	TRY(entity_find(a->admin->entities, &a->c, ENTITY_CERTIFICATE, id, &found));
	return reply_one(a, 200, found);
}

/* ---- setting ---- */

struct change {
	struct admin_call *a;
	struct entity_target which; /* text p NULL = a new one */
	bool patch;
	const struct json *snis; /* array; NULL = stay as they are */
	struct map names;	 /* of these */
	const struct json *body; /* without snis */
	const struct json *out;
};

static enum err sni_fault(struct entity_call *c, const char *fmt, struct str name, struct str id)
{
	return entity_fail_field(c, "snis", str_fmt(c->arena, fmt, STR_ARG(name), STR_ARG(id)));
}

static enum err check_list(struct entity_call *c, struct change *ch)
{
	map_free(&ch->names);
	for (const struct json *s = ch->snis->child; s; s = s->next) {
		if (s->type != JSON_STRING) {
			return entity_fail_field(c, "snis", STR("expected a string"));
		}
		if (map_set(&ch->names, s->text, ch)) {
			return sni_fault(c, "%.*s is duplicated%.*s", s->text, STR(""));
		}
	}
	return ERR_OK;
}

static enum err check_free(struct entities *es, struct entity_call *c, struct str name,
			   struct str certificate, bool *out_exists)
{
	const struct json *sni = NULL;
	enum err e = entity_find_by(es, c, ENTITY_SNI, "name", name, &sni);
	struct str owner;

	*out_exists = e == ERR_OK;
	if (e != ERR_OK) {
		return e == ERR_NOT_FOUND ? ERR_OK : e;
	}
	owner = json_str(json_get(json_get(sni, STR("certificate")), STR("id")));
	return str_eq(owner, certificate)
		       ? ERR_OK
		       : sni_fault(c, "%.*s already associated with existing certificate '%.*s'",
				   name, owner);
}

static enum err remove_others(struct entities *es, struct change *ch, const struct guid *id)
{
	const struct json *snis = NULL;

	TRY(snis_of(ch->a, id, &snis));
	for (const struct json *s = snis->child; s; s = s->next) {
		const struct entity_target which = {.text = json_str(json_get(s, STR("id")))};

		if (!map_get(&ch->names, json_str(json_get(s, STR("name"))))) {
			TRY(entity_delete(es, &ch->a->c, ENTITY_SNI, &which));
		}
	}
	return ERR_OK;
}

static enum err set_snis(struct entities *es, struct entity_call *c, struct change *ch)
{
	struct guid id;

	if (!ch->snis || !tree_id(ch->out, &id)) {
		return ERR_OK;
	}
	TRY(remove_others(es, ch, &id));
	for (const struct json *s = ch->snis->child; s; s = s->next) {
		struct json *sni = tree_object(c->arena);
		const struct json *out = NULL;
		bool exists;

		TRY(check_free(es, c, json_str(s), guid_d_str(c->arena, &id), &exists));
		if (exists) {
			continue;
		}
		tree_set(c->arena, sni, STR("name"), s);
		tree_set(c->arena, sni, STR("certificate"), tree_ref(c->arena, &id));
		TRY(entity_insert(es, c, ENTITY_SNI, sni, &out));
	}
	return ERR_OK;
}

static enum err write_all(struct entities *es, struct entity_call *c, void *arg)
{
	struct change *ch = arg;

	if (ch->snis) {
		TRY(check_list(c, ch));
	}
	if (!ch->which.text.p) {
		TRY(entity_insert(es, c, ENTITY_CERTIFICATE, ch->body, &ch->out));
	} else if (ch->patch) {
		TRY(entity_update(es, c, ENTITY_CERTIFICATE, &ch->which, ch->body, &ch->out));
	} else {
		TRY(entity_upsert(es, c, ENTITY_CERTIFICATE, &ch->which, ch->body, &ch->out));
	}
	return set_snis(es, c, ch);
}

/* Takes `snis` out of the body. A form with one of them has a plain string. */
static enum err take_snis(struct admin_call *a, struct change *ch)
{
	struct json *body = tree_shallow(&a->t->arena, a->body);
	const struct json *snis = json_get(body, STR("snis"));

	if (snis && snis->type == JSON_STRING && a->c.coerce) {
		struct json *one = tree_array(&a->t->arena);

		tree_append(&a->t->arena, one, snis);
		snis = one;
	}
	if (snis && snis->type != JSON_NULL && snis->type != JSON_ARRAY) {
		return entity_fail_field(&a->c, "snis", STR("expected a set"));
	}
	ch->snis = snis && snis->type == JSON_NULL ? tree_array(&a->t->arena) : snis;
	(void)tree_remove(body, STR("snis"));
	ch->body = body;
	return ERR_OK;
}

static enum err run_change(struct admin_call *a, struct change *ch, int status)
{
	enum err e = entities_write(a->admin->entities, &a->c, write_all, ch);

	map_free(&ch->names);
	return e == ERR_OK ? reply_one(a, status, ch->out) : e;
}

static enum err create(struct admin_call *a)
{
	struct change ch = {.a = a};

	TRY(take_snis(a, &ch));
	return run_change(a, &ch, 201);
}

static enum err patch(struct admin_call *a)
{
	struct change ch = {.a = a, .patch = true};
	enum err e = which_one(a, &ch.which.text);

	if (e != ERR_OK) {
		return no_sni(a, e);
	}
	TRY(take_snis(a, &ch));
	return run_change(a, &ch, 200);
}

static bool is_listed(const struct json *snis, struct str name)
{
	for (const struct json *s = snis->child; s; s = s->next) {
		if (str_eq(json_str(s), name)) {
			return true;
		}
	}
	return false;
}

/* PUT by an sni that is not known makes a certificate that has it. */
static enum err replace(struct admin_call *a)
{
	struct change ch = {.a = a};
	enum err e = which_one(a, &ch.which.text);

	TRY(take_snis(a, &ch));
	if (e == ERR_NOT_FOUND) {
		struct json *names =
			ch.snis ? tree_shallow(&a->t->arena, ch.snis) : tree_array(&a->t->arena);

		if (!is_listed(names, admin_param(a, 0))) {
			tree_append(&a->t->arena, names, tree_str(&a->t->arena, admin_param(a, 0)));
		}
		ch.snis = names;
	} else {
		TRY(e);
	}
	return run_change(a, &ch, 200);
}

static enum err drop(struct admin_call *a)
{
	struct entity_target which = {0};
	enum err e = which_one(a, &which.text);

	if (e != ERR_OK) {
		return no_sni(a, e);
	}
	e = entity_delete(a->admin->entities, &a->c, ENTITY_CERTIFICATE, &which);
	if (e != ERR_OK && (e != ERR_NOT_FOUND || a->c.error.status > 0)) {
		return e;
	}
	return task_reply_status(a->t, 204);
}

#define KINDS ENTITY_CERTIFICATE, ENTITY_CERTIFICATE, NULL
static const struct admin_special specials[] = {
	{"GET", "/certificates", list, 0, "Lists certificates.", KINDS},
	{"POST", "/certificates", create, ADMIN_BODY_MAX, "Adds a certificate.", KINDS},
	{"GET", "/certificates/{certificates}", show, 0, "Shows one, by id or sni.", KINDS},
	{"PUT", "/certificates/{certificates}", replace, ADMIN_BODY_MAX, "Replaces one.", KINDS},
	{"PATCH", "/certificates/{certificates}", patch, ADMIN_BODY_MAX, "Changes one.", KINDS},
	{"DELETE", "/certificates/{certificates}", drop, ADMIN_BODY_MAX, "Removes one.", KINDS},
};
const struct admin_specials admin_certificate_specials = {specials, ARRAY_LEN(specials)};
