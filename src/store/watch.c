#include "base/mem.h"
#include "store/watch_int.h"

struct db_watch *db_watch_start(const struct db_watch_deps *deps)
{
	struct db_watch *w = MEM_NEW(struct db_watch);

	w->deps = *deps;
	deps->database->engine->watch_start(w);
	return w;
}

void db_watch_stop(struct db_watch **wp)
{
	struct db_watch *w = *wp;

	*wp = NULL;
	if (w) {
		w->deps.database->engine->watch_stop(w);
		mem_free(w);
	}
}

bool db_watch_is_quiet(struct db_watch *w)
{
	return w->deps.database->engine->watch_is_quiet(w);
}
