#include "gateway/plugins/params.h"

#include "base/buf.h"
#include "base/enc.h"

/* A broken escape leaves the text as it came: it must still be forwarded. */
static struct str decode(struct arena *a, struct str raw)
{
	struct buf b = {0};
	struct str out = raw;

	if (raw.n == 0 || (str_index(raw, '%') < 0 && str_index(raw, '+') < 0)) {
		return raw;
	}
	if (form_decode(&b, raw) == ERR_OK) {
		out = str_dup(a, buf_str(&b));
		if (!out.p) {
			out = STR("");
		}
	}
	buf_free(&b);
	return out;
}

static void push(struct arena *a, struct params *p, struct param item)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 8;
		struct param *v = ARENA_NEW_ARRAY(a, struct param, cap);

		if (p->n > 0) {
			memcpy(v, p->v, p->n * sizeof(*v));
		}
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = item;
}

void params_parse(struct arena *a, struct str text, struct params *out)
{
	struct params p = {0};
	struct str raw;

	while (str_split(&text, '&', &raw)) {
		ptrdiff_t eq = str_index(raw, '=');
		struct param item = {.raw = raw, .name = raw, .value = STR_NULL};

		if (raw.n == 0) {
			continue;
		}
		if (eq >= 0) {
			item.name = str_slice(raw, 0, (size_t)eq);
			item.value = decode(a, str_skip(raw, (size_t)eq + 1));
			if (!item.value.p) {
				item.value = STR("");
			}
		}
		item.name = decode(a, item.name);
		push(a, &p, item);
	}
	*out = p;
}

size_t params_count(struct str text)
{
	size_t n = 1;

	for (size_t i = 0; i < text.n; i++) {
		n += text.p[i] == '&';
	}
	return n;
}

struct str params_write(struct arena *a, const struct params *p)
{
	struct buf b = {0};
	struct str out;

	for (size_t i = 0; i < p->n; i++) {
		const struct param *item = &p->v[i];

		if (i > 0) {
			buf_putc(&b, '&');
		}
		if (item->raw.p) {
			buf_put(&b, item->raw);
			continue;
		}
		percent_encode(&b, item->name);
		if (item->value.p) {
			buf_putc(&b, '=');
			percent_encode(&b, item->value);
		}
	}
	out = b.n > 0 ? str_dup(a, buf_str(&b)) : STR_NULL;
	buf_free(&b);
	return out;
}

size_t params_get(const struct params *p, struct str name, struct str *out_value)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (str_eq(p->v[i].name, name) && n++ == 0) {
			*out_value = p->v[i].value;
		}
	}
	return n;
}

void params_add(struct arena *a, struct params *p, struct str name, struct str value)
{
	push(a, p, (struct param){.raw = STR_NULL, .name = name, .value = value});
}

/* Keeps the first `keep` of that name. */
static size_t drop(struct params *p, struct str name, size_t keep)
{
	size_t n = 0, seen = 0, was = p->n;

	for (size_t i = 0; i < was; i++) {
		if (str_eq(p->v[i].name, name) && seen++ >= keep) {
			continue;
		}
		p->v[n++] = p->v[i];
	}
	p->n = n;
	return was - n;
}

size_t params_remove(struct params *p, struct str name)
{
	return drop(p, name, 0);
}

bool params_replace(struct params *p, struct str name, struct str value)
{
	bool found = false;

	for (size_t i = 0; i < p->n && !found; i++) {
		if (str_eq(p->v[i].name, name)) {
			p->v[i].raw = STR_NULL;
			p->v[i].value = value;
			found = true;
		}
	}
	drop(p, name, 1);
	return found;
}

bool params_rename(struct params *p, struct str name, struct str new_name)
{
	bool found = false;

	if (str_eq(name, new_name)) {
		return false;
	}
	for (size_t i = 0; i < p->n && !found; i++) {
		found = str_eq(p->v[i].name, name);
	}
	if (!found) {
		return false;
	}
	params_remove(p, new_name);
	for (size_t i = 0; i < p->n; i++) {
		if (str_eq(p->v[i].name, name)) {
			p->v[i].raw = STR_NULL;
			p->v[i].name = new_name;
		}
	}
	return true;
}
