/*
 * yaml_text - YAML (or JSON) text to a JSON tree and back, for kong.yml
 *
 * Reading    plain scalars are typed as Kong's reader does it: null, true/false (also yes/no,
 *            on/off), whole numbers (also 0x, 0o and leading 0), fractions; what is quoted or
 *            a block stays a string. Anchors, aliases and the merge key `<<` work. An alias
 *            shares the tree that it names, so a bomb costs no memory; but each use counts as
 *            if it were written out, and the limits hold for that count.
 *            Keys given twice and second documents are refused.
 * Writing    block style, in the order of the tree, two blanks a level; text that would be
 *            read as something else is quoted; text of several lines becomes a block. What is
 *            written reads back as the same tree.
 *
 * Ownership  the tree lives in the arena; its strings point there or into the text.
 * Threads    any: pure functions.
 */
#pragma once
#include "base/json.h"

#define YAML_TEXT_MAX ((size_t)64 << 20)
#define YAML_DEPTH_MAX 32
#define YAML_NODES_MAX 4000000u /* aliases counted as often as they are used */
#define YAML_BYTES_MAX ((size_t)256 << 20)

struct yaml_doc {
	const struct json *root;
	struct str text;
	bool is_json; /* read by the JSON reader: lines come from where keys point */
};

/*
 * Text that begins with `{` or `[` and is JSON is read as such. An empty document is null.
 * ERR_INVALID: the fault reads "line 3: …".
 */
enum err yaml_parse(struct arena *a, struct str text, struct yaml_doc *out,
		    struct fault *f) MUST_USE;
/* Line of a node of this document, from 1 on (a member's is its key's); 0 = not known. */
unsigned yaml_line(const struct yaml_doc *doc, const struct json *v);

void yaml_write(struct buf *out, const struct json *v);
