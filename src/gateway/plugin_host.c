/* State that outlives configurations, one for each plugin that has any. */
#include "gateway/plugin.h"

void *plugin_host_state(struct plugin_host *h, const struct plugin *p)
{
	size_t i = 0;
	void *state;

	if (!p->state_new) {
		return NULL;
	}
	ASSERT(n_plugins <= PLUGINS_MAX);
	while (plugins[i] != p) {
		i++;
	}
	state = plugin_host_state_at(h, i);
	if (!state) {
		state = p->state_new(h);
		atomic_store_explicit(&h->states[i], state, memory_order_release);
	}
	return state;
}

void plugin_host_fini(struct plugin_host *h)
{
	for (size_t i = 0; i < n_plugins; i++) {
		void *state = plugin_host_state_at(h, i);

		if (state) {
			plugins[i]->state_free(state);
			atomic_store(&h->states[i], NULL);
		}
	}
}
