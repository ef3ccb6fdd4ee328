/* State that outlives configurations, one for each plugin that has any. */
#include "base/mem.h"
#include "gateway/plugin.h"

void *plugin_host_state(struct plugin_host *h, const struct plugin *p)
{
	size_t i = 0;

	if (!p->state_new) {
		return NULL;
	}
	if (!h->states) {
		h->states = MEM_NEW_ARRAY(void *, n_plugins);
	}
	while (plugins[i] != p) {
		i++;
	}
	if (!h->states[i]) {
		h->states[i] = p->state_new(h);
	}
	return h->states[i];
}

void plugin_host_fini(struct plugin_host *h)
{
	for (size_t i = 0; h->states && i < n_plugins; i++) {
		if (h->states[i]) {
			plugins[i]->state_free(h->states[i]);
		}
	}
	mem_free(h->states);
	h->states = NULL;
}
