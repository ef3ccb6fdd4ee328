#include "app/gateway_declarative.h"

#include "app/text_file.h"
#include "base/log.h"
#include "gateway/yaml_text.h"

bool gateway_is_declarative(const struct gateway_config *c)
{
	return c->declarative.n > 0 || c->declarative_text.p;
}

static enum err load_file(struct declarative_live *l, struct str path, struct fault *f)
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

enum err gateway_declarative_reload(struct declarative_live *l, const struct gateway_config *c,
				    struct fault *f)
{
	if (c->declarative.n > 0) {
		return load_file(l, c->declarative, f);
	}
	return c->declarative_text.n > 0 ? declarative_live_load(l, c->declarative_text,
								 STR("gateway.declarative_text"), f)
					 : ERR_OK;
}

enum err gateway_declarative_check(const struct gateway_config *c, struct fault *f)
{
	struct entities *es = entities_new(&(struct entities_config){.memory = true});
	struct declarative_live *l = declarative_live_new(es);
	enum err e = gateway_declarative_reload(l, c, f);

	declarative_live_free(&l);
	entities_free(&es);
	return e;
}

/* Whether the configuration says what is in force, at a start and at SIGHUP. */
static bool says_what(const struct gateway_config *c)
{
	return c->declarative.n > 0 || c->declarative_text.n > 0;
}

enum err gateway_declarative_save(struct declarative_live *l, const struct gateway_config *c,
				  struct buf *out)
{
	declarative_live_hold(l);
	return says_what(c) ? ERR_OK : declarative_live_save(l, out);
}

enum err gateway_declarative_start(struct entities *es, const struct gateway_config *c,
				   struct str saved, struct declarative_live **out, struct fault *f)
{
	struct declarative_live *l = declarative_live_new(es);
	bool is_saved = saved.n > 0 && !says_what(c);
	enum err e = is_saved ? declarative_live_restore(l, saved, f)
			      : gateway_declarative_reload(l, c, f);

	declarative_live_hold(l);
	if (e != ERR_OK) {
		declarative_live_free(&l);
		return e;
	}
	if (c->declarative.n > 0) {
		log_info("gateway", "entities come from a file", LOG_STR("file", c->declarative));
	} else if (is_saved) {
		log_info("gateway", "entities come from the former process");
	} else {
		log_info("gateway", "entities come from the configuration");
	}
	*out = l;
	return ERR_OK;
}
