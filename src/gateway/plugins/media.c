#include "gateway/plugins/media.h"

/* ---- Content-Type ---- */

static struct str type_of(struct str content_type)
{
	ptrdiff_t semi = str_index(content_type, ';');

	return str_trim(semi < 0 ? content_type : str_slice(content_type, 0, (size_t)semi));
}

static const struct str names[] = {
	[MEDIA_JSON] = STR_INIT("application/json"),
	[MEDIA_FORM] = STR_INIT("application/x-www-form-urlencoded"),
	[MEDIA_MULTIPART] = STR_INIT("multipart/form-data"),
};

enum media_kind media_kind_of(struct str content_type)
{
	struct str type = type_of(content_type);

	for (enum media_kind k = MEDIA_JSON; k <= MEDIA_MULTIPART; k++) {
		if (str_eq_nocase(type, names[k])) {
			return k;
		}
	}
	return MEDIA_OTHER;
}

bool media_is_doubtful(struct str content_type)
{
	enum media_kind kind = media_kind_of(content_type);
	ptrdiff_t semi = kind == MEDIA_OTHER ? 0 : str_index(content_type, ';');
	struct str rest = semi < 0 ? STR_NULL : str_skip(content_type, (size_t)semi);

	for (; rest.n > 0; rest = str_skip(rest, 1)) {
		for (enum media_kind k = MEDIA_JSON; k <= MEDIA_MULTIPART; k++) {
			if (str_starts_nocase(rest, names[k])) {
				return true;
			}
		}
	}
	return false;
}

bool media_is_coded(const struct http_headers *h)
{
	struct str coding = http_header_get(h, STR("content-encoding"));

	return coding.n > 0 && !str_eq_nocase(coding, STR("identity"));
}

/* Up to `sep` outside of quotes; `*rest` is what follows it. */
static struct str take_until(struct str *rest, char sep)
{
	bool is_quoted = false;
	struct str all = *rest;

	for (size_t i = 0; i < all.n; i++) {
		if (is_quoted && all.p[i] == '\\') {
			i++;
		} else if (all.p[i] == '"') {
			is_quoted = !is_quoted;
		} else if (all.p[i] == sep && !is_quoted) {
			*rest = str_skip(all, i + 1);
			return str_slice(all, 0, i);
		}
	}
	*rest = STR_NULL;
	return all;
}

void media_count_types(const struct http_headers *h, size_t *out_json, size_t *out_others)
{
	size_t json = 0, others = 0;

	for (size_t i = 0; i < h->n; i++) {
		struct str rest = h->v[i].value;

		while (str_eq_nocase(h->v[i].name, STR("content-type")) && rest.n > 0) {
			struct str type = str_trim(take_until(&rest, ','));
			bool is_json = media_kind_of(type) == MEDIA_JSON;

			json += is_json;
			others += !is_json && type.n > 0;
		}
	}
	*out_json = json;
	*out_others = others;
}

/* Quoted or bare, and the same to readers with and without escapes. */
static bool read_value(struct str s, struct str *out)
{
	bool is_quoted = s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';

	if (is_quoted) {
		s = str_slice(s, 1, s.n - 2);
	}
	for (size_t i = 0; i < s.n; i++) {
		bool is_blank = s.p[i] == ' ' || s.p[i] == '\t';

		if (s.p[i] == '"' || s.p[i] == '\\' || (is_blank && !is_quoted)) {
			return false;
		}
	}
	*out = s.p ? s : STR("");
	return true;
}

static bool has_doubtful_quotes(struct str s)
{
	size_t quotes = 0;

	for (size_t i = 0; i < s.n; i++) {
		quotes += s.p[i] == '"';
	}
	return quotes % 2 != 0 || str_find(s, STR("\\\"")) >= 0;
}

bool media_param(struct str field, struct str name, struct str *out)
{
	struct str rest = field, value = STR_NULL;

	if (has_doubtful_quotes(field)) {
		return false;
	}
	(void)take_until(&rest, ';');
	while (rest.n > 0) {
		struct str text = take_until(&rest, ';');
		struct str key = str_trim(take_until(&text, '='));

		if (str_starts_nocase(key, name) && key.n > name.n && key.p[name.n] == '*') {
			return false;
		}
		if (str_eq_nocase(key, name) && (value.p || !read_value(str_trim(text), &value))) {
			return false;
		}
	}
	*out = value;
	return true;
}

/* ---- multipart ---- */

static void push_part(struct arena *a, struct media_parts *p, struct media_part part)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 8;
		struct media_part *v = ARENA_NEW_ARRAY(a, struct media_part, cap);

		if (p->n > 0) {
			memcpy(v, p->v, p->n * sizeof(*v));
		}
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = part;
}

static bool is_field_line(struct str line)
{
	ptrdiff_t colon = str_index(line, ':');

	return colon > 0 && http_is_token(str_slice(line, 0, (size_t)colon)) &&
	       http_is_field_value(str_skip(line, (size_t)colon + 1));
}

/* A head with two readings might have another name for whoever reads it behind us. */
static enum err read_head(struct str head, struct str *out_name)
{
	struct str name = STR_NULL;
	bool has_disposition = false;

	while (head.n > 0) {
		ptrdiff_t end = str_find(head, STR("\r\n"));
		struct str line = end < 0 ? head : str_slice(head, 0, (size_t)end);
		struct str value = line;

		head = end < 0 ? STR_NULL : str_skip(head, (size_t)end + 2);
		if (!is_field_line(line)) {
			return ERR_INVALID;
		}
		if (!str_eq_nocase(take_until(&value, ':'), STR("content-disposition"))) {
			continue;
		}
		if (has_disposition || !media_param(value, STR("name"), &name)) {
			return ERR_INVALID;
		}
		has_disposition = true;
	}
	*out_name = name;
	return ERR_OK;
}

/* What stands between two delimiters, behind the line feed of the first. */
static enum err read_part(struct str text, struct media_part *out)
{
	ptrdiff_t end;

	if (str_starts(text, STR("\r\n"))) {
		*out = (struct media_part){.content = str_skip(text, 2)};
		return ERR_OK;
	}
	end = str_find(text, STR("\r\n\r\n"));
	if (end < 0 || end > MEDIA_PART_HEAD_MAX) {
		return ERR_INVALID;
	}
	out->head = str_slice(text, 0, (size_t)end + 2);
	out->content = str_skip(text, (size_t)end + 4);
	return read_head(out->head, &out->name);
}

/*
 * `*rest` stands behind a delimiter: "--" ends the body, else blanks and CRLF, then a part up to
 * CRLF and the next delimiter.
 */
static enum err next_part(struct str *rest, struct str delimiter, bool *out_is_last,
			  struct media_part *out)
{
	ptrdiff_t line, end;

	*out_is_last = str_starts(*rest, STR("--"));
	if (*out_is_last) {
		return ERR_OK;
	}
	line = str_find(*rest, STR("\r\n"));
	if (line < 0 || str_trim(str_slice(*rest, 0, (size_t)line)).n > 0) {
		return ERR_INVALID;
	}
	*rest = str_skip(*rest, (size_t)line + 2);
	/* Without its CR: readers that need none would find more parts than we do. */
	end = str_find(*rest, str_skip(delimiter, 1));
	if (end < 1 || rest->p[end - 1] != '\r') {
		return ERR_INVALID;
	}
	TRY(read_part(str_slice(*rest, 0, (size_t)end - 1), out));
	*rest = str_skip(*rest, (size_t)end - 1 + delimiter.n);
	return ERR_OK;
}

enum err media_parts_parse(struct arena *a, struct str boundary, struct str body,
			   struct media_parts *out)
{
	struct media_parts parts = {0};
	struct str delimiter = str_fmt(a, "\r\n--%.*s", STR_ARG(boundary));
	struct str first = str_skip(delimiter, 2), rest;
	ptrdiff_t start;

	if (boundary.n == 0 || boundary.n > 200) {
		return ERR_INVALID;
	}
	start = str_starts(body, first) ? 0 : str_find(body, delimiter);
	if (start < 0) {
		return ERR_INVALID;
	}
	rest = str_skip(body,
			(size_t)start +
				(start == 0 && str_starts(body, first) ? first.n : delimiter.n));
	for (;;) {
		struct media_part part = {0};
		bool is_last;

		TRY(next_part(&rest, delimiter, &is_last, &part));
		if (is_last) {
			*out = parts;
			return ERR_OK;
		}
		if (parts.n == MEDIA_PARTS_MAX) {
			return ERR_INVALID;
		}
		push_part(a, &parts, part);
	}
}

struct str media_parts_write(struct arena *a, struct str boundary, const struct media_parts *p)
{
	struct buf b = {0};
	struct str out;

	for (size_t i = 0; i < p->n; i++) {
		buf_puts(&b, "--");
		buf_put(&b, boundary);
		buf_puts(&b, "\r\n");
		buf_put(&b, p->v[i].head);
		buf_puts(&b, "\r\n");
		buf_put(&b, p->v[i].content);
		buf_puts(&b, "\r\n");
	}
	buf_puts(&b, "--");
	buf_put(&b, boundary);
	buf_puts(&b, "--\r\n");
	out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return out;
}

/* A quote or line break in a name would end it early: escaped as browsers do. */
static struct str head_of(struct arena *a, struct str name)
{
	struct buf b = {0};
	struct str out;

	buf_puts(&b, "Content-Disposition: form-data; name=\"");
	for (size_t i = 0; i < name.n; i++) {
		switch (name.p[i]) {
		case '"':
			buf_puts(&b, "%22");
			break;
		case '\r':
			buf_puts(&b, "%0D");
			break;
		case '\n':
			buf_puts(&b, "%0A");
			break;
		default:
			buf_putc(&b, name.p[i]);
		}
	}
	buf_puts(&b, "\"\r\n");
	out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return out;
}

static size_t parts_remove(struct media_parts *p, struct str name, size_t keep)
{
	size_t n = 0, seen = 0, was = p->n;

	for (size_t i = 0; i < was; i++) {
		if (p->v[i].name.p && str_eq(p->v[i].name, name) && seen++ >= keep) {
			continue;
		}
		p->v[n++] = p->v[i];
	}
	p->n = n;
	return was - n;
}

static struct media_part *part_of(const struct media_parts *p, struct str name)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i].name.p && str_eq(p->v[i].name, name)) {
			return &p->v[i];
		}
	}
	return NULL;
}

static bool parts_replace(struct arena *a, struct media_parts *p, struct str name, struct str value)
{
	struct media_part *part = part_of(p, name);

	if (!part) {
		return false;
	}
	*part = (struct media_part){head_of(a, name), name, value};
	parts_remove(p, name, 1);
	return true;
}

static bool parts_rename(struct arena *a, struct media_parts *p, struct str name,
			 struct str new_name)
{
	struct media_part *part = part_of(p, name);
	struct str value;

	if (!part || str_eq(name, new_name)) {
		return false;
	}
	value = part->content;
	parts_remove(p, new_name, 0);
	(void)parts_replace(a, p, name, value);
	part = part_of(p, name);
	*part = (struct media_part){head_of(a, new_name), new_name, value};
	return true;
}

/* ---- JSON ---- */

static struct json *member_of(const struct json *obj, struct str name)
{
	for (struct json *m = obj->child; m; m = m->next) {
		if (str_eq(m->key, name)) {
			return m;
		}
	}
	return NULL;
}

bool media_json_has(const struct json *obj, struct str name)
{
	return member_of(obj, name) != NULL;
}

size_t media_json_remove(struct json *obj, struct str name)
{
	size_t n = 0;

	for (struct json **at = &obj->child; *at;) {
		if (str_eq((*at)->key, name)) {
			*at = (*at)->next;
			obj->n--;
			n++;
		} else {
			at = &(*at)->next;
		}
	}
	return n;
}

bool media_json_rename(struct json *obj, struct str name, struct str new_name)
{
	struct json *m = member_of(obj, name);

	if (!m || str_eq(name, new_name)) {
		return false;
	}
	media_json_remove(obj, new_name);
	m->key = new_name;
	return true;
}

static void assign(struct json *m, const struct json *v)
{
	struct str key = m->key;
	struct json *next = m->next;

	*m = *v;
	m->key = key;
	m->next = next;
}

bool media_json_replace(struct json *obj, struct str name, const struct json *v)
{
	struct json *m = member_of(obj, name);

	if (m) {
		assign(m, v);
	}
	return m != NULL;
}

static void add_child(struct json *parent, struct json *child)
{
	struct json **at = &parent->child;

	while (*at) {
		at = &(*at)->next;
	}
	*at = child;
	child->next = NULL;
	parent->n++;
}

static struct json *clone(struct arena *a, const struct json *v)
{
	struct json *m = ARENA_NEW(a, struct json);

	*m = *v;
	m->key = STR_NULL;
	m->next = NULL;
	return m;
}

void media_json_add(struct arena *a, struct json *obj, struct str name, const struct json *v)
{
	struct json *m = clone(a, v);

	m->key = name;
	add_child(obj, m);
}

/* An array as it was written, with one element more. */
static struct str with_element(struct arena *a, struct str array, const struct json *v)
{
	struct str inside = str_trim(str_slice(array, 1, array.n - 2));
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);
	struct str out;

	json_begin_array(&w);
	if (inside.n > 0) {
		json_put_raw(&w, inside);
	}
	json_put_tree(&w, v);
	json_end_array(&w);
	out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return out;
}

void media_json_append(struct arena *a, struct json *obj, struct str name, const struct json *v)
{
	struct json *m = member_of(obj, name), *first;

	if (!m) {
		media_json_add(a, obj, name, &(struct json){.type = JSON_ARRAY});
		m = member_of(obj, name);
	} else if (m->type != JSON_ARRAY) {
		first = clone(a, m);
		assign(m, &(struct json){.type = JSON_ARRAY});
		add_child(m, first);
	} else if (m->text.p) {
		m->text = with_element(a, m->text, v);
	}
	add_child(m, clone(a, v));
}

/* ---- bodies ---- */

enum err media_parse(struct arena *a, struct str content_type, struct str body, struct media *out)
{
	struct media m = {.kind = media_kind_of(content_type)};

	switch (m.kind) {
	case MEDIA_OTHER:
		return ERR_NOT_FOUND;
	case MEDIA_JSON:
		if (str_trim(body).n == 0) {
			m.json = ARENA_NEW(a, struct json);
			m.json->type = JSON_OBJECT;
			break;
		}
		TRY(json_skim(a, body, MEDIA_NAMES_MAX, &m.json, NULL));
		if (m.json->type != JSON_OBJECT) {
			return ERR_NOT_FOUND;
		}
		break;
	case MEDIA_FORM:
		if (params_count(body) > MEDIA_NAMES_MAX) {
			return ERR_INVALID;
		}
		params_parse(a, body, &m.form);
		break;
	case MEDIA_MULTIPART:
		if (!media_param(content_type, STR("boundary"), &m.boundary)) {
			return ERR_INVALID;
		}
		TRY(media_parts_parse(a, m.boundary, body, &m.parts));
		break;
	}
	*out = m;
	return ERR_OK;
}

static struct str write_json(struct arena *a, const struct json *v)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);
	struct str out;

	json_put_tree(&w, v);
	out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return out;
}

struct str media_write(struct arena *a, const struct media *m)
{
	switch (m->kind) {
	case MEDIA_JSON:
		return write_json(a, m->json);
	case MEDIA_FORM:
		return params_write(a, &m->form);
	case MEDIA_MULTIPART:
		return media_parts_write(a, m->boundary, &m->parts);
	case MEDIA_OTHER:
		break;
	}
	return STR_NULL;
}

static size_t json_values(const struct json *obj, struct str name, struct str *out)
{
	const struct json *v = member_of(obj, name);
	size_t n = 1;

	if (v && v->type == JSON_ARRAY) {
		n = MAX(v->n, 2u);
		v = v->child;
	}
	if (!v) {
		return 0;
	}
	switch (v->type) {
	case JSON_STRING:
	case JSON_NUMBER:
		*out = v->text;
		return n;
	case JSON_BOOL:
		*out = v->boolean ? STR("true") : STR("false");
		return n;
	case JSON_NULL:
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	return 0;
}

size_t media_get(const struct media *m, struct str name, struct str *out)
{
	size_t n = 0;

	switch (m->kind) {
	case MEDIA_JSON:
		return json_values(m->json, name, out);
	case MEDIA_FORM:
		return params_get(&m->form, name, out);
	case MEDIA_MULTIPART:
		for (size_t i = 0; i < m->parts.n; i++) {
			const struct media_part *p = &m->parts.v[i];

			if (p->name.p && str_eq(p->name, name) && n++ == 0) {
				*out = p->content;
			}
		}
		return n;
	case MEDIA_OTHER:
		break;
	}
	return 0;
}

bool media_has(const struct media *m, struct str name)
{
	struct str value;

	return m->kind == MEDIA_JSON ? media_json_has(m->json, name)
				     : media_get(m, name, &value) > 0;
}

size_t media_remove(struct media *m, struct str name)
{
	switch (m->kind) {
	case MEDIA_JSON:
		return media_json_remove(m->json, name);
	case MEDIA_FORM:
		return params_remove(&m->form, name);
	case MEDIA_MULTIPART:
		return parts_remove(&m->parts, name, 0);
	case MEDIA_OTHER:
		break;
	}
	return 0;
}

bool media_rename(struct arena *a, struct media *m, struct str name, struct str new_name)
{
	switch (m->kind) {
	case MEDIA_JSON:
		return media_json_rename(m->json, name, new_name);
	case MEDIA_FORM:
		return params_rename(&m->form, name, new_name);
	case MEDIA_MULTIPART:
		return parts_rename(a, &m->parts, name, new_name);
	case MEDIA_OTHER:
		break;
	}
	return false;
}

bool media_replace(struct arena *a, struct media *m, struct str name, struct str value)
{
	const struct json text = {.type = JSON_STRING, .text = value};

	switch (m->kind) {
	case MEDIA_JSON:
		return media_json_replace(m->json, name, &text);
	case MEDIA_FORM:
		return params_replace(&m->form, name, value);
	case MEDIA_MULTIPART:
		return parts_replace(a, &m->parts, name, value);
	case MEDIA_OTHER:
		break;
	}
	return false;
}

void media_append(struct arena *a, struct media *m, struct str name, struct str value)
{
	const struct json text = {.type = JSON_STRING, .text = value};

	switch (m->kind) {
	case MEDIA_JSON:
		media_json_append(a, m->json, name, &text);
		break;
	case MEDIA_FORM:
		params_add(a, &m->form, name, value);
		break;
	case MEDIA_MULTIPART:
		push_part(a, &m->parts, (struct media_part){head_of(a, name), name, value});
		break;
	case MEDIA_OTHER:
		break;
	}
}

void media_add(struct arena *a, struct media *m, struct str name, struct str value)
{
	const struct json text = {.type = JSON_STRING, .text = value};

	if (m->kind == MEDIA_JSON) {
		media_json_add(a, m->json, name, &text);
	} else {
		media_append(a, m, name, value);
	}
}
