/*
 * kong.yml: text to tree, the tree to YAML, which must read back as the same tree; then the tree
 * to entities, which must be written so that they read back as the same entities.
 */
#include "gateway/declarative.h"
#include "gateway/yaml_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct str json_of(struct arena *a, const struct json *v)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	json_put_tree(&w, v);
	struct str s = str_dup(a, buf_str(&b));

	buf_free(&b);
	return s;
}

/* In the same order, too; a JSON text keeps its "1E3", of YAML that is always read as "1e3". */
static bool is_same(const struct json *v, const struct json *w)
{
	const struct json *c = v->child, *d = w->child;

	if (v->type != w->type || v->boolean != w->boolean || !str_eq(v->key, w->key) ||
	    !(v->type == JSON_NUMBER ? str_eq_nocase(v->text, w->text)
				     : str_eq(v->text, w->text))) {
		return false;
	}
	for (; c && d && is_same(c, d); c = c->next, d = d->next) {
	}
	return !c && !d;
}

static void check_round_trip(struct arena *a, const struct json *v)
{
	struct buf yaml = {0};
	struct yaml_doc back;

	yaml_write(&yaml, v);
	ASSERT(yaml_parse(a, buf_str(&yaml), &back, NULL) == ERR_OK);
	ASSERT(is_same(v, back.root));
	buf_free(&yaml);
}

static void read_entities(struct arena *a, const struct yaml_doc *doc)
{
	const struct declarative_options o = {.now_ms = 1700000000000};
	struct declarative_errors errors, none;
	struct declarative d, again;
	struct buf report = {0};

	if (declarative_read(a, doc->root, &o, &d, &errors) == ERR_OK) {
		const struct json *tree = declarative_write(a, d.v, d.n, DECLARATIVE_WITH_IDS);

		ASSERT(declarative_read(a, tree, &o, &again, &none) == ERR_OK);
		ASSERT(again.n == d.n);
	} else {
		ASSERT(errors.n > 0);
		declarative_report(&errors, doc, STR("kong.yml"), &report);
		ASSERT(declarative_message(a, errors.fields).n > 0);
	}
	buf_free(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena a;
	struct yaml_doc doc;
	struct fault f = {0};

	if (n > 65536) {
		return 0;
	}
	arena_init(&a, 0);
	if (yaml_parse(&a, str_of(data, n), &doc, &f) == ERR_OK) {
		(void)yaml_line(&doc, doc.root);
		if (json_of(&a, doc.root).n < ((size_t)1 << 20)) {
			check_round_trip(&a, doc.root);
			read_entities(&a, &doc);
		}
	} else {
		ASSERT(f.code == ERR_INVALID && f.text[0]);
	}
	arena_fini(&a);
	return 0;
}
