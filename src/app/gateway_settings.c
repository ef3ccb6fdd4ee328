#include "app/gateway_settings.h"

#include "app/settings.h"

struct admin_entry {
	const struct conf_node *listen;
	int compat;
	const struct conf_node *api_keys;
};

/* "0.14" of wicked is another profile, which is not built. */
static const char *const compats[] = {"3", NULL};

#define AT(member) offsetof(struct admin_entry, member)
static const struct conf_key admin_keys[] = {
	{"listen", CONF_NODE, AT(listen), "127.0.0.1:8001", 0, 0, NULL, 0, ""},
	{"compat", CONF_ENUM, AT(compat), "3", 0, 0, compats, 0, ""},
	{"api_keys", CONF_NODE, AT(api_keys), NULL, 0, 0, NULL, 0, ""},
};
#undef AT

static const struct conf_section admin_conf = {"gateway.admin", "", admin_keys,
					       ARRAY_LEN(admin_keys)};

static enum err read_admin(struct arena *a, const struct conf_node *node,
			   struct gateway_settings *out, struct fault *f)
{
	struct admin_settings *s = &out->admins[out->n_admins];
	struct admin_entry e;

	if (out->n_admins == GATEWAY_ADMINS_MAX) {
		return conf_fault(f, node, "gateway.admin: at most %d", GATEWAY_ADMINS_MAX);
	}
	TRY(conf_apply(a, &admin_conf, node, &e, f));
	TRY(listen_read(a, "gateway.admin", e.listen, &s->listen, f));
	TRY(settings_read_keys(a, e.api_keys, &s->keys, f));
	out->n_admins++;
	return ERR_OK;
}

static enum err check_role_names(const struct conf_node *map, struct fault *f)
{
	bool is_map = map && map->kind == CONF_NODE_MAP;

	for (const struct conf_node *m = is_map ? map->child : NULL; m; m = m->next) {
		if (role_of(m->key) == ROLES) {
			return conf_fault(f, m, "gateway.role_urls: there is no role \"%.*s\"",
					  STR_ARG(m->key));
		}
	}
	return ERR_OK;
}

enum err gateway_settings_read(struct arena *a, const struct gateway_config *config,
			       struct gateway_settings *out, struct fault *f)
{
	const struct conf_node *list = config->admin;

	*out = (struct gateway_settings){0};
	if (config->declarative.n > 0 && config->declarative_text.n > 0) {
		return fault_set(f, ERR_INVALID,
				 "gateway.declarative and gateway.declarative_text: only one of "
				 "them may be given");
	}
	TRY(check_role_names(config->role_urls, f));
	if (!list) {
		return read_admin(a, NULL, out, f);
	}
	if (list->kind != CONF_NODE_LIST) {
		return conf_fault(f, list, "gateway.admin is a list of {listen: …}");
	}
	for (const struct conf_node *c = list->child; c; c = c->next) {
		TRY(read_admin(a, c, out, f));
	}
	return ERR_OK;
}
