#include "app/gateway_declarative.h"

#include "app/text_file.h"
#include "base/log.h"
#include "gateway/yaml_text.h"

enum err gateway_declarative_reload(struct declarative_live *l, struct str path, struct fault *f)
{
	struct arena a;
	struct str text;

	arena_init(&a, 0);
	enum err e = text_file_read(&a, path, YAML_TEXT_MAX, &text, f);

	if (e == ERR_OK) {
		e = declarative_live_load(l, text, path, f);
	}
	arena_fini(&a);
	return e;
}

enum err gateway_declarative_start(struct entities *es, struct str path,
				   struct declarative_live **out, struct fault *f)
{
	struct declarative_live *l = declarative_live_new(es);
	enum err e = gateway_declarative_reload(l, path, f);

	if (e != ERR_OK) {
		declarative_live_free(&l);
		return e;
	}
	log_info("gateway", "entities come from a file", LOG_STR("file", path));
	*out = l;
	return ERR_OK;
}
