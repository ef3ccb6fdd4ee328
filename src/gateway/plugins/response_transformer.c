/*
 * response-transformer - edits the answer before the client gets it
 *
 * In the order remove, rename, replace, add, append. Bodies are collected only when something
 * in JSON is to be edited and they are application/json; any other answer is streamed.
 */
#include "gateway/plugins/edits.h"
#include "gateway/plugins/media.h"

enum verb { REMOVE, RENAME, REPLACE, ADD, APPEND, VERBS };

struct lists {
	struct schema_strs json, headers;
	struct schema_strs json_types;
};

struct config {
	struct lists lists[VERBS];
	/* compiled */
	struct edits json[VERBS], headers[VERBS];
	const struct json **values[VERBS]; /* of `json`, typed; the verbs that have values */
	bool has_json, has_headers;
	bool takes_json; /* something out of it, or puts something in its place */
	bool puts_json;	 /* something in that was not there */
};

static const char *const verb_names[VERBS] = {"remove", "rename", "replace", "add", "append"};
static const char *const type_names[] = {"boolean", "number", "string", NULL};
static const struct schema_field field_type = {.type = SCHEMA_STRING, .one_of = type_names};

#define LIST(name_, member_, elements_, doc_)                                                      \
	{                                                                                          \
		.name = (name_), FIELD_OF(struct lists, ARRAY, STRS, member_), .dflt = "[]",       \
		.elements = (elements_), .doc = (doc_)                                             \
	}
#define TYPES                                                                                      \
	LIST("json_types", json_types, &field_type,                                                \
	     "Types of the values of `json`, one each; strings without them.")

static const struct schema_field remove_fields[] = {
	LIST("json", json, &field_any_string, "Names to remove from the object."),
	LIST("headers", headers, &field_any_string,
	     "Headers to remove; `name:value` removes those with that value."),
};
static const struct schema remove_schema = {SCHEMA_OF("remove", remove_fields)};

static const struct schema_field rename_fields[] = {
	LIST("json", json, &edits_pair, "`old:new` names in the object."),
	LIST("headers", headers, &edits_header_rename, "`old:new` names of headers."),
};
static const struct schema rename_schema = {SCHEMA_OF("rename", rename_fields)};

static const struct schema_field replace_fields[] = {
	LIST("json", json, &edits_pair, "`name:value` for what is in the object."),
	TYPES,
	LIST("headers", headers, &edits_header_pair, "`name:value` for headers that are there."),
};
static const struct schema replace_schema = {SCHEMA_OF("replace", replace_fields)};

static const struct schema_field add_fields[] = {
	LIST("json", json, &edits_pair, "`name:value` unless it is in the object."),
	TYPES,
	LIST("headers", headers, &edits_header_pair, "`name:value` unless the header is there."),
};
static const struct schema add_schema = {SCHEMA_OF("add", add_fields)};

static const struct schema_field append_fields[] = {
	LIST("json", json, &edits_pair, "`name:value`, as one more in an array."),
	TYPES,
	LIST("headers", headers, &edits_header_pair, "`name:value`, as one more line."),
};
static const struct schema append_schema = {SCHEMA_OF("append", append_fields)};

#define VERB(name_, verb_, schema_, doc_)                                                          \
	{                                                                                          \
		.name = (name_), FIELD(RECORD, RECORD, lists[verb_]), .flags = SCHEMA_REQUIRED,    \
		.record = (schema_), .doc = (doc_)                                                 \
	}

static const struct schema_field fields[] = {
	VERB("remove", REMOVE, &remove_schema, "What to take out."),
	VERB("rename", RENAME, &rename_schema, "What to give another name."),
	VERB("replace", REPLACE, &replace_schema, "What to give another value."),
	VERB("add", ADD, &add_schema, "What to put in where it is missing."),
	VERB("append", APPEND, &append_schema, "What to put in in any case."),
};

/* ---- typed values ---- */

static enum err value_of(struct arena *a, struct str text, struct str type, const struct json **out)
{
	struct json *v;

	if (!type.p || str_eq(type, STR("string"))) {
		v = ARENA_NEW(a, struct json);
		v->type = JSON_STRING;
		v->text = text;
		*out = v;
		return ERR_OK;
	}
	TRY(json_parse(a, text, &v, NULL));
	if (v->type != (str_eq(type, STR("number")) ? JSON_NUMBER : JSON_BOOL)) {
		return ERR_INVALID;
	}
	*out = v;
	return ERR_OK;
}

static void check_pairs(struct arena *a, const char *path, const struct json *lists,
			struct schema_errors *errors)
{
	const struct json *pairs = json_get(lists, STR("json"));
	const struct json *types = json_get(lists, STR("json_types"));
	const struct json *pair = pairs ? pairs->child : NULL;
	const struct json *type = types ? types->child : NULL;

	for (; pair && type; pair = pair->next, type = type->next) {
		struct str text = json_str(pair);
		const struct json *out;

		text = str_skip(text, (size_t)(str_index(text, ':') + 1));
		if (value_of(a, text, json_str(type), &out) != ERR_OK) {
			schema_error_at(errors, path, "'%.*s' is no %.*s", STR_ARG(text),
					STR_ARG(json_str(type)));
			return;
		}
	}
}

/* What compile would refuse is refused before it is stored. */
static void check_types(struct arena *a, const struct schema_rule *rule, const struct json *v,
			struct schema_errors *errors)
{
	(void)rule;
	check_pairs(a, "replace.json", json_get(v, STR("replace")), errors);
	check_pairs(a, "add.json", json_get(v, STR("add")), errors);
	check_pairs(a, "append.json", json_get(v, STR("append")), errors);
}

static const struct schema_rule rules[] = {{.kind = SCHEMA_CUSTOM, .check = check_types}};
static const struct schema schema = {SCHEMA_OF("response-transformer", fields), RULES_OF(rules)};

/* ---- compiling ---- */

static enum err compile_values(struct arena *a, struct config *k, enum verb verb, struct fault *f)
{
	const struct edits *list = &k->json[verb];
	struct schema_strs types = k->lists[verb].json_types;

	k->values[verb] = ARENA_NEW_ARRAY(a, const struct json *, list->n + 1);
	for (size_t i = 0; i < list->n; i++) {
		struct str type = i < types.n ? types.v[i] : STR_NULL;

		if (value_of(a, list->v[i].text, type, &k->values[verb][i]) != ERR_OK) {
			return fault_set(f, ERR_INVALID, "config.%s.json: '%.*s' is no %.*s",
					 verb_names[verb], STR_ARG(list->v[i].text), STR_ARG(type));
		}
	}
	return ERR_OK;
}

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;

	(void)h;
	for (enum verb v = REMOVE; v < VERBS; v++) {
		enum edits_kind kind = v == REMOVE ? EDITS_NAMES : EDITS_PAIRS;

		TRY(edits_compile(p->arena, k->lists[v].headers, kind, verb_names[v],
				  &k->headers[v], f));
		TRY(edits_compile(p->arena, k->lists[v].json, kind, verb_names[v], &k->json[v], f));
		if (v >= REPLACE) {
			TRY(compile_values(p->arena, k, v, f));
		}
		k->has_json |= k->json[v].n > 0;
		k->has_headers |= k->headers[v].n > 0;
	}
	k->takes_json = k->json[REMOVE].n > 0 || k->json[RENAME].n > 0 || k->json[REPLACE].n > 0;
	k->puts_json = k->json[ADD].n > 0 || k->json[APPEND].n > 0;
	if (k->has_json) {
		p->needs |= PLUGIN_NEEDS_ANSWER_BODY;
	}
	return ERR_OK;
}

/* ---- headers ---- */

/* Only lines with that value, when one was given. */
static void remove_header(struct http_headers *h, const struct edit *e)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++) {
		bool is_it = str_eq_nocase(h->v[i].name, e->name) &&
			     (!e->text.p || str_eq(h->v[i].value, str_trim(e->text)));

		if (!is_it) {
			h->v[n++] = h->v[i];
		}
	}
	h->n = n;
}

static void rename_header(struct http_headers *h, const struct edit *e)
{
	if (!http_header_get(h, e->name).p || str_eq_nocase(e->name, e->text)) {
		return;
	}
	http_header_remove(h, e->text);
	for (size_t i = 0; i < h->n; i++) {
		if (str_eq_nocase(h->v[i].name, e->name)) {
			h->v[i].name = e->text;
		}
	}
}

static void edit_header(struct gw_call *c, const struct edit *e, enum verb verb)
{
	struct http_headers *h = call_answer_headers(c);
	struct arena *a = call_arena(c);
	bool is_there = http_header_get(h, e->name).p != NULL;
	struct str value = str_trim(e->text);

	switch (verb) {
	case REMOVE:
		remove_header(h, e);
		break;
	case RENAME:
		rename_header(h, e);
		break;
	case REPLACE:
		if (is_there) {
			http_header_set(a, h, e->name, value);
		}
		break;
	case ADD:
		if (!is_there) {
			http_header_add(a, h, e->name, value);
		}
		break;
	case APPEND:
		http_header_add(a, h, e->name, value);
		break;
	case VERBS:
		break;
	}
}

static void on_response_head(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;

	for (enum verb v = REMOVE; k->has_headers && v < VERBS; v++) {
		for (size_t i = 0; i < k->headers[v].n; i++) {
			edit_header(c, &k->headers[v].v[i], v);
		}
	}
}

static bool edits(const struct plugin_instance *p, enum plugin_side to, struct str name)
{
	const struct config *k = p->config;

	for (enum verb v = REMOVE; to == PLUGIN_TO_CLIENT && v < VERBS; v++) {
		if (v == RENAME ? edits_rename(&k->headers[v], name)
				: edits_name(&k->headers[v], name)) {
			return true;
		}
	}
	return false;
}

/* ---- body ---- */

static void edit_member(struct arena *a, struct json *obj, const struct edit *e,
			const struct json *value, enum verb verb)
{
	switch (verb) {
	case REMOVE:
		media_json_remove(obj, e->name);
		break;
	case RENAME:
		(void)media_json_rename(obj, e->name, e->text);
		break;
	case REPLACE:
		(void)media_json_replace(obj, e->name, value);
		break;
	case ADD:
		if (!media_json_has(obj, e->name)) {
			media_json_add(a, obj, e->name, value);
		}
		break;
	case APPEND:
		media_json_append(a, obj, e->name, value);
		break;
	case VERBS:
		break;
	}
}

static bool wants_answer(const struct plugin_instance *p, const struct http_headers *head)
{
	size_t json, others;

	(void)p;
	media_count_types(head, &json, &others);
	return json > 0;
}

/* We have no coding, and whether there is one must not be the client's choice. */
static enum plugin_verdict on_access(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;

	if (k->has_json) {
		http_header_set(call_arena(c), call_headers(c), STR("Accept-Encoding"),
				STR("identity"));
	}
	return PLUGIN_NEXT;
}

/* Said again: who parses the bodies of others keeps no texts. */
static const char *why_not_parsed(struct arena *a, struct gw_call *c, bool is_of_other_types)
{
	struct fault f = {0};
	struct json *v;

	if (media_is_coded(call_answer_headers(c))) {
		return "response-transformer has no such Content-Encoding";
	}
	if (is_of_other_types) {
		return "response-transformer does not know which Content-Type counts";
	}
	if (json_skim(a, call_answer_body(c), MEDIA_NAMES_MAX, &v, &f) == ERR_OK) {
		return "response-transformer cannot edit it";
	}
	return str_cstr(a, str_fmt(a, "response-transformer cannot parse its JSON: %s", f.text));
}

static void edit_body(struct arena *a, struct gw_call *c, const struct config *k)
{
	const struct http_headers *h = call_answer_headers(c);
	struct str body = call_answer_body(c);
	size_t json, others;
	struct media m;
	enum err e;

	media_count_types(h, &json, &others);
	e = others > 0 || media_is_coded(h) ? ERR_INVALID
					    : media_parse(a, STR("application/json"), body, &m);
	if (e != ERR_OK) {
		/* A client, less strict than we are, might find in it what was to be taken out. */
		if (e != ERR_NOT_FOUND && k->takes_json) {
			call_refuse_answer(c, why_not_parsed(a, c, others > 0));
		}
		return;
	}
	for (enum verb v = REMOVE; v < VERBS; v++) {
		for (size_t i = 0; i < k->json[v].n; i++) {
			edit_member(a, m.json, &k->json[v].v[i],
				    k->values[v] ? k->values[v][i] : NULL, v);
		}
	}
	call_set_answer_body(c, media_write(a, &m));
}

static void on_response_body(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	struct arena a;

	if (call_answer_body(c).n == 0 && !k->puts_json) {
		return;
	}
	arena_init(&a, 0);
	edit_body(&a, c, k);
	arena_fini(&a);
}

static const char example[] =
	"    curl -X POST localhost:8001/services/orders/plugins -H 'Content-Type: "
	"application/json' -d '{\n"
	"      \"name\": \"response-transformer\",\n"
	"      \"config\": {\n"
	"        \"remove\": {\"headers\": [\"X-Powered-By\", \"Set-Cookie:debug=1\"], \"json\": "
	"[\"internal\"]},\n"
	"        \"add\": {\"json\": [\"version:2\"], \"json_types\": [\"number\"]}}}'\n"
	"\n"
	"Only objects of `application/json` are edited; such answers are collected in memory "
	"first, others\n"
	"are streamed. Services are asked not to compress them (`Accept-Encoding: identity`). "
	"Headers are\n"
	"edited in every answer.\n"
	"\n"
	"In place of JSON that cannot be parsed (compressed all the same, a member twice, bytes "
	"that are\n"
	"no UTF-8, deeper than 64, another `Content-Type` beside it) clients get 502 if something "
	"is to be removed, renamed or "
	"replaced in it, and the log "
	"says\n"
	"why; if not, it goes on as it is. An empty answer stays empty unless something is to be "
	"added or\n"
	"appended, and one to `HEAD` has no `Content-Length` where the body would be edited.\n"
	"\n"
	"`Content-Length`, `Transfer-Encoding`, `Connection` and what else is about one connection "
	"are\n"
	"the gateway's: no plugin adds them.\n";

const struct plugin plugin_response_transformer = {
	.name = "response-transformer",
	.priority = 800,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Edits headers and JSON of answers.",
	.example = example,
	.compile = compile,
	.access = on_access,
	.response_head = on_response_head,
	.wants_answer = wants_answer,
	.response_body = on_response_body,
	.edits = edits,
};
