/* What a consistent hash is made from. */
#include "base/mem.h"
#include "gateway/balancer_int.h"
#include "gateway/hash.h"

#include <stdlib.h>

static int compare_values(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/*
 * All values of one source; each is the seed of the next one's hash, so nothing is joined.
 * The order of query arguments does not matter to their server, that of headers may.
 */
static bool hash_values(const struct balancer_hash *h, balancer_values_fn *values, void *arg,
			uint32_t *out)
{
	struct str v[BALANCER_VALUES_MAX];
	size_t n = values(arg, h, v);
	uint32_t hash = 0;

	if (h->on == BALANCER_HASH_QUERY_ARG && n > 1) {
		qsort(v, n, sizeof(v[0]), compare_values);
	}
	for (size_t i = 0; i < n; i++) {
		hash = hash_xx32(v[i], hash);
	}
	*out = hash;
	return n > 0;
}

static void take_cookie(struct balancer_key *out)
{
	struct guid id = guid_new();

	out->has = out->set_cookie = true;
	guid_d(&id, out->uuid);
	out->hash = hash_xx32(str_of(out->uuid, sizeof(out->uuid)), 0);
}

void balancer_key_make(const struct balancer *b, balancer_values_fn *values, void *arg,
		       struct balancer_key *out)
{
	out->has = out->set_cookie = false;
	if (b->kind != KIND_UPSTREAM) {
		return;
	}
	const struct balancer_config *c = &atomic_load(&b->table)->settings->c;
	const struct balancer_hash *from[] = {&c->hash, &c->fallback};

	if (c->algorithm != BALANCER_CONSISTENT_HASHING) {
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(from) && !out->has; i++) {
		if (from[i]->on == BALANCER_HASH_NONE) {
			return;
		}
		out->has = hash_values(from[i], values, arg, &out->hash);
		if (!out->has && from[i]->on == BALANCER_HASH_COOKIE) {
			take_cookie(out);
		}
	}
}

struct str balancer_key_cookie(const struct balancer *b, const struct balancer_key *k,
			       struct arena *a)
{
	const struct balancer_config *c = &atomic_load(&b->table)->settings->c;
	struct str path = c->cookie_path.p ? c->cookie_path : STR("/");
	struct str name = c->hash.on == BALANCER_HASH_COOKIE ? c->hash.name : c->fallback.name;

	ASSERT(k->set_cookie);
	return str_fmt(a, "%.*s=%.*s; Path=%.*s; SameSite=Lax; HttpOnly", STR_ARG(name), GUID_D_LEN,
		       k->uuid, STR_ARG(path));
}
