#include "connector/known.h"

#include "base/mem.h"

void known_init(struct known *k, size_t max)
{
	*k = (struct known){.max = max};
}

void known_fini(struct known *k)
{
	map_free(&k->running);
	map_free(&k->done);
	mem_free(k->ring);
	k->ring = NULL;
}

void *known_runner(const struct known *k, const struct guid *id)
{
	return map_get(&k->running, guid_bytes(id));
}

bool known_is_done(const struct known *k, const struct guid *id)
{
	return map_get(&k->done, guid_bytes(id)) != NULL;
}

void known_begin(struct known *k, const struct guid *id, void *runner)
{
	void *former = map_set(&k->running, guid_bytes(id), runner);

	ASSERT(!former);
}

void known_forget(struct known *k, const struct guid *id)
{
	(void)map_remove(&k->running, guid_bytes(id));
}

void known_finish(struct known *k, const struct guid *id)
{
	known_forget(k, id);
	if (known_is_done(k, id)) {
		return;
	}
	if (!k->ring) {
		k->ring = MEM_NEW_ARRAY(struct guid, k->max);
	}
	struct guid *place = &k->ring[k->next];

	k->next = (k->next + 1) % k->max;
	(void)map_remove(&k->done, guid_bytes(place));
	*place = *id;
	(void)map_set(&k->done, guid_bytes(place), place);
}
