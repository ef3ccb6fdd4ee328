/*
 * json - strict RFC 8259 reader, writer, and shapes that map objects to structs
 *
 * The reader builds a tree in an arena; strings without escapes point into the
 * input, so the input must outlive the tree. Depth is limited, numbers keep
 * their text, strings must be valid UTF-8 (lone \u surrogates become U+FFFD),
 * duplicate keys are refused (parsers that differ on them have been an attack),
 * trailing bytes are refused.
 *
 * A shape is a table {name, type, offset, flags, max} that serves both ways:
 * decoding checks types, limits and required members and names the culprit;
 * encoding writes members in table order, absent strings and options as null.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define JSON_DEPTH_MAX 32

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	bool boolean;
	struct str text;    /* STRING: decoded value; NUMBER, and what was skimmed: as written */
	struct str key;	    /* name, when a member of an object */
	struct json *child; /* ARRAY, OBJECT: first element or member */
	struct json *next;  /* sibling */
	size_t n;	    /* ARRAY, OBJECT: number of children */
};

/* `f` (may be NULL) says what is wrong and at which byte. Fails with ERR_INVALID only. */
enum err json_parse(struct arena *a, struct str text, struct json **out, struct fault *f) MUST_USE;

/*
 * The same for a large text of which the outermost members matter: only those of an object get
 * nodes, `max` of them at most. Other containers are checked, but for names that come twice; they
 * have their text and their `n`, and those among the nodes have the first of their children.
 */
enum err json_skim(struct arena *a, struct str text, size_t max, struct json **out,
		   struct fault *f) MUST_USE;

/* NULL when absent (or `obj` is no object). */
const struct json *json_get(const struct json *obj, struct str key);
const struct json *json_get_nocase(const struct json *obj, struct str key);
bool json_is_null(const struct json *v); /* absent counts */
/* Empty, 0 or false unless it is of that type. */
struct str json_str(const struct json *v);
/* json_str of a member. */
struct str json_get_str(const struct json *obj, const char *key);
bool json_bool(const struct json *v);
/* False unless a whole number within int64. */
bool json_int(const struct json *v, int64_t *out);

/*
 * Writer: appends to a buf; commas are kept by the state. Escaping is
 * "relaxed": only what RFC 8259 demands.
 */
struct json_writer {
	struct buf *out;
	bool comma; /* a value was written at this level */
};

static inline struct json_writer json_writer_to(struct buf *out)
{
	return (struct json_writer){out, false};
}

void json_begin_object(struct json_writer *w);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w);
void json_end_array(struct json_writer *w);
void json_key(struct json_writer *w, struct str key);
void json_put_str(struct json_writer *w, struct str s);		/* invalid UTF-8 becomes U+FFFD */
void json_put_str_or_null(struct json_writer *w, struct str s); /* s.p NULL = null */
void json_put_int(struct json_writer *w, int64_t v);
void json_put_bool(struct json_writer *w, bool v);
void json_put_null(struct json_writer *w);
void json_put_raw(struct json_writer *w, struct str json); /* already JSON */
void json_put_tree(struct json_writer *w, const struct json *v);
/* For who writes what is around it: one string with its quotes, or one number, and nothing else. */
void json_quote(struct buf *out, struct str s);
void json_number(struct buf *out, int64_t v);
/* The string as json_quote writes it, to where s.n + 2 bytes have room; NULL when it needs more
 * than copying. */
char *json_put_plain(char *to, struct str s);

enum json_field_type {
	JSON_F_STR,	 /* struct str; null or absent = STR_NULL */
	JSON_F_BOOL,	 /* bool */
	JSON_F_I64,	 /* int64_t */
	JSON_F_OPT_I64,	 /* struct opt_i64; null or absent = not set */
	JSON_F_OPT_BOOL, /* struct opt_bool */
	JSON_F_SPAN,	 /* struct opt_i64 of ms, written as .NET TimeSpan "c" */
	JSON_F_TIME,	 /* struct opt_i64 of wall ms, written as ISO 8601 */
	JSON_F_GUID,	 /* struct guid, written D */
	JSON_F_OPT_GUID, /* the same; all zero = null or absent */
	JSON_F_TREE,	 /* const struct json *; kept as is */
};

struct opt_i64 {
	bool has;
	int64_t v;
};

struct opt_bool {
	bool has;
	bool v;
};

enum json_field_flags {
	JSON_REQUIRED = 1, /* present and not null (strings: not empty) */
	JSON_READONLY = 2, /* encoded, ignored when decoding */
};

struct json_field {
	const char *name;
	enum json_field_type type;
	size_t offset;
	unsigned flags;
	int64_t min, max; /* strings: bytes (max 0 = no limit); numbers: range if max > min */
};

struct json_shape {
	const char *what; /* "tenant", for errors */
	const struct json_field *fields;
	size_t n;
};

/*
 * Names match case-insensitively; unknown members are ignored, a member given twice
 * (in whatever case) is refused. Whole numbers may also come as strings, as in .NET.
 * Fields of the table are zeroed first. Faults read "tenant.name: is required".
 */
enum err json_decode(const struct json_shape *shape, const struct json *obj, void *out,
		     struct fault *f) MUST_USE;
void json_encode(const struct json_shape *shape, const void *obj, struct json_writer *w);
