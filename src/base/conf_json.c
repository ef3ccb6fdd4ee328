#include "base/conf.h"

#include "base/json.h"

#include <stdio.h>

static void put_seconds(struct json_writer *w, int64_t ms)
{
	char text[32];

	if (ms % 1000 == 0) {
		json_put_int(w, ms / 1000);
		return;
	}
	(void)snprintf(text, sizeof(text), "%.15g", (double)ms / 1000);
	json_put_raw(w, str_c(text));
}

static void put_strs(struct json_writer *w, const struct conf_strs *v)
{
	json_begin_array(w);
	for (size_t i = 0; i < v->n; i++) {
		json_put_str(w, v->v[i]);
	}
	json_end_array(w);
}

/* Without one, a text is left out: kong.conf has no other way to say so, and clients ask for it. */
static bool has_value(const struct conf_key *key, const void *value)
{
	switch (key->type) {
	case CONF_STR:
	case CONF_SECRET:
		return ((const struct str *)value)->n > 0;
	case CONF_BOOL:
	case CONF_INT:
	case CONF_DURATION:
	case CONF_SIZE:
	case CONF_ENUM:
	case CONF_STRS:
		return true;
	case CONF_NODE:
		return false;
	}
	return false;
}

static void put_value(struct json_writer *w, const struct conf_key *key, const void *value)
{
	switch (key->type) {
	case CONF_STR:
		json_put_str(w, *(const struct str *)value);
		break;
	case CONF_SECRET:
		json_put_str(w, STR(CONF_MASK));
		break;
	case CONF_BOOL:
		json_put_bool(w, *(const bool *)value);
		break;
	case CONF_INT:
	case CONF_SIZE:
		json_put_int(w, *(const int64_t *)value);
		break;
	case CONF_DURATION:
		put_seconds(w, *(const int64_t *)value);
		break;
	case CONF_ENUM:
		json_put_str(w, str_c(key->choices[*(const int *)value]));
		break;
	case CONF_STRS:
		put_strs(w, value);
		break;
	case CONF_NODE:
		json_put_null(w);
		break;
	}
}

static const char *name_of(const struct conf_key *key, const struct conf_alias *aliases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(str_c(aliases[i].key), str_c(key->name))) {
			return aliases[i].as;
		}
	}
	return key->name;
}

void conf_put_json(struct json_writer *w, const struct conf_section *section, const void *values,
		   const struct conf_alias *aliases, size_t n)
{
	for (size_t i = 0; i < section->n; i++) {
		const struct conf_key *key = &section->keys[i];
		const void *value = (const char *)values + key->offset;
		const char *name = name_of(key, aliases, n);

		if (name && has_value(key, value)) {
			json_key(w, str_c(name));
			put_value(w, key, value);
		}
	}
}
