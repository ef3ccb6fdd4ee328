/*
 * libyaml events to conf_node. libyaml reads JSON as well, since JSON in flow style
 * is YAML; so there is one reader, with lines for both.
 */
#include "app/config_int.h"

#include <yaml.h>

struct reader {
	yaml_parser_t yaml;
	yaml_event_t event; /* the current one, zero before the first */
	struct arena *arena;
	struct str source;
	unsigned depth;
	struct fault *fault;
};

static enum err read_node(struct reader *r, struct conf_node **out);

static unsigned line_of(const yaml_mark_t *mark)
{
	return (unsigned)mark->line + 1;
}

static enum err fail(const struct reader *r, const char *what)
{
	const struct conf_node at = {.source = r->source, .line = line_of(&r->event.start_mark)};

	(void)conf_fault(r->fault, &at, "%s", what);
	return ERR_INVALID;
}

static enum err fail_yaml(const struct reader *r)
{
	const struct conf_node at = {.source = r->source, .line = line_of(&r->yaml.problem_mark)};

	(void)conf_fault(r->fault, &at, "%s%s%s", r->yaml.problem ? r->yaml.problem : "not YAML",
			 r->yaml.context ? " " : "", r->yaml.context ? r->yaml.context : "");
	return ERR_INVALID;
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

static struct conf_node *node_new(const struct reader *r, int kind)
{
	struct conf_node *node = ARENA_NEW(r->arena, struct conf_node);

	node->kind = kind;
	node->source = r->source;
	node->line = line_of(&r->event.start_mark);
	return node;
}

static struct str event_text(const struct reader *r)
{
	return str_dup(r->arena, str_of(r->event.data.scalar.value, r->event.data.scalar.length));
}

static bool is_null_text(const yaml_event_t *e)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
	struct str s = str_of(e->data.scalar.value, e->data.scalar.length);

	for (size_t i = 0; i < ARRAY_LEN(nulls); i++) {
		if (str_eq(s, str_c(nulls[i]))) {
			return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
		}
	}
	return false;
}

static enum err read_scalar(struct reader *r, struct conf_node **out)
{
	struct conf_node *node = node_new(r, CONF_NODE_SCALAR);

	if (!is_null_text(&r->event)) {
		node->text = r->event.data.scalar.length ? event_text(r) : STR("");
	}
	*out = node;
	return ERR_OK;
}

static enum err read_list(struct reader *r, struct conf_node **out)
{
	struct conf_node *list = node_new(r, CONF_NODE_LIST);
	struct conf_node **tail = &list->child;

	for (;;) {
		TRY(advance(r));
		if (r->event.type == YAML_SEQUENCE_END_EVENT) {
			break;
		}
		TRY(read_node(r, tail));
		tail = &(*tail)->next;
	}
	*out = list;
	return ERR_OK;
}

static enum err read_key(struct reader *r, const struct conf_node *map, size_t n, struct str *out)
{
	if (r->event.type != YAML_SCALAR_EVENT) {
		return fail(r, "a key must be plain text");
	}
	if (n == CONFIG_MEMBERS_MAX) {
		return fail(r, "too many keys in one map");
	}
	struct str key = r->event.data.scalar.length ? event_text(r) : STR("");

	if (conf_get(map, key)) {
		const struct conf_node at = {.source = r->source,
					     .line = line_of(&r->event.start_mark)};

		return conf_fault(r->fault, &at, "%.*s: is given twice (first in line %u)",
				  STR_ARG(key), conf_get(map, key)->line);
	}
	*out = key;
	return ERR_OK;
}

static enum err read_map(struct reader *r, struct conf_node **out)
{
	struct conf_node *map = node_new(r, CONF_NODE_MAP);
	struct conf_node **tail = &map->child;
	struct str key;

	for (size_t n = 0;; n++) {
		TRY(advance(r));
		if (r->event.type == YAML_MAPPING_END_EVENT) {
			break;
		}
		TRY(read_key(r, map, n, &key));

		unsigned line = line_of(&r->event.start_mark);
		struct conf_node *value = NULL;

		TRY(advance(r));
		TRY(read_node(r, &value));
		value->key = key;
		value->line = line; /* a block map "starts" below its key */
		*tail = value;
		tail = &value->next;
	}
	*out = map;
	return ERR_OK;
}

/* An anchor without alias would do no harm, but its only use is the alias. */
static enum err check_plain(struct reader *r, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor) {
		return fail(r, "anchors and aliases are not supported");
	}
	if (tag) {
		return fail(r, "tags are not supported");
	}
	return ERR_OK;
}

static enum err read_container(struct reader *r, struct conf_node **out)
{
	enum err e;

	if (r->depth == CONFIG_DEPTH_MAX) {
		return fail(r, "nested too deep");
	}
	r->depth++;
	e = r->event.type == YAML_MAPPING_START_EVENT ? read_map(r, out) : read_list(r, out);
	r->depth--;
	return e;
}

/* The current event begins the node; afterwards it is the one that ended it. */
static enum err read_node(struct reader *r, struct conf_node **out)
{
	const yaml_event_t *e = &r->event;

	/* libyaml's enum has values that cannot come here. */
	if (e->type == YAML_SCALAR_EVENT) {
		TRY(check_plain(r, e->data.scalar.anchor, e->data.scalar.tag));
		return read_scalar(r, out);
	}
	if (e->type == YAML_SEQUENCE_START_EVENT) {
		TRY(check_plain(r, e->data.sequence_start.anchor, e->data.sequence_start.tag));
		return read_container(r, out);
	}
	if (e->type == YAML_MAPPING_START_EVENT) {
		TRY(check_plain(r, e->data.mapping_start.anchor, e->data.mapping_start.tag));
		return read_container(r, out);
	}
	return fail(r, "anchors and aliases are not supported");
}

/* STREAM-START [DOCUMENT-START node DOCUMENT-END] STREAM-END */
static enum err read_stream(struct reader *r, struct conf_node **out)
{
	struct conf_node *root = NULL;

	TRY(advance(r));
	TRY(advance(r));
	if (r->event.type == YAML_DOCUMENT_START_EVENT) {
		TRY(advance(r));
		TRY(read_node(r, &root));
		TRY(advance(r));
		TRY(advance(r));
		if (r->event.type != YAML_STREAM_END_EVENT) {
			return fail(r, "only one document is allowed");
		}
	} else {
		root = node_new(r, CONF_NODE_SCALAR);
	}
	*out = root;
	return ERR_OK;
}

enum err config_parse_value(struct arena *a, struct str text, struct str name,
			    struct conf_node **out, struct fault *f)
{
	struct reader r = {.arena = a, .source = name, .fault = f};
	enum err e;

	if (text.n > CONFIG_TEXT_MAX) {
		const struct conf_node at = {.source = name};

		(void)conf_fault(f, &at, "larger than %zu KiB", CONFIG_TEXT_MAX / 1024);
		return ERR_INVALID;
	}
	if (!yaml_parser_initialize(&r.yaml)) {
		(void)fault_set(f, ERR_INTERNAL, "no memory for the YAML parser");
		return ERR_INTERNAL;
	}
	yaml_parser_set_input_string(&r.yaml, (const yaml_char_t *)(text.p ? text.p : ""), text.n);
	e = read_stream(&r, out);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.yaml);
	return e;
}

enum err config_parse(struct arena *a, struct str text, struct str name,
		      struct conf_node **out_root, struct fault *f)
{
	struct conf_node *root = NULL;

	TRY(config_parse_value(a, text, name, &root, f));
	if (conf_is_null(root)) {
		root->kind = CONF_NODE_MAP;
	}
	if (root->kind != CONF_NODE_MAP) {
		return conf_fault(f, root, "a map of keys is expected");
	}
	*out_root = root;
	return ERR_OK;
}
