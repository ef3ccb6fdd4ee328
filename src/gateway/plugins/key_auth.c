/*
 * key-auth - who a client is, by a key of its consumer
 *
 * A key is found by its keyed hash (call_find_credential), so the time of a lookup tells
 * nothing about the bytes of a key that exists.
 */
#include "gateway/plugins/auth.h"
#include "gateway/plugins/fields.h"
#include "gateway/plugins/media.h"
#include "gateway/plugins/params.h"

struct config {
	struct schema_strs key_names;
	bool hide_credentials;
	struct str anonymous;
	bool key_in_header;
	bool key_in_query;
	bool key_in_body;
	bool run_on_preflight;
	struct str realm;
	struct str challenge; /* compiled */
};

static const struct schema_field fields[] = {
	{.name = "key_names",
	 FIELD(ARRAY, STRS, key_names),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "[\"apikey\"]",
	 .elements = &field_header_name,
	 .doc = "Names under which a key may come, in the order in which they are tried."},
	{.name = "hide_credentials",
	 FIELD(BOOLEAN, BOOL, hide_credentials),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Takes keys out of the request before the service gets it, of all names and "
		"wherever "
		"they are looked for."},
	{.name = "anonymous",
	 FIELD(STRING, STR, anonymous),
	 .doc = "Id or username of the consumer as whom a client without a valid key goes on."},
	{.name = "key_in_header",
	 FIELD(BOOLEAN, BOOL, key_in_header),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "true",
	 .doc = "Looks for the key in headers."},
	{.name = "key_in_query",
	 FIELD(BOOLEAN, BOOL, key_in_query),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "true",
	 .doc = "Looks for the key in the query string."},
	{.name = "key_in_body",
	 FIELD(BOOLEAN, BOOL, key_in_body),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Looks for the key in a JSON, form or multipart body, which is then read whole "
		"before the service gets it."},
	{.name = "run_on_preflight",
	 FIELD(BOOLEAN, BOOL, run_on_preflight),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "true",
	 .doc = "Whether OPTIONS requests need a key, too."},
	{.name = "realm",
	 FIELD(STRING, STR, realm),
	 .check = field_check_header_value,
	 .doc = "Realm in WWW-Authenticate of a refusal; without it there is none."},
};

static const struct schema schema = {SCHEMA_OF("key-auth", fields)};

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;

	(void)h;
	(void)f;
	k->challenge = auth_challenge(p->arena, "Key", k->realm);
	if (k->key_in_body) {
		p->needs |= PLUGIN_NEEDS_BODY;
	}
	return ERR_OK;
}

enum place { IN_HEADER, IN_QUERY, IN_BODY };

struct search {
	const struct config *config;
	struct arena arena;	  /* of what is looked through */
	bool has_query, has_body; /* the two below were parsed */
	enum err body_is;	  /* as of media_parse */
	struct params query;
	struct media body;
	struct str key; /* found */
};

static size_t find_in_headers(const struct gw_call *c, struct str name, struct str *out)
{
	const struct http_headers *h = &call_request(c)->headers;
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++) {
		if (str_eq_nocase(h->v[i].name, name) && n++ == 0) {
			*out = h->v[i].value;
		}
	}
	return n;
}

static size_t find_in_query(struct gw_call *c, struct search *s, struct str name, struct str *out)
{
	if (!s->has_query) {
		s->has_query = true;
		params_parse(&s->arena, call_request(c)->query, &s->query);
	}
	return params_get(&s->query, name, out);
}

/* False: it is none that we can read. */
static bool parse_body(struct gw_call *c, struct search *s)
{
	if (!s->has_body) {
		struct str type = http_header_get(call_headers(c), STR("content-type"));

		s->has_body = true;
		s->body_is = media_parse(&s->arena, type, call_body(c), &s->body);
	}
	return s->body_is == ERR_OK;
}

static size_t find_at(struct gw_call *c, struct search *s, enum place place, struct str name,
		      struct str *out)
{
	const struct config *k = s->config;

	switch (place) {
	case IN_HEADER:
		return k->key_in_header ? find_in_headers(c, name, out) : 0;
	case IN_QUERY:
		return k->key_in_query ? find_in_query(c, s, name, out) : 0;
	case IN_BODY:
		return k->key_in_body && parse_body(c, s) ? media_get(&s->body, name, out) : 0;
	}
	return 0;
}

/* Number of values at the first place that has any. */
static size_t find_key(struct gw_call *c, struct search *s)
{
	for (size_t i = 0; i < s->config->key_names.n; i++) {
		struct str name = s->config->key_names.v[i];

		for (enum place place = IN_HEADER; place <= IN_BODY; place++) {
			struct str key = STR_NULL;
			size_t n = find_at(c, s, place, name, &key);

			if (n > 0) {
				s->key = key;
				return n;
			}
		}
	}
	return 0;
}

static void hide_in_query(struct gw_call *c, const struct schema_strs *names)
{
	struct params query;
	size_t n = 0;

	params_parse(call_arena(c), call_upstream_query(c), &query);
	for (size_t i = 0; i < names->n; i++) {
		n += params_remove(&query, names->v[i]);
	}
	if (n > 0) {
		call_set_upstream_query(c, params_write(call_arena(c), &query));
	}
}

/* False: there may be a key in what we cannot read. */
static bool hide_in_body(struct gw_call *c, struct search *s)
{
	const struct schema_strs *names = &s->config->key_names;
	size_t n = 0;

	if (!parse_body(c, s)) {
		return s->body_is == ERR_NOT_FOUND || call_body(c).n == 0;
	}
	for (size_t i = 0; i < names->n; i++) {
		n += media_remove(&s->body, names->v[i]);
	}
	if (n > 0) {
		call_set_body(c, media_write(call_arena(c), &s->body));
	}
	return true;
}

/* Also where it was not found first: a client may send its key twice. */
static bool hide_keys(struct gw_call *c, struct search *s)
{
	const struct config *k = s->config;

	for (size_t i = 0; k->key_in_header && i < k->key_names.n; i++) {
		http_header_remove(call_headers(c), k->key_names.v[i]);
	}
	if (k->key_in_query) {
		hide_in_query(c, &k->key_names);
	}
	return !k->key_in_body || hide_in_body(c, s);
}

/* Of a type in which there may be a key. */
static bool wants_body(const struct plugin_instance *p, const struct http_headers *head)
{
	(void)p;
	return media_kind_of(http_header_get(head, STR("content-type"))) != MEDIA_OTHER;
}

static enum plugin_verdict authenticate(struct gw_call *c, struct search *s)
{
	const struct config *k = s->config;
	const struct gw_credential *found;
	size_t n = find_key(c, s);

	if (n == 0 || s->key.n == 0) {
		return auth_fail(c, k->anonymous, STR("No API key found in request"), k->challenge);
	}
	if (n > 1) {
		return auth_fail(c, k->anonymous, STR("Duplicate API key found"), k->challenge);
	}
	if (k->hide_credentials && !hide_keys(c, s)) {
		call_error(c, 400, STR("Cannot parse the request body"));
		return PLUGIN_ANSWERED;
	}
	found = call_find_credential(c, GW_KEY_AUTH, s->key);
	if (!found || !call_authenticate(c, found)) {
		return auth_fail(c, k->anonymous, STR("Unauthorized"), k->challenge);
	}
	return PLUGIN_NEXT;
}

static enum plugin_verdict on_access(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	struct search s = {.config = k};
	enum plugin_verdict verdict;

	if ((!k->run_on_preflight && call_request(c)->method == HTTP_OPTIONS) ||
	    auth_is_done(c, k->anonymous)) {
		return PLUGIN_NEXT;
	}
	arena_init(&s.arena, 0);
	verdict = authenticate(c, &s);
	arena_fini(&s.arena);
	return verdict;
}

static bool edits(const struct plugin_instance *p, enum plugin_side to, struct str name)
{
	const struct config *k = p->config;

	for (size_t i = 0; to == PLUGIN_TO_SERVICE && k->hide_credentials && i < k->key_names.n;
	     i++) {
		if (str_eq_nocase(name, k->key_names.v[i])) {
			return true;
		}
	}
	return false;
}

static const char example[] =
	"    curl -X POST localhost:8001/services/orders/plugins \\\n"
	"      -d name=key-auth -d 'config.key_names[]=apikey' -d config.hide_credentials=true\n"
	"    curl -X POST localhost:8001/consumers -d username=alice\n"
	"    curl -X POST localhost:8001/consumers/alice/key-auth -d key=open-sesame\n"
	"\n"
	"    curl -i localhost:8000/orders                          # 401, WWW-Authenticate: Key\n"
	"    curl -i localhost:8000/orders -H 'apikey: open-sesame' # 200\n"
	"\n"
	"The service sees who it was in `X-Consumer-ID`, `X-Consumer-Username`,\n"
	"`X-Consumer-Custom-ID` and `X-Credential-Identifier`; what a client sends under these\n"
	"names, in any spelling, is removed.\n"
	"\n"
	"With `hide_credentials` and `key_in_body` a body of these types in which a key cannot be\n"
	"looked for (it cannot be parsed, or has more than 100,000 names) is answered 400\n"
	"`Cannot parse the request body`.\n";

const struct plugin plugin_key_auth = {
	.name = "key-auth",
	.priority = 1250,
	.scopes = PLUGIN_NO_CONSUMER,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Lets in clients that show a key of a consumer.",
	.example = example,
	.compile = compile,
	.wants_body = wants_body,
	.access = on_access,
	.edits = edits,
};
