#include "tls/sni.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/str_copy.h"

#include <stdatomic.h>

#define NAME_MAX_LEN 255

struct tls_sni_map {
	atomic_uint refs;
	struct arena arena;
	struct map exact;    /* "a.b" */
	struct map prefixed; /* "*.b" by ".b" */
	struct map suffixed; /* "a.*" by "a." */
	struct tls_cert *star;
	struct tls_cert *dflt;
};

static void unref(void *obj)
{
	struct tls_cert *c = obj;

	tls_cert_unref(&c);
}

static struct tls_cert *keep(struct tls_sni_map *m, struct tls_cert *c)
{
	arena_defer(&m->arena, unref, tls_cert_ref(c));
	return c;
}

struct tls_sni_map *tls_sni_map_new(struct tls_cert *dflt)
{
	struct tls_sni_map *m = MEM_NEW(struct tls_sni_map);

	atomic_init(&m->refs, 1);
	arena_init(&m->arena, 0);
	m->dflt = dflt ? keep(m, dflt) : NULL;
	return m;
}

struct tls_sni_map *tls_sni_map_ref(struct tls_sni_map *m)
{
	atomic_fetch_add(&m->refs, 1);
	return m;
}

void tls_sni_map_unref(struct tls_sni_map **mp)
{
	struct tls_sni_map *m = *mp;

	*mp = NULL;
	if (m && atomic_fetch_sub(&m->refs, 1) == 1) {
		map_free(&m->exact);
		map_free(&m->prefixed);
		map_free(&m->suffixed);
		arena_fini(&m->arena);
		mem_free(m);
	}
}

/* Lower case, without the dot at the end; empty when it cannot be a name. */
static struct str fold(struct str name, char out[NAME_MAX_LEN])
{
	if (str_ends(name, STR("."))) {
		name.n--;
	}
	if (name.n > NAME_MAX_LEN) {
		return STR_NULL;
	}
	(void)str_copy_lower(out, name);
	return str_of(out, name.n);
}

static void put(struct tls_sni_map *m, struct map *in, struct str key, struct tls_cert *cert)
{
	if (!map_get(in, key)) {
		(void)map_set(in, str_dup(&m->arena, key), keep(m, cert));
	}
}

enum err tls_sni_map_add(struct tls_sni_map *m, struct str name, struct tls_cert *cert)
{
	char text[NAME_MAX_LEN];
	struct str key = fold(name, text);
	struct str bare = key;

	if (str_eq(key, STR("*"))) {
		m->star = m->star ? m->star : keep(m, cert);
		return ERR_OK;
	}
	if (str_starts(key, STR("*."))) {
		bare = str_skip(key, 1);
	} else if (str_ends(key, STR(".*"))) {
		bare.n--;
	}
	if (bare.n < 1 || (bare.n == 1 && bare.p[0] == '.') || str_index(bare, '*') >= 0) {
		return ERR_INVALID;
	}
	if (bare.n == key.n) {
		put(m, &m->exact, key, cert);
	} else {
		put(m, bare.p == key.p ? &m->suffixed : &m->prefixed, bare, cert);
	}
	return ERR_OK;
}

static const struct tls_cert *find_key(const struct tls_sni_map *m, struct str name)
{
	ptrdiff_t first = str_index(name, '.'), last = str_rindex(name, '.');
	const struct tls_cert *c = map_get(&m->exact, name);

	if (!c && first > 0) {
		c = map_get(&m->prefixed, str_skip(name, (size_t)first));
	}
	if (!c && last > 0) {
		c = map_get(&m->suffixed, str_slice(name, 0, (size_t)last + 1));
	}
	return c ? c : m->star;
}

const struct tls_cert *tls_sni_map_find(const struct tls_sni_map *m, struct str name)
{
	char text[NAME_MAX_LEN];
	struct str key = fold(name, text);

	return key.n > 0 ? find_key(m, key) : NULL;
}

const struct tls_cert *tls_sni_map_get(const struct tls_sni_map *m, struct str name)
{
	const struct tls_cert *c = tls_sni_map_find(m, name);

	return c ? c : m->dflt;
}
