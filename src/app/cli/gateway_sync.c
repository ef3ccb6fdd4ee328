#include "app/cli/gateway_sync.h"

#include "app/text_file.h"
#include "base/clock.h"
#include "gateway/declarative_current.h"
#include "gateway/tree.h"

#include <stdio.h>

#define ERRORS_SHOWN_MAX 1000
/* A large file on a slow database is no reason to give up. */
#define TIMEOUT_MS 1800000

/* ---- the file ---- */

static enum err report(const struct declarative_errors *errors, const struct yaml_doc *doc,
		       struct str path, struct fault *f)
{
	struct declarative_errors shown = *errors;
	struct buf b = {0};

	shown.n = MIN(shown.n, ERRORS_SHOWN_MAX);
	declarative_report(&shown, doc, path, &b);
	(void)fprintf(stderr, "%.*s", STR_ARG(buf_str(&b)));
	buf_free(&b);
	return fault_set(f, ERR_INVALID, "%.*s: %zu error%s", STR_ARG(path), errors->n,
			 errors->n == 1 ? "" : "s");
}

enum err gateway_file_read(struct arena *a, struct str path, const struct declarative_options *o,
			   struct declarative *out, struct fault *f)
{
	struct declarative_errors errors;
	struct yaml_doc doc;
	struct fault why = {0};
	struct str text;

	TRY(text_file_read(a, path, YAML_TEXT_MAX, &text, f));
	if (yaml_parse(a, text, &doc, &why) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "%.*s: %s", STR_ARG(path), why.text);
	}
	if (declarative_read(a, doc.root, o, out, &errors) != ERR_OK) {
		return report(&errors, &doc, path, f);
	}
	return ERR_OK;
}

/* ---- the database ---- */

enum err gateway_sync_begin(struct cli *c, struct gateway_sync *out)
{
	*out = (struct gateway_sync){.cli = c, .call = {.arena = &c->arena, .db = c->db}};
	db_end_task(c->db);
	db_begin_task(c->db, &(struct db_task){.arena = &c->arena,
					       .deadline_mono_ms = clock_mono_ms() + TIMEOUT_MS,
					       .fault = &c->fault});
	out->entities = entities_new(&(struct entities_config){0});
	out->call.keep_derived = true; /* a file's passwords were hashed when it was read */
	return declarative_current(out->entities, &out->call, &out->now);
}

void gateway_sync_end(struct gateway_sync *s)
{
	entities_free(&s->entities);
}

/* Those of the options, and those that the file asks for itself (_info.select_tags). */
static const struct json *all_tags(struct arena *a, const struct option_value *given,
				   const struct json *of_file)
{
	struct json *tags = tree_array(a);

	for (size_t i = 0; i < given->n; i++) {
		tree_append(a, tags, tree_str(a, given->v[i]));
	}
	for (const struct json *t = of_file ? of_file->child : NULL; t; t = t->next) {
		tree_append(a, tags, t);
	}
	return tags->n ? tags : NULL;
}

static enum err refuse_of_others(struct gateway_sync *s, const struct declarative_item *item)
{
	return fault_set(&s->cli->fault, ERR_CONFLICT, "%.*s has other tags than those selected",
			 STR_ARG(declarative_item_text(&s->cli->arena, item)));
}

enum err gateway_sync_plan(struct gateway_sync *s, struct str path,
			   const struct option_value *select_tags)
{
	struct arena *a = &s->cli->arena;
	const struct declarative_options o = {
		.now_ms = clock_wall_ms(),
		.find = declarative_index_find,
		.find_outside = declarative_index_find_outside,
		.find_arg = declarative_index_new(a, &s->now),
	};

	TRY(gateway_file_read(a, path, &o, &s->wanted, &s->cli->fault));
	s->select_tags = all_tags(a, select_tags, s->wanted.select_tags);
	declarative_add_tags(a, &s->wanted, s->select_tags);
	declarative_plan(a, &s->now, &s->wanted, s->select_tags, &s->plan);
	return s->plan.of_others ? refuse_of_others(s, s->plan.of_others) : ERR_OK;
}

/* What a database keeps itself is not written. */
static const struct json *input_of(struct arena *a, const struct declarative_step *s)
{
	struct json *v = tree_shallow(a, s->after);

	(void)tree_remove(v, STR("created_at"));
	(void)tree_remove(v, STR("updated_at"));
	return v;
}

static enum err apply_step(struct entities *es, struct entity_call *c,
			   const struct declarative_step *s)
{
	const struct entity_target which = {.text = guid_d_str(c->arena, &s->id)};
	const struct json *out;
	enum err e;

	switch (s->op) {
	case DECLARATIVE_CREATE:
		return entity_insert(es, c, s->kind, input_of(c->arena, s), &out);
	case DECLARATIVE_UPDATE:
		return entity_upsert(es, c, s->kind, &which, input_of(c->arena, s), &out);
	case DECLARATIVE_DELETE:
		break;
	}
	e = entity_delete(es, c, s->kind, &which);
	/* It went with what it belonged to. */
	return e == ERR_NOT_FOUND && c->error.status == 0 ? ERR_OK : e;
}

/* Names may go round in a circle: they are unique again when all steps are done. */
static enum err release_keys(struct entity_call *c, const struct declarative_plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i].op != DECLARATIVE_CREATE) {
			TRY(entity_release_keys(c, p->v[i].kind, &p->v[i].id));
		}
	}
	return ERR_OK;
}

static enum err apply_all(struct entities *es, struct entity_call *c, void *arg)
{
	const struct gateway_sync *s = arg;

	TRY(release_keys(c, &s->plan));
	for (size_t i = 0; i < s->plan.n; i++) {
		enum err e = apply_step(es, c, &s->plan.v[i]);

		if (e != ERR_OK && c->error.status != 0) {
			struct buf what = {0};

			declarative_describe(c->arena, &s->plan.v[i], &what);
			struct str line = buf_str(&what), first = STR("");

			(void)str_split(&line, '\n', &first);
			(void)fault_set(&s->cli->fault, e, "%.*s: %.*s", STR_ARG(first),
					STR_ARG(c->error.message));
			buf_free(&what);
		}
		TRY(e);
	}
	return ERR_OK;
}

enum err gateway_sync_apply(struct gateway_sync *s)
{
	if (s->plan.n == 0) {
		return ERR_OK;
	}
	return entities_write(s->entities, &s->call, apply_all, s);
}

/* ---- output ---- */

void gateway_sync_describe(const struct gateway_sync *s)
{
	struct buf b = {0};
	struct str rest, line;

	for (size_t i = 0; i < s->plan.n; i++) {
		declarative_describe(&s->cli->arena, &s->plan.v[i], &b);
	}
	rest = buf_str(&b);
	while (str_split(&rest, '\n', &line)) {
		printf("%.*s\n", STR_ARG(cli_printable(&s->cli->arena, line)));
	}
	buf_free(&b);
}

void gateway_sync_print_counts(const struct gateway_sync *s, const char *prefix)
{
	const struct declarative_plan *p = &s->plan;

	if (s->cli->json) {
		printf("{\"created\":%zu,\"updated\":%zu,\"deleted\":%zu,\"unchanged\":%zu}\n",
		       p->created, p->updated, p->deleted, p->same);
		return;
	}
	printf("%s%zu created, %zu updated, %zu deleted, %zu unchanged\n", prefix, p->created,
	       p->updated, p->deleted, p->same);
}
