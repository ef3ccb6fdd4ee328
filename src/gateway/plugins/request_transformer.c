/*
 * request-transformer - edits the request before the service gets it
 *
 * In the order remove, rename, replace, add, append, for each of headers, query and body.
 * Names are split and values compiled when the instance is; a body is read and parsed only
 * when something in it is to be edited.
 *
 * What is taken out may be all that guards the service, so nothing passes because we could not
 * read it; nor may a template write what a client could not have sent itself.
 */
#include "gateway/plugins/edits.h"
#include "gateway/plugins/media.h"

#include "base/enc.h"
#include "gateway/path.h"
#include "http/chars.h"
#include "http/uri.h"

enum verb { REMOVE, RENAME, REPLACE, ADD, APPEND, VERBS };
enum part { BODY, HEADERS, QUERY, PARTS };

struct lists {
	struct schema_strs of[PARTS];
	struct str uri; /* replace only */
};

struct config {
	struct str http_method;
	struct lists lists[VERBS];
	/* compiled */
	struct edits edits[VERBS][PARTS];
	bool has[PARTS];
	bool takes_body;   /* something out of it, or puts something in its place */
	bool puts_body;	   /* something in that was not there */
	bool tells_edited; /* a template reads headers, and headers are edited */
	const struct template *uri;
};

static const char *const verb_names[VERBS] = {"remove", "rename", "replace", "add", "append"};
static const char *const part_names[PARTS] = {"body", "headers", "querystring"};

#define LIST(name_, part_, elements_, doc_)                                                        \
	{                                                                                          \
		.name = (name_), FIELD_OF(struct lists, ARRAY, STRS, of[part_]), .dflt = "[]",     \
		.elements = (elements_), .doc = (doc_)                                             \
	}

static const struct schema_field remove_fields[] = {
	LIST("body", BODY, &field_any_string, "Names to remove from the body."),
	LIST("headers", HEADERS, &field_any_string, "Headers to remove."),
	LIST("querystring", QUERY, &field_any_string, "Query parameters to remove."),
};
static const struct schema remove_schema = {SCHEMA_OF("remove", remove_fields)};

static const struct schema_field rename_fields[] = {
	LIST("body", BODY, &edits_pair, "`old:new` names in the body."),
	LIST("headers", HEADERS, &edits_header_rename, "`old:new` names of headers."),
	LIST("querystring", QUERY, &edits_pair, "`old:new` names of query parameters."),
};
static const struct schema rename_schema = {SCHEMA_OF("rename", rename_fields)};

static const struct schema_field replace_fields[] = {
	LIST("body", BODY, &edits_template_pair, "`name:value` for what is in the body."),
	LIST("headers", HEADERS, &edits_header_template,
	     "`name:value` for headers that are there."),
	LIST("querystring", QUERY, &edits_template_pair,
	     "`name:value` for parameters that are there."),
	{.name = "uri",
	 FIELD_OF(struct lists, STRING, STR, uri),
	 .check = edits_check_template,
	 .doc = "Path of the request to the service."},
};
static const struct schema replace_schema = {SCHEMA_OF("replace", replace_fields)};

static const struct schema_field add_fields[] = {
	LIST("body", BODY, &edits_template_pair, "`name:value` unless it is in the body."),
	LIST("headers", HEADERS, &edits_header_template,
	     "`name:value` unless the header is there."),
	LIST("querystring", QUERY, &edits_template_pair,
	     "`name:value` unless the parameter is there."),
};
static const struct schema add_schema = {SCHEMA_OF("add", add_fields)};

static const struct schema_field append_fields[] = {
	LIST("body", BODY, &edits_template_pair, "`name:value`, as one more."),
	LIST("headers", HEADERS, &edits_header_template, "`name:value`, as one more line."),
	LIST("querystring", QUERY, &edits_template_pair, "`name:value`, as one more."),
};
static const struct schema append_schema = {SCHEMA_OF("append", append_fields)};

#define VERB(name_, verb_, schema_, doc_)                                                          \
	{                                                                                          \
		.name = (name_), FIELD(RECORD, RECORD, lists[verb_]), .flags = SCHEMA_REQUIRED,    \
		.record = (schema_), .doc = (doc_)                                                 \
	}

static const struct schema_field fields[] = {
	{.name = "http_method",
	 FIELD(STRING, STR, http_method),
	 .match = "^[A-Z]+$",
	 .doc = "Method of the request to the service."},
	VERB("remove", REMOVE, &remove_schema, "What to take out."),
	VERB("rename", RENAME, &rename_schema, "What to give another name."),
	VERB("replace", REPLACE, &replace_schema, "What to give another value."),
	VERB("add", ADD, &add_schema, "What to put in where it is missing."),
	VERB("append", APPEND, &append_schema, "What to put in in any case."),
};

static const struct schema schema = {SCHEMA_OF("request-transformer", fields)};

static enum edits_kind kind_of(enum verb verb)
{
	switch (verb) {
	case REMOVE:
		return EDITS_NAMES;
	case RENAME:
		return EDITS_PAIRS;
	case REPLACE:
	case ADD:
	case APPEND:
	case VERBS:
		break;
	}
	return EDITS_TEMPLATES;
}

static bool reads_headers(const struct edits *list)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->v[i].value && template_reads_headers(list->v[i].value)) {
			return true;
		}
	}
	return false;
}

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;

	(void)h;
	for (enum verb v = REMOVE; v < VERBS; v++) {
		for (enum part part = BODY; part < PARTS; part++) {
			const char *what =
				str_cstr(p->arena, str_fmt(p->arena, "%s.%s", verb_names[v],
							   part_names[part]));

			TRY(edits_compile(p->arena, k->lists[v].of[part], kind_of(v), what,
					  &k->edits[v][part], f));
			k->has[part] |= k->edits[v][part].n > 0;
			k->tells_edited |= reads_headers(&k->edits[v][part]);
		}
	}
	if (k->lists[REPLACE].uri.p) {
		TRY(template_compile(p->arena, k->lists[REPLACE].uri, &k->uri, f));
	}
	k->tells_edited &= k->has[HEADERS];
	k->takes_body = k->edits[REMOVE][BODY].n > 0 || k->edits[RENAME][BODY].n > 0 ||
			k->edits[REPLACE][BODY].n > 0;
	k->puts_body = k->edits[ADD][BODY].n > 0 || k->edits[APPEND][BODY].n > 0;
	if (k->has[BODY]) {
		p->needs |= PLUGIN_NEEDS_BODY;
	}
	return ERR_OK;
}

/* ---- headers ---- */

/* What a client says in place of Host must be one. Without a value it is ours that is sent. */
static bool fits_host(struct str name, struct str value)
{
	return !str_eq_nocase(name, STR("host")) || value.n == 0 || uri_is_authority(value);
}

/* False: a client's value must not stand under the new name. */
static bool rename_header(struct http_headers *h, struct str name, struct str new_name)
{
	if (!http_header_get(h, name).p || str_eq_nocase(name, new_name)) {
		return true;
	}
	http_header_remove(h, new_name);
	for (size_t i = 0; i < h->n; i++) {
		if (str_eq_nocase(h->v[i].name, name)) {
			h->v[i].name = new_name;
			if (!fits_host(new_name, h->v[i].value)) {
				return false;
			}
		}
	}
	return true;
}

/* What a client put into a template must not end the line. False: it fits nowhere. */
static bool set_header(const struct template_source *from, const struct edit *e, enum verb verb)
{
	struct gw_call *c = from->call;
	struct http_headers *h = call_headers(c);
	bool is_there = http_header_get(h, e->name).p != NULL;
	struct str value;

	if ((verb == REPLACE && !is_there) || (verb == ADD && is_there)) {
		return true;
	}
	value = str_trim(template_render(e->value, from));
	if (!template_is_constant(e->value) && !fits_host(e->name, value)) {
		return false;
	}
	if (!http_is_field_value(value)) {
		return true;
	}
	if (verb == APPEND) {
		http_header_add(call_arena(c), h, e->name, value);
	} else {
		http_header_set(call_arena(c), h, e->name, value);
	}
	return true;
}

static bool edit_header(const struct template_source *from, const struct edit *e, enum verb verb)
{
	struct gw_call *c = from->call;

	switch (verb) {
	case REMOVE:
		http_header_remove(call_headers(c), e->name);
		return true;
	case RENAME:
		return rename_header(call_headers(c), e->name, e->text);
	case REPLACE:
	case ADD:
	case APPEND:
	case VERBS:
		break;
	}
	return set_header(from, e, verb);
}

static bool edit_headers(const struct template_source *from, const struct config *k)
{
	for (enum verb v = REMOVE; v < VERBS; v++) {
		const struct edits *list = &k->edits[v][HEADERS];

		for (size_t i = 0; i < list->n; i++) {
			if (!edit_header(from, &list->v[i], v)) {
				return false;
			}
		}
	}
	return true;
}

static bool edits(const struct plugin_instance *p, enum plugin_side to, struct str name)
{
	const struct config *k = p->config;

	for (enum verb v = REMOVE; to == PLUGIN_TO_SERVICE && v < VERBS; v++) {
		const struct edits *list = &k->edits[v][HEADERS];

		if (v == RENAME ? edits_rename(list, name) : edits_name(list, name)) {
			return true;
		}
	}
	return false;
}

/* ---- query ---- */

static void edit_param(const struct template_source *from, struct params *q, const struct edit *e,
		       enum verb verb)
{
	struct arena *a = call_arena(from->call);
	struct str value;

	switch (verb) {
	case REMOVE:
		params_remove(q, e->name);
		break;
	case RENAME:
		(void)params_rename(q, e->name, e->text);
		break;
	case REPLACE:
		(void)params_replace(q, e->name, template_render(e->value, from));
		break;
	case ADD:
		if (params_get(q, e->name, &value) == 0) {
			params_add(a, q, e->name, template_render(e->value, from));
		}
		break;
	case APPEND:
		params_add(a, q, e->name, template_render(e->value, from));
		break;
	case VERBS:
		break;
	}
}

static void edit_query(const struct template_source *from, const struct config *k)
{
	struct gw_call *c = from->call;
	struct params q;

	params_parse(call_arena(c), call_upstream_query(c), &q);
	for (enum verb v = REMOVE; v < VERBS; v++) {
		const struct edits *list = &k->edits[v][QUERY];

		for (size_t i = 0; i < list->n; i++) {
			edit_param(from, &q, &list->v[i], v);
		}
	}
	call_set_upstream_query(c, params_write(call_arena(c), &q));
}

/* ---- body ---- */

static void edit_member(const struct template_source *from, struct arena *a, struct media *m,
			const struct edit *e, enum verb verb)
{
	switch (verb) {
	case REMOVE:
		media_remove(m, e->name);
		break;
	case RENAME:
		(void)media_rename(a, m, e->name, e->text);
		break;
	case REPLACE:
		(void)media_replace(a, m, e->name, template_render(e->value, from));
		break;
	case ADD:
		if (!media_has(m, e->name)) {
			media_add(a, m, e->name, template_render(e->value, from));
		}
		break;
	case APPEND:
		media_append(a, m, e->name, template_render(e->value, from));
		break;
	case VERBS:
		break;
	}
}

/* Of a type that we edit, and maybe of another one as well, or in a coding that we do not have. */
static bool is_veiled(const struct http_headers *h)
{
	size_t types = 0;
	bool is_edited = false, is_doubtful = false;

	for (size_t i = 0; i < h->n; i++) {
		if (str_eq_nocase(h->v[i].name, STR("content-type"))) {
			types++;
			is_edited |= media_kind_of(h->v[i].value) != MEDIA_OTHER;
			is_doubtful |= media_is_doubtful(h->v[i].value);
		}
	}
	return is_doubtful || (is_edited && (types > 1 || media_is_coded(h)));
}

/* A value of the client's that holds the boundary would make parts of its own. */
static bool has_parts_as_meant(struct arena *a, struct str type, const struct media *m,
			       struct str text)
{
	struct media again;

	return m->kind != MEDIA_MULTIPART ||
	       (media_parse(a, type, text, &again) == ERR_OK && again.parts.n == m->parts.n);
}

/* What would pass for an editable type only with headers of our own has to be seen as well. */
static bool wants_body(const struct plugin_instance *p, const struct http_headers *head)
{
	struct str type = http_header_get(head, STR("content-type"));

	return media_kind_of(type) != MEDIA_OTHER || is_veiled(head) ||
	       edits(p, PLUGIN_TO_SERVICE, STR("content-type"));
}

/* What is read goes to `a`, what is sent into the call. */
static bool edit_body_in(struct arena *a, const struct template_source *from,
			 const struct config *k)
{
	struct gw_call *c = from->call;
	const struct http_headers *h = call_headers(c);
	struct str type = http_header_get(h, STR("content-type"));
	struct str text;
	struct media m;
	enum err e;

	if (call_body(c).n == 0 && !k->puts_body) {
		return true;
	}
	e = is_veiled(h) ? ERR_INVALID : media_parse(a, type, call_body(c), &m);
	if (e != ERR_OK) {
		return e == ERR_NOT_FOUND || !k->takes_body || call_body(c).n == 0;
	}
	for (enum verb v = REMOVE; v < VERBS; v++) {
		const struct edits *list = &k->edits[v][BODY];

		for (size_t i = 0; i < list->n; i++) {
			edit_member(from, a, &m, &list->v[i], v);
		}
	}
	text = media_write(call_arena(c), &m);
	if (!has_parts_as_meant(a, type, &m, text)) {
		return false;
	}
	call_set_body(c, text);
	return true;
}

/*
 * A body that cannot be parsed goes on as it is if we only had something to put in. Otherwise
 * false: the service, less strict than we are, might find in it what was to be taken out.
 */
static bool edit_body(const struct template_source *from, const struct config *k)
{
	struct arena a;
	bool is_edited;

	arena_init(&a, 0);
	is_edited = edit_body_in(&a, from, k);
	arena_fini(&a);
	return is_edited;
}

/* ---- path ---- */

/* Escapes what may not stand in a path; what is escaped already stays. */
static struct str path_of(struct arena *a, struct str s)
{
	struct buf b = {0};
	struct str out;

	if (!str_starts(s, STR("/"))) {
		buf_putc(&b, '/');
	}
	for (size_t i = 0; i < s.n; i++) {
		bool is_escape = s.p[i] == '%' && i + 2 < s.n && char_is(s.p[i + 1], CHAR_HEX) &&
				 char_is(s.p[i + 2], CHAR_HEX);

		if (is_escape || (char_is(s.p[i], CHAR_TARGET) && s.p[i] != '?' && s.p[i] != '%')) {
			buf_putc(&b, s.p[i]);
		} else {
			percent_encode(&b, str_slice(s, i, 1));
		}
	}
	out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return out;
}

/* False: what a client put into the template would lead out of it. */
static bool set_path(const struct template_source *from, const struct template *uri)
{
	struct gw_call *c = from->call;
	struct str path = path_of(call_arena(c), template_render(uri, from));

	if (!template_is_constant(uri) && !path_is_straight(call_arena(c), path)) {
		return false;
	}
	call_set_upstream_path(c, path);
	return true;
}

static enum plugin_verdict refuse(struct gw_call *c, struct str message)
{
	call_error(c, 400, message);
	return PLUGIN_ANSWERED;
}

/* As they are before the first edit: what is renamed or removed may be told in another way. */
static const struct http_headers *headers_before(struct gw_call *c, const struct config *k)
{
	struct http_headers *now = call_headers(c), *before;

	if (!k->tells_edited) {
		return now;
	}
	before = ARENA_NEW(call_arena(c), struct http_headers);
	for (size_t i = 0; i < now->n; i++) {
		http_header_add(call_arena(c), before, now->v[i].name, now->v[i].value);
	}
	return before;
}

static enum plugin_verdict on_access(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	const struct template_source from = {.call = c, .headers = headers_before(c, k)};

	if ((k->uri && !set_path(&from, k->uri)) || (k->has[HEADERS] && !edit_headers(&from, k))) {
		return refuse(c, STR("Bad request"));
	}
	if (k->has[QUERY]) {
		edit_query(&from, k);
	}
	if (k->has[BODY] && !edit_body(&from, k)) {
		return refuse(c, STR("Cannot parse the request body"));
	}
	if (k->http_method.p) {
		call_set_method(c, k->http_method);
	}
	return PLUGIN_NEXT;
}

static const char example[] =
	"    curl -X POST localhost:8001/routes/users/plugins -H 'Content-Type: application/json' "
	"-d '{\n"
	"      \"name\": \"request-transformer\",\n"
	"      \"config\": {\n"
	"        \"remove\": {\"headers\": [\"X-Debug\"]},\n"
	"        \"rename\": {\"querystring\": [\"q:query\"]},\n"
	"        \"replace\": {\"uri\": \"/v2/users/$(uri_captures.id)\"},\n"
	"        \"add\": {\"headers\": [\"X-Tenant:$(headers.x_tenant or query_params.tenant or "
	"\\\"none\\\")\"]},\n"
	"        \"append\": {\"body\": [\"tag:gateway\"]}}}'\n"
	"\n"
	"Values may hold `$(headers.x)`, `$(query_params.x)`, `$(uri_captures.x)`,\n"
	"`$(uri_captures[1])`, several with `or`, and a text in quotes; what is not set is empty.\n"
	"Other Lua is refused. Headers are those that the service would get when it is this "
	"plugin's\n"
	"turn, before it edits any: what authentication and acl have set stands there, as in\n"
	"`X-User:$(headers.x_consumer_username)`.\n"
	"\n"
	"Bodies of JSON, forms and multipart forms are edited; any other goes on as it is. A "
	"request\n"
	"without a body gets one only if something is to be added or appended.\n"
	"\n"
	"A body of these types that cannot be parsed, or that others might read differently (a "
	"member\n"
	"twice, bytes that are no UTF-8, lines that end without CR, more than 100,000 names or "
	"1,000 parts,\n"
	"`Content-Encoding`, a `Content-Type` that\n"
	"holds the name of one of them but is not that type alone), is answered 400\n"
	"`Cannot parse the request body` if something is to be removed, renamed or replaced in "
	"it, and\n"
	"goes on as it is if not.\n"
	"\n"
	"What a client puts into a template is answered 400 `Bad request` where it would be a "
	"`Host`\n"
	"that is none, or give `uri` a segment `.` or `..` in any spelling. Constants are sent as "
	"they\n"
	"are written.\n";

const struct plugin plugin_request_transformer = {
	.name = "request-transformer",
	.priority = 801,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Edits headers, query, body, path and method of requests.",
	.example = example,
	.compile = compile,
	.wants_body = wants_body,
	.access = on_access,
	.edits = edits,
};
