/*
 * watch_int - a watch and what the engines do for it
 */
#pragma once
#include "store/store_int.h"
#include "store/watch.h"

struct db_watch {
	struct db_watch_deps deps;
	void *engine; /* the engine's, made by watch_start */
};
