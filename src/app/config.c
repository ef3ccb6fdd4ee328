#include "app/config_int.h"
#include "app/config_kong.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* For {file: PATH}: keys and certificates. */
#define VALUE_FILE_MAX ((size_t)256 * 1024)

struct loader {
	struct arena *arena;
	const struct config_source *source;
	const char *const *env;
	struct str dir;	   /* of the file, with the slash; {file: } is relative to it */
	struct kong *kong; /* NULL = there is nothing that its settings could be of */
	struct fault *fault;
};

/* -- files ------------------------------------------------------------------ */

static enum err read_stream(FILE *file, size_t max, struct buf *out)
{
	while (out->n <= max) {
		char *to = buf_reserve(out, 4096);
		size_t n = fread(to, 1, 4096, file);

		if (n == 0) {
			return ferror(file) ? ERR_IO : ERR_OK;
		}
		buf_commit(out, n);
	}
	errno = EFBIG;
	return ERR_LIMIT;
}

/* On failure errno says why. */
static enum err read_file(struct arena *a, struct str path, size_t max, struct str *out)
{
	FILE *file = fopen(str_cstr(a, path), "rbe");
	struct buf text = {0};
	enum err e;

	if (!file) {
		return ERR_NOT_FOUND;
	}
	(void)setvbuf(file, NULL, _IONBF, 0);
	e = read_stream(file, max, &text);
	if (e == ERR_OK) {
		*out = text.n ? str_dup(a, buf_str(&text)) : STR("");
	}
	int why = errno;

	if (text.p) {
		mem_wipe(text.p, text.cap); /* it may have held a secret */
	}
	buf_free(&text);
	(void)fclose(file);
	errno = why;
	return e;
}

/* -- {env: NAME}, {file: PATH} ---------------------------------------------- */

static bool is_reference(const struct conf_node *node, struct str name)
{
	return node->kind == CONF_NODE_MAP && node->child && !node->child->next &&
	       str_eq(node->child->key, name) && node->child->kind == CONF_NODE_SCALAR &&
	       node->child->text.n > 0;
}

static void become_scalar(struct conf_node *node, struct str text)
{
	node->kind = CONF_NODE_SCALAR;
	node->text = text;
	node->child = NULL;
}

static enum err take_env(const struct loader *l, struct conf_node *node)
{
	struct str name = node->child->text;
	const char *value = config_env_get(l->env, name);

	if (!value) {
		return conf_fault(l->fault, node, "%.*s: environment variable %.*s is not set",
				  STR_ARG(node->key), STR_ARG(name));
	}
	become_scalar(node, str_c(value));
	return ERR_OK;
}

enum err config_value_file(struct arena *a, struct str path, struct str *out)
{
	struct str text;

	TRY(read_file(a, path, VALUE_FILE_MAX, &text));
	/* Editors and `echo` end the last line; no value wants that. */
	while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r')) {
		text.n--;
	}
	*out = text;
	return ERR_OK;
}

static enum err take_file(const struct loader *l, struct conf_node *node)
{
	struct str path = node->child->text;
	struct str text;

	if (path.p[0] != '/') {
		path = str_fmt(l->arena, "%.*s%.*s", STR_ARG(l->dir), STR_ARG(path));
	}
	if (config_value_file(l->arena, path, &text) != ERR_OK) {
		return conf_fault(l->fault, node, "%.*s: cannot read file \"%.*s\": %s",
				  STR_ARG(node->key), STR_ARG(path), strerrordesc_np(errno));
	}
	become_scalar(node, text);
	return ERR_OK;
}

/* Depth is bounded by CONFIG_DEPTH_MAX. */
static enum err resolve(const struct loader *l, struct conf_node *node)
{
	if (is_reference(node, STR("env"))) {
		return take_env(l, node);
	}
	if (is_reference(node, STR("file"))) {
		return take_file(l, node);
	}
	for (struct conf_node *c = node->child; c; c = c->next) {
		TRY(resolve(l, c));
	}
	return ERR_OK;
}

/* -- loading ---------------------------------------------------------------- */

static bool is_url(struct str s)
{
	return str_starts_nocase(s, STR("http://")) || str_starts_nocase(s, STR("https://"));
}

static enum err read_source(const struct loader *l, struct str *out)
{
	struct str from = l->source->path_or_url;
	enum err e;

	if (is_url(from)) {
		return l->source->fetch
			       ? l->source->fetch(l->arena, from, out, l->fault)
			       : fault_set(l->fault, ERR_INVALID,
					   "%.*s: URLs are not supported here", STR_ARG(from));
	}
	e = read_file(l->arena, from, CONFIG_TEXT_MAX, out);
	if (e != ERR_OK) {
		return fault_set(l->fault, e, "%.*s: cannot be read: %s", STR_ARG(from),
				 strerrordesc_np(errno));
	}
	return ERR_OK;
}

static bool is_kong_conf(const struct loader *l)
{
	return l->kong && str_ends(l->source->path_or_url, STR(".conf"));
}

/* Has the section of the gateway, whatever is in it, so that this role runs. */
static enum err load_kong_conf(struct loader *l, struct str text, struct str name,
			       struct conf_node **out)
{
	struct conf_node *root = config_node(l->arena, CONF_NODE_MAP, STR_NULL, name);

	TRY(kong_read_file(l->kong, text, name));
	config_sub_map(l->arena, root, STR("gateway"), name)->line = 1;
	*out = root;
	return ERR_OK;
}

static enum err load_tree(struct loader *l, struct conf_node **out)
{
	struct str from = l->source->path_or_url;
	struct str text = STR_NULL;

	if (from.n == 0) {
		*out = ARENA_NEW(l->arena, struct conf_node);
		(*out)->kind = CONF_NODE_MAP;
		return ERR_OK;
	}
	if (!is_url(from)) {
		l->dir = str_slice(from, 0, (size_t)(str_rindex(from, '/') + 1));
	}
	TRY(read_source(l, &text));
	from = str_dup(l->arena, from);
	if (is_kong_conf(l)) {
		return load_kong_conf(l, text, from, out);
	}
	TRY(config_parse(l->arena, text, from, out, l->fault));
	/* The root itself is no value, even if its only key is "env". */
	for (struct conf_node *c = (*out)->child; c; c = c->next) {
		TRY(resolve(l, c));
	}
	return ERR_OK;
}

static struct loader loader_for(struct arena *a, const struct config_source *source,
				struct fault *f)
{
	return (struct loader){
		.arena = a,
		.source = source,
		.env = source->env ? source->env : (const char *const *)environ,
		.fault = f,
	};
}

enum err config_read(struct arena *a, const struct config_source *source,
		     struct conf_node **out_root, struct fault *f)
{
	struct loader l = loader_for(a, source, f);

	return load_tree(&l, out_root);
}

/* -- checks ----------------------------------------------------------------- */

const struct conf_section *config_find_section(struct config_tables tables, struct str name)
{
	for (size_t i = 0; i < tables.n; i++) {
		if (str_eq(str_c(tables.v[i]->name), name)) {
			return tables.v[i];
		}
	}
	return NULL;
}

static bool is_known(struct config_tables tables, struct str name)
{
	const struct conf_section *top = config_find_section(tables, STR(""));

	for (size_t i = 0; top && i < top->n; i++) {
		if (str_eq(str_c(top->keys[i].name), name)) {
			return true;
		}
	}
	return name.n > 0 && config_find_section(tables, name);
}

static enum err fail_unknown(struct arena *a, struct config_tables tables,
			     const struct conf_node *node, struct fault *f)
{
	const struct conf_section *top = config_find_section(tables, STR(""));
	size_t n_keys = top ? top->n : 0;
	const char **known = ARENA_NEW_ARRAY(a, const char *, tables.n + n_keys + 1);
	size_t n = 0;

	for (size_t i = 0; i < tables.n; i++) {
		known[n++] = tables.v[i]->name;
	}
	for (size_t i = 0; i < n_keys; i++) {
		known[n++] = top->keys[i].name;
	}
	const char *near = conf_nearest(node->key, known, n);

	return conf_fault(f, node, "%.*s: unknown section or key%s%s%s",
			  (int)MIN(node->key.n, (size_t)64), node->key.p,
			  near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

/* The role's struct as far as the table knows it. */
static size_t section_size(const struct conf_section *section)
{
	size_t size = 1;

	for (size_t i = 0; i < section->n; i++) {
		const struct conf_key *key = &section->keys[i];

		size = MAX(size, key->offset + conf_type_size(key->type));
	}
	return size;
}

static const struct conf_section *without_required(struct arena *a,
						   const struct conf_section *section)
{
	struct conf_section *copy = ARENA_NEW(a, struct conf_section);
	struct conf_key *keys = ARENA_NEW_ARRAY(a, struct conf_key, section->n + 1);

	for (size_t i = 0; i < section->n; i++) {
		keys[i] = section->keys[i];
		keys[i].flags &= ~(unsigned)CONF_REQUIRED;
	}
	*copy = *section;
	copy->keys = keys;
	return copy;
}

static enum err check_all(struct arena *a, const struct conf_node *root,
			  struct config_tables tables, struct fault *f)
{
	for (const struct conf_node *m = root->child; m; m = m->next) {
		if (!is_known(tables, m->key)) {
			return fail_unknown(a, tables, m, f);
		}
	}
	for (size_t i = 0; i < tables.n; i++) {
		const struct conf_section *section = tables.v[i];

		void *scratch = arena_zalloc(a, section_size(section));

		/*
		 * A required key of a section that is not given is nobody's fault, nor if only a
		 * variable is: POSTHOUSE_CONNECT__SECRET does not hinder `serve`.
		 */
		if (*section->name && !config_has(root, section)) {
			section = without_required(a, section);
		}
		TRY(config_section(a, root, section, scratch, f));
	}
	return ERR_OK;
}

enum err config_load(struct arena *a, const struct config_source *source,
		     struct config_tables tables, struct conf_node **out_root, struct fault *f)
{
	struct loader l = loader_for(a, source, f);
	struct conf_node *root;

	if (config_find_section(tables, STR("gateway"))) {
		l.kong = kong_new(a, source->out_warnings, f);
	}
	TRY(load_tree(&l, &root));
	if (l.kong) {
		TRY(kong_read_env(l.kong, l.env));
		TRY(kong_apply(l.kong, root));
	}
	TRY(config_env_apply(a, l.env, tables, root, f));
	TRY(check_all(a, root, tables, f));
	*out_root = root;
	return ERR_OK;
}

/* -- access ----------------------------------------------------------------- */

bool config_has(const struct conf_node *root, const struct conf_section *section)
{
	const struct conf_node *node = conf_get(root, str_c(section->name));

	return node && node->line > 0;
}

enum err config_section(struct arena *a, const struct conf_node *root,
			const struct conf_section *section, void *out, struct fault *f)
{
	const struct conf_node *node = *section->name ? conf_get(root, str_c(section->name)) : root;

	return conf_apply(a, section, node, out, f);
}
