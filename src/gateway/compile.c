#include "gateway/compile.h"

#include "base/log.h"
#include "gateway/log_record.h"

#include <string.h>

static int64_t int_of(const struct json *v, const char *name, int64_t dflt)
{
	int64_t n;

	return json_int(json_get(v, str_c(name)), &n) ? n : dflt;
}

static bool bool_of(const struct json *v, const char *name, bool dflt)
{
	const struct json *m = json_get(v, str_c(name));

	return json_is_null(m) ? dflt : json_bool(m);
}

static struct router_strs strs_of(struct arena *a, const struct json *list)
{
	struct str *v;
	size_t n = 0;

	if (json_is_null(list) || list->n == 0) {
		return (struct router_strs){0};
	}
	v = ARENA_NEW_ARRAY(a, struct str, list->n);
	for (const struct json *e = list->child; e; e = e->next) {
		v[n++] = json_str(e);
	}
	return (struct router_strs){v, n};
}

struct guid compile_foreign(const struct json *v, const char *name)
{
	struct guid id = {0};

	if (guid_parse(json_str(json_get(json_get(v, str_c(name)), STR("id"))), &id) != ERR_OK) {
		return (struct guid){0};
	}
	return id;
}

static unsigned protocol_bit(struct str name)
{
	if (str_eq(name, STR("http"))) {
		return GW_HTTP;
	}
	if (str_eq(name, STR("https"))) {
		return GW_HTTPS;
	}
	if (str_eq(name, STR("grpc"))) {
		return GW_GRPC;
	}
	return str_eq(name, STR("grpcs")) ? GW_GRPCS : GW_STREAM;
}

unsigned compile_protocols(const struct json *v)
{
	const struct json *list = json_get(v, STR("protocols"));
	unsigned bits = 0;

	for (const struct json *e = json_is_null(list) ? NULL : list->child; e; e = e->next) {
		bits |= protocol_bit(json_str(e));
	}
	return bits;
}

/* ---- services ---- */

static enum service_kind service_kind_of(struct str protocol)
{
	if (str_eq(protocol, STR("relay"))) {
		return SERVICE_RELAY;
	}
	if (str_eq(protocol, STR("role"))) {
		return SERVICE_ROLE;
	}
	return protocol_bit(protocol) == GW_STREAM ? SERVICE_STREAM : SERVICE_WEB;
}

static struct str authority_of(struct arena *a, const struct service *s)
{
	if (s->port == (s->tls ? 443 : 80) || s->kind != SERVICE_WEB) {
		return s->pub.host;
	}
	return str_fmt(a, "%.*s:%u", STR_ARG(s->pub.host), s->port);
}

/* "[::1]" and "::1" are both seen in the field. */
static struct str bare_host(struct str host)
{
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
		return str_slice(host, 1, host.n - 2);
	}
	return host;
}

/* Kept as Kong keeps them; nobody shall think that they work. Once for each version. */
static void warn_stream(const struct entity_item *item, const char *collection)
{
	char id[GUID_D_LEN];

	guid_d(&item->id, id);
	log_warn("gateway", "tcp, tls, tls_passthrough and udp are not proxied: it has no effect",
		 LOG_CSTR("entity", collection), LOG_STR("id", str_of(id, sizeof(id))));
}

static void release_service(void *compiled)
{
	struct service *s = compiled;

	balancer_plain_free(&s->plain);
}

enum err service_compile(struct entity_item *item, struct fault *f)
{
	struct arena *a = &item->arena;
	const struct json *v = item->json;
	struct service *s = ARENA_NEW(a, struct service);
	struct str protocol = json_get_str(v, "protocol");
	const struct json *verify = json_get(v, STR("tls_verify"));
	int64_t port = int_of(v, "port", 80);

	if (port < 0 || port > 65535 || json_get_str(v, "host").n == 0) {
		return fault_set(f, ERR_INVALID, "service '%.*s' has no usable host and port",
				 STR_ARG(json_get_str(v, "name")));
	}
	s->pub = (struct gw_service){.id = item->id,
				     .name = json_get_str(v, "name"),
				     .host = json_get_str(v, "host"),
				     .json = v};
	s->pub.log_json = log_record_of_entity(a, v);
	guid_d(&item->id, s->pub.id_text);
	s->kind = service_kind_of(protocol);
	s->tls = str_eq(protocol, STR("https")) || str_eq(protocol, STR("grpcs"));
	s->http2 = str_starts(protocol, STR("grpc"));
	if (s->kind == SERVICE_STREAM) {
		warn_stream(item, "services");
	}
	s->enabled = bool_of(v, "enabled", true);
	s->port = (uint16_t)port;
	s->authority = authority_of(a, s);
	s->path = json_get_str(v, "path");
	if (s->path.n == 0) {
		s->path = STR("/");
	}
	s->connect_ms = (uint32_t)int_of(v, "connect_timeout", 60000);
	s->write_ms = (uint32_t)int_of(v, "write_timeout", 60000);
	s->read_ms = (uint32_t)int_of(v, "read_timeout", 60000);
	s->retries = (unsigned)int_of(v, "retries", 5);
	s->has_addr = addr_from_ip(bare_host(s->pub.host), s->port, &s->addr) == ERR_OK;
	s->tls_verify = (struct opt_bool){!json_is_null(verify), json_bool(verify)};
	s->client_certificate = compile_foreign(v, "client_certificate");
	if (s->kind == SERVICE_WEB && !s->has_addr) {
		s->plain = balancer_plain_new(s->pub.host, s->port);
	}
	item->compiled = s;
	item->compiled_free = release_service;
	return ERR_OK;
}

/* ---- routes ---- */

static const struct router_header *headers_of(struct arena *a, const struct json *map,
					      size_t *out_n)
{
	struct router_header *v;
	size_t n = 0;

	*out_n = 0;
	if (json_is_null(map) || map->n == 0) {
		return NULL;
	}
	v = ARENA_NEW_ARRAY(a, struct router_header, map->n);
	for (const struct json *m = map->child; m; m = m->next) {
		v[n++] = (struct router_header){m->key, strs_of(a, m)};
	}
	*out_n = n;
	return v;
}

enum err route_compile(struct entity_item *item, struct fault *f)
{
	struct arena *a = &item->arena;
	const struct json *v = item->json;
	struct route *r = ARENA_NEW(a, struct route);
	struct router_rule *rule = &r->rule;

	(void)f;
	r->pub = (struct gw_route){.id = item->id, .name = json_get_str(v, "name"), .json = v};
	r->pub.log_json = log_record_of_entity(a, v);
	guid_d(&item->id, r->pub.id_text);
	rule->id = item->id;
	/* When a file was loaded must not decide which of its routes comes first. */
	rule->created_at = item->undated ? INT64_MAX : int_of(v, "created_at", 0);
	rule->methods = strs_of(a, json_get(v, STR("methods")));
	rule->hosts = strs_of(a, json_get(v, STR("hosts")));
	rule->paths = strs_of(a, json_get(v, STR("paths")));
	rule->snis = strs_of(a, json_get(v, STR("snis")));
	rule->headers = headers_of(a, json_get(v, STR("headers")), &rule->n_headers);
	rule->regex_priority = int_of(v, "regex_priority", 0);
	r->service = compile_foreign(v, "service");
	r->traits.protocols = (uint8_t)compile_protocols(v);
	if (r->traits.protocols & GW_STREAM) {
		warn_stream(item, "routes");
	}
	r->traits.redirect_status = (uint16_t)int_of(v, "https_redirect_status_code", 426);
	r->traits.strip_path = bool_of(v, "strip_path", true);
	r->traits.preserve_host = bool_of(v, "preserve_host", false);
	r->traits.request_buffering = bool_of(v, "request_buffering", true);
	r->traits.response_buffering = bool_of(v, "response_buffering", true);
	item->compiled = r;
	return ERR_OK;
}

/* ---- plugins ---- */

static void release_plugin(void *compiled)
{
	struct plugin_instance *p = compiled;

	if (p->plugin->release) {
		p->plugin->release(p->host, p);
	}
}

/* What is stored stays the reference; the secret is in the compiled configuration only. */
static enum err configure(struct plugin_instance *p, const struct vaults *vaults,
			  const struct json *stored, struct fault *f)
{
	const struct json *config = NULL;

	TRY(vault_resolve_all(p->arena, vaults, p->plugin->config, stored, &config, f));
	config = schema_in_use(p->arena, p->plugin->config, config);
	schema_decode(p->arena, p->plugin->config, config, p->config);
	return p->plugin->compile ? p->plugin->compile(p->host, p, f) : ERR_OK;
}

enum err plugin_compile(struct plugin_host *host, const struct vaults *vaults,
			struct entity_item *item, struct fault *f)
{
	struct arena *a = &item->arena;
	const struct json *v = item->json;
	struct str name = json_get_str(v, "name");
	struct plugin_instance *p = ARENA_NEW(a, struct plugin_instance);
	enum err e;

	p->plugin = plugin_find(name);
	if (!p->plugin) {
		return fault_set(f, ERR_INVALID, "plugin '%.*s' is not built", STR_ARG(name));
	}
	while (plugins[p->index] != p->plugin) {
		p->index++;
	}
	p->host = host;
	p->arena = a;
	p->id = item->id;
	guid_d(&item->id, p->id_text);
	p->route = compile_foreign(v, "route");
	p->service = compile_foreign(v, "service");
	p->consumer = compile_foreign(v, "consumer");
	p->global = guid_is_nil(&p->route) && guid_is_nil(&p->service) && guid_is_nil(&p->consumer);
	p->protocols = compile_protocols(v);
	p->enabled = bool_of(v, "enabled", true);
	p->state = plugin_host_state(host, p->plugin);
	p->config = arena_zalloc(a, MAX(p->plugin->config_size, 1));
	item->compiled = p;
	e = configure(p, vaults, json_get(v, STR("config")), f);
	if (e != ERR_OK) {
		/* It may be what guards the route: better closed than open. */
		p->broken = true;
		return e;
	}
	item->compiled_free = release_plugin;
	return ERR_OK;
}
