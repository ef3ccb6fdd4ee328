/*
 * libyaml events to a tree.
 *
 * A node is complete when its end event was read; only then its anchor has a meaning, so that
 * nothing can contain itself. `height`, `nodes` and `bytes` of a node are those of its tree
 * with every alias written out: an alias adds them to the totals without walking.
 */
#include "base/map.h"
#include "gateway/yaml_int.h"

#include <yaml.h>

#define FEW_KEYS 16

struct node {
	struct json json; /* first: a node is its json */
	unsigned line;
	unsigned height;
	size_t nodes, bytes;
};

struct reader {
	yaml_parser_t yaml;
	yaml_event_t event; /* the current one, zero before the first */
	struct arena *arena;
	struct map anchors; /* text -> struct node */
	unsigned depth;
	size_t nodes, bytes; /* so far, aliases written out */
	struct fault *fault;
};

static enum err read_node(struct reader *r, struct node **out);

static unsigned line_of(const yaml_mark_t *mark)
{
	return (unsigned)mark->line + 1;
}

static enum err fail(const struct reader *r, const char *what)
{
	return fault_set(r->fault, ERR_INVALID, "line %u: %s", line_of(&r->event.start_mark), what);
}

static enum err fail_yaml(const struct reader *r)
{
	return fault_set(r->fault, ERR_INVALID, "line %u: %s%s%s", line_of(&r->yaml.problem_mark),
			 r->yaml.problem ? r->yaml.problem : "not YAML", r->yaml.context ? " " : "",
			 r->yaml.context ? r->yaml.context : "");
}

/* Frees the current event and reads the next. */
static enum err advance(struct reader *r)
{
	yaml_event_delete(&r->event);
	if (!yaml_parser_parse(&r->yaml, &r->event)) {
		return fail_yaml(r);
	}
	return ERR_OK;
}

/* ---- limits ---- */

static enum err count(struct reader *r, size_t nodes, size_t bytes)
{
	if (nodes > YAML_NODES_MAX - r->nodes || bytes > YAML_BYTES_MAX - r->bytes) {
		return fail(r, "too large, with its aliases written out");
	}
	r->nodes += nodes;
	r->bytes += bytes;
	return ERR_OK;
}

static enum err node_new(struct reader *r, enum json_type type, size_t bytes, struct node **out)
{
	struct node *n = ARENA_NEW(r->arena, struct node);

	TRY(count(r, 1, bytes));
	n->json.type = type;
	n->line = line_of(&r->event.start_mark);
	n->nodes = 1;
	n->bytes = bytes;
	*out = n;
	return ERR_OK;
}

static struct node *node_of(const struct json *v)
{
	return (struct node *)v;
}

/* Appends a member or element. */
static void adopt(struct node *parent, struct json ***tail, struct node *child)
{
	**tail = &child->json;
	*tail = &child->json.next;
	parent->json.n++;
	parent->nodes += child->nodes;
	parent->bytes += child->bytes + child->json.key.n;
	parent->height = MAX(parent->height, child->height + 1);
}

/* The same tree with a name and a sibling of its own. */
static struct node *node_share(struct reader *r, const struct node *of)
{
	struct node *n = ARENA_NEW(r->arena, struct node);

	*n = *of;
	n->json.key = STR_NULL;
	n->json.next = NULL;
	return n;
}

/* ---- scalars ---- */

static struct str event_text(const struct reader *r)
{
	struct str s = str_of(r->event.data.scalar.value, r->event.data.scalar.length);

	return s.n ? str_dup(r->arena, s) : STR("");
}

static bool is_core_tag(const yaml_char_t *tag, const char *name)
{
	struct str s = str_c((const char *)tag);

	return str_starts(s, STR("tag:yaml.org,2002:")) &&
	       str_eq(str_skip(s, sizeof("tag:yaml.org,2002:") - 1), str_c(name));
}

/* What an explicit tag demands of the plain type `type`. */
static enum err apply_tag(struct reader *r, enum json_type *type)
{
	const yaml_char_t *tag = r->event.data.scalar.tag;

	if (!tag) {
		return ERR_OK;
	}
	if (is_core_tag(tag, "str") || str_eq(str_c((const char *)tag), STR("!"))) {
		*type = JSON_STRING;
		return ERR_OK;
	}
	if ((is_core_tag(tag, "int") && *type == JSON_NUMBER) ||
	    (is_core_tag(tag, "float") && *type == JSON_NUMBER) ||
	    (is_core_tag(tag, "bool") && *type == JSON_BOOL) ||
	    (is_core_tag(tag, "null") && *type == JSON_NULL)) {
		return ERR_OK;
	}
	return fail(r, "the tag is unknown or does not fit the value");
}

static enum err read_scalar(struct reader *r, struct node **out)
{
	struct str text = event_text(r), number = STR_NULL;
	bool is_plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	bool boolean = false, has_tag = r->event.data.scalar.tag != NULL;
	enum json_type type = is_plain || has_tag
				      ? yaml_plain_type(r->arena, text, &boolean, &number)
				      : JSON_STRING;
	struct node *n;

	TRY(apply_tag(r, &type));
	TRY(node_new(r, type, text.n, &n));
	n->json.boolean = type == JSON_BOOL && boolean;
	if (type == JSON_STRING || type == JSON_NUMBER) {
		n->json.text = type == JSON_NUMBER ? number : text;
	}
	*out = n;
	return ERR_OK;
}

/* ---- maps ---- */

struct members {
	struct node *map;
	struct json **tail;
	struct map seen; /* once there are more than a few; freed by read_map */
};

static struct node *find_member(const struct members *m, struct str key)
{
	if (m->map->json.n > FEW_KEYS) {
		return map_get(&m->seen, key);
	}
	return node_of(json_get(&m->map->json, key));
}

static void add_member(struct members *m, struct node *child, struct str key)
{
	child->json.key = key;
	adopt(m->map, &m->tail, child);
	if (m->map->json.n == FEW_KEYS + 1) {
		for (const struct json *c = m->map->json.child; c; c = c->next) {
			map_set(&m->seen, c->key, node_of(c));
		}
	} else if (m->map->json.n > FEW_KEYS) {
		map_set(&m->seen, key, child);
	}
}

static enum err read_key(struct reader *r, const struct members *m, struct str *out)
{
	if (r->event.type != YAML_SCALAR_EVENT) {
		return fail(r, "a key must be plain text");
	}
	*out = event_text(r);
	TRY(count(r, 0, out->n));

	const struct node *first = find_member(m, *out);

	if (first) {
		return fault_set(r->fault, ERR_INVALID,
				 "line %u: key '%.*s' is given twice (first in line %u)",
				 line_of(&r->event.start_mark), STR_ARG(*out), first->line);
	}
	return ERR_OK;
}

/* Members of `from` that the map does not have itself. */
static enum err merge_map(struct reader *r, struct members *m, const struct json *from)
{
	if (from->type != JSON_OBJECT) {
		return fault_set(r->fault, ERR_INVALID,
				 "line %u: << wants a map, or a list of maps", node_of(from)->line);
	}
	for (const struct json *c = from->child; c; c = c->next) {
		if (!find_member(m, c->key)) {
			TRY(count(r, node_of(c)->nodes, node_of(c)->bytes + c->key.n));
			add_member(m, node_share(r, node_of(c)), c->key);
		}
	}
	return ERR_OK;
}

static enum err merge(struct reader *r, struct members *m, const struct json *from)
{
	if (from->type != JSON_ARRAY) {
		return merge_map(r, m, from);
	}
	for (const struct json *c = from->child; c; c = c->next) {
		TRY(merge_map(r, m, c));
	}
	return ERR_OK;
}

/* `*merged` collects what stands under `<<`: it comes in after the map's own members. */
static enum err read_member(struct reader *r, struct members *m, struct node **merged)
{
	bool is_plain = r->event.type == YAML_SCALAR_EVENT &&
			r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	unsigned line = line_of(&r->event.start_mark);
	struct node *value = NULL;
	struct str key = STR_NULL;

	TRY(read_key(r, m, &key));
	TRY(advance(r));
	TRY(read_node(r, &value));
	ASSERT(value);
	value->line = line; /* a block map "starts" below its key */
	if (is_plain && str_eq(key, STR("<<"))) {
		if (*merged) {
			return fail(r, "<< is given twice");
		}
		*merged = value;
		return ERR_OK;
	}
	add_member(m, value, key);
	return ERR_OK;
}

static enum err read_members(struct reader *r, struct members *m)
{
	struct node *merged = NULL;

	for (;;) {
		TRY(advance(r));
		if (r->event.type == YAML_MAPPING_END_EVENT) {
			break;
		}
		TRY(read_member(r, m, &merged));
	}
	return merged ? merge(r, m, &merged->json) : ERR_OK;
}

static enum err read_map(struct reader *r, struct node **out)
{
	struct members m = {0};
	enum err e;

	TRY(node_new(r, JSON_OBJECT, 0, &m.map));
	m.tail = &m.map->json.child;
	e = read_members(r, &m);
	map_free(&m.seen);
	*out = m.map;
	return e;
}

static enum err read_list(struct reader *r, struct node **out)
{
	struct node *list, *element;
	struct json **tail;

	TRY(node_new(r, JSON_ARRAY, 0, &list));
	tail = &list->json.child;
	for (;;) {
		TRY(advance(r));
		if (r->event.type == YAML_SEQUENCE_END_EVENT) {
			break;
		}
		TRY(read_node(r, &element));
		adopt(list, &tail, element);
	}
	*out = list;
	return ERR_OK;
}

static enum err read_container(struct reader *r, struct node **out)
{
	bool is_map = r->event.type == YAML_MAPPING_START_EVENT;
	const yaml_char_t *tag =
		is_map ? r->event.data.mapping_start.tag : r->event.data.sequence_start.tag;
	enum err e;

	if (r->depth == YAML_DEPTH_MAX) {
		return fail(r, "nested too deep");
	}
	if (tag && !is_core_tag(tag, is_map ? "map" : "seq")) {
		return fail(r, "the tag is unknown or does not fit the value");
	}
	r->depth++;
	e = is_map ? read_map(r, out) : read_list(r, out);
	r->depth--;
	return e;
}

/* ---- anchors ---- */

static const yaml_char_t *anchor_of(const yaml_event_t *e)
{
	if (e->type == YAML_SCALAR_EVENT) {
		return e->data.scalar.anchor;
	}
	return e->type == YAML_MAPPING_START_EVENT ? e->data.mapping_start.anchor
						   : e->data.sequence_start.anchor;
}

static enum err read_alias(struct reader *r, struct node **out)
{
	const struct node *of =
		map_get(&r->anchors, str_c((const char *)r->event.data.alias.anchor));

	if (!of) {
		return fail(r, "an alias without an anchor before it");
	}
	if (of->height > YAML_DEPTH_MAX - r->depth) {
		return fail(r, "nested too deep");
	}
	TRY(count(r, of->nodes, of->bytes));
	*out = node_share(r, of);
	(*out)->line = line_of(&r->event.start_mark);
	return ERR_OK;
}

static enum err read_anchored(struct reader *r, struct node **out)
{
	const yaml_char_t *anchor = anchor_of(&r->event);
	struct str name = anchor ? str_dup(r->arena, str_c((const char *)anchor)) : STR_NULL;

	TRY(r->event.type == YAML_SCALAR_EVENT ? read_scalar(r, out) : read_container(r, out));
	if (name.p) {
		map_set(&r->anchors, name, *out);
	}
	return ERR_OK;
}

/* The current event begins the node; afterwards it is the one that ended it. */
static enum err read_node(struct reader *r, struct node **out)
{
	*out = NULL;
	return r->event.type == YAML_ALIAS_EVENT ? read_alias(r, out) : read_anchored(r, out);
}

/* STREAM-START [DOCUMENT-START node DOCUMENT-END] STREAM-END */
static enum err read_stream(struct reader *r, struct node **out)
{
	TRY(advance(r));
	TRY(advance(r));
	if (r->event.type != YAML_DOCUMENT_START_EVENT) {
		return node_new(r, JSON_NULL, 0, out);
	}
	TRY(advance(r));
	TRY(read_node(r, out));
	TRY(advance(r));
	TRY(advance(r));
	if (r->event.type != YAML_STREAM_END_EVENT) {
		return fail(r, "only one document is allowed");
	}
	return ERR_OK;
}

static enum err parse_yaml(struct arena *a, struct str text, const struct json **out,
			   struct fault *f)
{
	struct reader r = {.arena = a, .fault = f};
	struct node *root = NULL;
	enum err e;

	if (!yaml_parser_initialize(&r.yaml)) {
		return fault_set(f, ERR_INTERNAL, "no memory for the YAML parser");
	}
	yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.yaml, (const yaml_char_t *)(text.p ? text.p : ""), text.n);
	e = read_stream(&r, &root);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.yaml);
	map_free(&r.anchors);
	if (e == ERR_OK) {
		*out = &root->json;
	}
	return e;
}

enum err yaml_parse(struct arena *a, struct str text, struct yaml_doc *out, struct fault *f)
{
	struct str trimmed = str_trim(text);
	struct json *json = NULL;

	if (text.n > YAML_TEXT_MAX) {
		return fault_set(f, ERR_INVALID, "larger than %zu MiB", YAML_TEXT_MAX >> 20);
	}
	*out = (struct yaml_doc){.text = text};
	if (trimmed.n > 0 && (trimmed.p[0] == '{' || trimmed.p[0] == '[') &&
	    json_parse(a, text, &json, NULL) == ERR_OK) {
		out->root = json;
		out->is_json = true;
		return ERR_OK;
	}
	return parse_yaml(a, text, &out->root, f);
}

/* ---- lines ---- */

static bool points_into(struct str s, struct str text)
{
	return s.p && s.p >= text.p && s.p <= text.p + text.n;
}

/* A place in the text that belongs to the node. */
static const char *place_of(const struct json *v, struct str text)
{
	for (; v; v = v->child) {
		if (points_into(v->key, text)) {
			return v->key.p;
		}
		if ((v->type == JSON_STRING || v->type == JSON_NUMBER) &&
		    points_into(v->text, text)) {
			return v->text.p;
		}
	}
	return NULL;
}

unsigned yaml_line(const struct yaml_doc *doc, const struct json *v)
{
	unsigned line = 1;

	if (!v) {
		return 0;
	}
	if (!doc->is_json) {
		return node_of(v)->line;
	}
	const char *place = place_of(v, doc->text);

	for (const char *p = doc->text.p; place && p < place; p++) {
		line += *p == '\n';
	}
	return place ? line : 0;
}
