/* The gateway's configuration as Kong tells its own. */
#include "base/json.h"
#include "gateway/config.h"

/* What has another name there, or another form: that is put by hand. */
static const struct conf_alias aliases[] = {
	{"listen", NULL},	     /* app */
	{"admin", NULL},	     /* app */
	{"headers_upstream", NULL},  /* a list of headers */
	{"real_ip_recursive", NULL}, /* "on" or "off" */
	{"role_urls", NULL},
	{"role_ca", NULL}, /* may be the text itself */
	{"declarative", "declarative_config"},
	{"declarative_text", "declarative_config_string"},
};

static void put_role_urls(const struct conf_node *map, struct json_writer *w)
{
	json_key(w, STR("role_urls"));
	json_begin_object(w);
	for (const struct conf_node *m = map ? map->child : NULL; m; m = m->next) {
		json_key(w, m->key);
		json_put_str(w, conf_text(m));
	}
	json_end_object(w);
}

void gateway_config_put(const struct gateway_config *c, struct json_writer *w)
{
	conf_put_json(w, &gateway_conf, c, aliases, ARRAY_LEN(aliases));
	json_key(w, STR("real_ip_recursive"));
	json_put_str(w, c->real_ip_recursive ? STR("on") : STR("off"));
	json_key(w, STR("headers_upstream"));
	json_begin_array(w);
	json_put_str(w, c->headers_upstream ? STR("X-Kong-Request-Id") : STR("off"));
	json_end_array(w);
	put_role_urls(c->role_urls, w);
}
