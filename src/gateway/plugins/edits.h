/*
 * edits - "name:value" lists of the transformers, taken apart when they are compiled
 */
#pragma once
#include "gateway/plugins/fields.h"
#include "gateway/plugins/template.h"

struct edit {
	struct str name;
	const struct template *value; /* NULL = none was given */
	struct str text;	      /* as written; p NULL = none */
};

struct edits {
	struct edit *v;
	size_t n;
};

enum edits_kind {
	EDITS_NAMES,	 /* "name" */
	EDITS_PAIRS,	 /* "name:value" */
	EDITS_TEMPLATES, /* the same, with $(…) in values */
};

/* Elements of the schema: "name:value" with a name that is not empty. */
extern const struct schema_field edits_pair;
/* The same, and the name (of a rename both) is one of a header. */
extern const struct schema_field edits_header_pair, edits_header_rename;

/* The same, and values are templates. */
extern const struct schema_field edits_template_pair, edits_header_template;
/* `check` of a field that is a template. */
enum err edits_check_template(struct arena *a, const struct schema_field *field,
			      const struct json *v, struct fault *f);

/* Whether one of them is for that name of a header; of renames, for either. */
bool edits_name(const struct edits *e, struct str name);
bool edits_rename(const struct edits *e, struct str name);

/* `what` is for the fault: "add.headers". */
enum err edits_compile(struct arena *a, struct schema_strs in, enum edits_kind kind,
		       const char *what, struct edits *out, struct fault *f) MUST_USE;
