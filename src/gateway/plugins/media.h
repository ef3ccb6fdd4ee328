/*
 * media - bodies of requests that plugins look into or edit: JSON, forms, multipart forms
 *
 * A body is parsed into a list of named texts (JSON: the members of the outermost object),
 * edited there, and written again. What another reader might take apart differently counts as
 * broken: it could find a name there that we did not.
 *
 * Threads  pure functions; results in the arena.
 */
#pragma once
#include "base/json.h"
#include "gateway/plugins/params.h"
#include "http/message.h"

enum media_kind { MEDIA_OTHER, MEDIA_JSON, MEDIA_FORM, MEDIA_MULTIPART };

enum media_kind media_kind_of(struct str content_type);
/*
 * Whether the name of one of these types stands in it where it does not count for us: as a part of
 * another one ("application/jsonx"), in a list, in a parameter. Others look for just that.
 */
bool media_is_doubtful(struct str content_type);
/*
 * What the lines of Content-Type say, and between commas: how many are JSON, and how many are not.
 * Whoever reads an answer may take any of them for what it is.
 */
void media_count_types(const struct http_headers *h, size_t *out_json, size_t *out_others);
/* Whether there is a Content-Encoding: we have none but "identity". */
bool media_is_coded(const struct http_headers *h);
/*
 * Value of a parameter of Content-Type and the like, without quotes; STR_NULL when absent. False
 * when another reader might find another one: it is there twice, or also in the spelling of
 * RFC 8187 ("name*"), or the quotes are not clear.
 */
bool media_param(struct str field, struct str name, struct str *out) MUST_USE;

struct media_part {
	struct str head; /* header lines of the part, with their CRLF; without the empty line */
	struct str name; /* of Content-Disposition; STR_NULL when it has none */
	struct str content;
};

enum {
	MEDIA_PARTS_MAX = 1000,
	MEDIA_PART_HEAD_MAX = 16 << 10,
	MEDIA_NAMES_MAX = 100000, /* of an object, or a form: the time of a loop */
};

struct media_parts {
	struct media_part *v;
	size_t n, cap;
};

/* multipart/form-data (RFC 7578): ERR_INVALID when the body is none with that boundary. */
enum err media_parts_parse(struct arena *a, struct str boundary, struct str body,
			   struct media_parts *out) MUST_USE;
struct str media_parts_write(struct arena *a, struct str boundary, const struct media_parts *p);

/* A body to be edited. */
struct media {
	enum media_kind kind;
	struct json *json; /* an object */
	struct params form;
	struct media_parts parts;
	struct str boundary;
};

/*
 * ERR_NOT_FOUND: of another kind, or JSON without names (no object). ERR_INVALID: broken, or more
 * than is looked through. What a tree takes may be many times the body: `a` is not the call's.
 */
enum err media_parse(struct arena *a, struct str content_type, struct str body,
		     struct media *out) MUST_USE;
struct str media_write(struct arena *a, const struct media *m);

/*
 * How many values `name` has; `*out` is the first. JSON: texts, numbers and booleans; an array is
 * never just one.
 */
size_t media_get(const struct media *m, struct str name, struct str *out);
bool media_has(const struct media *m, struct str name);
size_t media_remove(struct media *m, struct str name);
bool media_rename(struct arena *a, struct media *m, struct str name, struct str new_name);
/* False when there is none of that name. */
bool media_replace(struct arena *a, struct media *m, struct str name, struct str value);
/* When there is none of that name. */
void media_add(struct arena *a, struct media *m, struct str name, struct str value);
/* Whether or not there is one already: in JSON an array, of that one and the new value. */
void media_append(struct arena *a, struct media *m, struct str name, struct str value);

/* The same on JSON objects with values of any type. `v` is not copied. */
bool media_json_has(const struct json *obj, struct str name);
size_t media_json_remove(struct json *obj, struct str name);
bool media_json_rename(struct json *obj, struct str name, struct str new_name);
bool media_json_replace(struct json *obj, struct str name, const struct json *v);
void media_json_add(struct arena *a, struct json *obj, struct str name, const struct json *v);
void media_json_append(struct arena *a, struct json *obj, struct str name, const struct json *v);
