#include "gateway/declarative_int.h"
#include "tls/crypto.h"

/* fd02801f-0957-4a15-a55a-c8d9606f30b5: the name space of all ids of Kong's files. */
static const struct guid root = {{0xfd, 0x02, 0x80, 0x1f, 0x09, 0x57, 0x4a, 0x15, 0xa5, 0x5a, 0xc8,
				  0xd9, 0x60, 0x6f, 0x30, 0xb5}};

/* RFC 9562 5.5 */
static struct guid uuid5(const struct guid *space, struct str name)
{
	uint8_t hash[SHA1_LEN];
	struct buf b = {0};
	struct guid out;

	buf_append(&b, space->b, sizeof(space->b));
	buf_put(&b, name);
	crypto_sha1(buf_str(&b), hash);
	buf_free(&b);
	memcpy(out.b, hash, sizeof(out.b));
	out.b[6] = (uint8_t)((out.b[6] & 0x0f) | 0x50);
	out.b[8] = (uint8_t)((out.b[8] & 0x3f) | 0x80);
	return out;
}

const char *declarative_name(const struct entity_def *def)
{
	return def->declarative ? def->declarative : def->collection;
}

struct str declarative_text(struct arena *a, const struct json *v)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);
	struct str out;

	json_put_tree(&w, v);
	out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return out;
}

struct guid declarative_id(enum entity_kind kind, struct str key)
{
	struct guid space = uuid5(&root, str_c(declarative_name(&entity_defs[kind])));

	return uuid5(&space, key);
}

/* Text, or the id of what is referred to; empty when not set. */
static struct str key_part(const struct json *v)
{
	if (v && v->type == JSON_OBJECT) {
		return json_str(json_get(v, STR("id")));
	}
	return json_str(v);
}

bool declarative_key(struct arena *a, enum entity_kind kind, const struct json *v,
		     struct str *out_key)
{
	const struct entity_def *def = &entity_defs[kind];
	struct buf key = {0};

	if (!def->unique_together[0]) {
		*out_key = def->endpoint_key ? json_str(json_get(v, str_c(def->endpoint_key)))
					     : STR_NULL;
		return out_key->n > 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(def->unique_together) && def->unique_together[i]; i++) {
		if (i > 0) {
			buf_putc(&key, ':');
		}
		buf_put(&key, key_part(json_get(v, str_c(def->unique_together[i]))));
	}
	*out_key = str_dup(a, buf_str(&key));
	buf_free(&key);
	return true;
}
