/*
 * Bodies that plugins edit, and the templates of their values: the first byte says of which
 * kind. A body that can be read is the same when it was written and read again, and after edits
 * it holds what they say.
 */
#include "gateway/plugins/media.h"
#include "gateway/plugins/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct str types[] = {
	STR_INIT("application/json"),
	STR_INIT("application/x-www-form-urlencoded"),
	STR_INIT("multipart/form-data; boundary=b"),
};

static void check_again(struct arena *a, struct str type, const struct media *m)
{
	struct str text = media_write(a, m);
	struct media again;

	ASSERT(media_parse(a, type, text, &again) == ERR_OK);
	ASSERT(str_eq(media_write(a, &again), text));
	ASSERT(again.parts.n == m->parts.n);
	for (size_t i = 0; i < m->parts.n; i++) {
		ASSERT(str_eq(again.parts.v[i].name, m->parts.v[i].name));
		ASSERT(str_eq(again.parts.v[i].head, m->parts.v[i].head));
		ASSERT(str_eq(again.parts.v[i].content, m->parts.v[i].content));
	}
}

static void check_edits(struct arena *a, struct str type, struct media *m)
{
	struct str value;

	(void)media_remove(m, STR("a"));
	ASSERT(!media_has(m, STR("a")));
	ASSERT(!media_replace(a, m, STR("a"), STR("0")));
	media_append(a, m, STR("a"), STR("1"));
	ASSERT(media_get(m, STR("a"), &value) == (m->kind == MEDIA_JSON ? 2 : 1));
	ASSERT(str_eq(value, STR("1")));
	ASSERT(media_rename(a, m, STR("a"), STR("z")));
	ASSERT(!media_has(m, STR("a")) && media_has(m, STR("z")));
	check_again(a, type, m);
}

static void check_body(struct arena *a, struct str type, struct str body)
{
	struct media m;

	if (media_parse(a, type, body, &m) == ERR_OK) {
		check_again(a, type, &m);
		check_edits(a, type, &m);
	}
}

static void check_template(struct arena *a, struct str text)
{
	const struct template *t;
	struct fault f = {0};

	if (template_compile(a, text, &t, &f) != ERR_OK) {
		ASSERT(f.code == ERR_INVALID && f.text[0]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str input = str_of(data + (n > 0), n - (n > 0));
	struct arena a;

	arena_init(&a, 0);
	switch (n > 0 ? data[0] : 'j') {
	case 'm':
		check_body(&a, types[2], input);
		break;
	case 'f':
		check_body(&a, types[1], input);
		break;
	case 't':
		check_template(&a, input);
		break;
	default:
		check_body(&a, types[0], input);
	}
	arena_fini(&a);
	return 0;
}
