/*
 * config - where configuration comes from, and how it is shown
 *
 * One YAML or JSON text from a file or URL becomes a tree of conf_node; then
 * `{env: NAME}` and `{file: PATH}` are replaced by what they name, and variables
 * like POSTHOUSE_RELAY__REQUEST_EXPIRATION override single keys. A file NAME.conf is one of
 * Kong, and KONG_* variables override keys, too (config_kong.h). The tables of the
 * sections (base/conf.h) check all of it at once, so that a bad key is reported at
 * the start and not when a role first looks.
 *
 * Ownership  the tree lives in the arena given, which is that of the epoch.
 * Threads    none shared; loading blocks on the file or fetch.
 * Failure    ERR_INVALID with one fault that names source, line and key;
 *            ERR_NOT_FOUND or what fetch returns when there is no text.
 */
#pragma once
#include "base/buf.h"
#include "base/conf.h"

/* Reads an http(s) URL into the arena; must bound size and time. */
typedef enum err config_fetch_fn(struct arena *a, struct str url, struct str *out_text,
				 struct fault *f);

struct config_source {
	struct str path_or_url; /* n 0 = no file: defaults and environment only */
	config_fetch_fn *fetch; /* NULL = URLs are refused */
	const char *const *env; /* "NAME=value", NULL-terminated; NULL = the process's own */
	struct config_warning **out_warnings; /* put at the end of that list; NULL = dropped */
};

/* What does no harm but may surprise, such as a setting that has no effect. */
struct config_warning {
	struct config_warning *next;
	struct str text; /* with source and line */
};

/* The tables of all sections that this program knows; that named "" is the top level. */
struct config_tables {
	const struct conf_section *const *v;
	size_t n;
};

/*
 * Reads, overrides and checks everything; required keys only of sections that the file
 * has. The root is a map, empty without a file.
 */
enum err config_load(struct arena *a, const struct config_source *source,
		     struct config_tables tables, struct conf_node **out_root,
		     struct fault *f) MUST_USE;

/* As config_load, but without tables: for files of other programs. No environment overrides. */
enum err config_read(struct arena *a, const struct config_source *source,
		     struct conf_node **out_root, struct fault *f) MUST_USE;

/* Whether the file has the section: an override alone does not start a role. */
bool config_has(const struct conf_node *root, const struct conf_section *section);

/* Fills the role's struct, with defaults for what is not given. */
enum err config_section(struct arena *a, const struct conf_node *root,
			const struct conf_section *section, void *out, struct fault *f) MUST_USE;

/*
 * The effective configuration as YAML that could be loaded again; secrets become ***.
 * A section that is not there is left out if it must have keys.
 */
void config_show(const struct conf_node *root, struct config_tables tables, struct buf *out);

/* Markdown with every section and key. */
void config_reference(struct config_tables tables, struct buf *out);

/*
 * YAML or JSON text to a tree; `name` is its source in messages. Refuses what makes
 * small texts large or meanings unclear: anchors, aliases, tags, several documents,
 * keys given twice, more than CONFIG_DEPTH_MAX levels, CONFIG_TEXT_MAX bytes or
 * CONFIG_MEMBERS_MAX keys in one map.
 */
#define CONFIG_DEPTH_MAX 32
#define CONFIG_TEXT_MAX ((size_t)1024 * 1024)
#define CONFIG_MEMBERS_MAX 1000
enum err config_parse(struct arena *a, struct str text, struct str name,
		      struct conf_node **out_root, struct fault *f) MUST_USE;
