/*
 * cors - tells browsers which other origins may read answers (Fetch standard)
 *
 * Preflight requests are answered here, before authentication: they carry no credentials.
 */
#include "gateway/plugins/fields.h"
#include "gateway/plugins/origins.h"

struct config {
	struct schema_strs origins, headers, exposed_headers, methods;
	struct opt_num max_age;
	bool credentials;
	bool private_network;
	bool preflight_continue;
	bool allow_origin_absent;
	/* compiled */
	bool is_any;	 /* "*", or no origins */
	struct str only; /* the one literal origin; p NULL = look at the list */
	const struct origins *list;
	struct str headers_text, exposed_text, methods_text, max_age_text;
};

static const char *const method_names[] = {"GET",    "HEAD",	"PUT",	 "PATCH",   "POST",
					   "DELETE", "OPTIONS", "TRACE", "CONNECT", NULL};
static const struct schema_field field_method = {.type = SCHEMA_STRING, .one_of = method_names};

static enum err check_origin(struct arena *a, const struct schema_field *field,
			     const struct json *v, struct fault *f)
{
	struct str text = json_str(v);
	const struct origins *list;

	(void)field;
	if (str_eq(text, STR("*"))) {
		return ERR_OK;
	}
	return origins_make(a, &text, 1, &list, f);
}
static const struct schema_field field_origin = {.type = SCHEMA_STRING, .check = check_origin};

static const struct schema_field fields[] = {
	{.name = "origins",
	 FIELD(ARRAY, STRS, origins),
	 .elements = &field_origin,
	 .doc = "Who may read answers: `*`, origins, or regexes that match a whole origin."},
	{.name = "headers",
	 FIELD(ARRAY, STRS, headers),
	 .elements = &field_header_name,
	 .doc = "Access-Control-Allow-Headers; without it what the browser asks for."},
	{.name = "exposed_headers",
	 FIELD(ARRAY, STRS, exposed_headers),
	 .elements = &field_header_name,
	 .doc = "Access-Control-Expose-Headers: what scripts may read of an answer."},
	{.name = "methods",
	 FIELD(ARRAY, STRS, methods),
	 .dflt = "[\"GET\",\"HEAD\",\"PUT\",\"PATCH\",\"POST\",\"DELETE\",\"OPTIONS\",\"TRACE\","
		 "\"CONNECT\"]",
	 .elements = &field_method,
	 .doc = "Access-Control-Allow-Methods."},
	{.name = "max_age",
	 FIELD(NUMBER, OPT_NUM, max_age),
	 .doc = "Seconds that a browser may keep the answer to a preflight request."},
	{.name = "credentials",
	 FIELD(BOOLEAN, BOOL, credentials),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Lets browsers send cookies and credentials."},
	{.name = "private_network",
	 FIELD(BOOLEAN, BOOL, private_network),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Lets pages of public sites reach a private network."},
	{.name = "preflight_continue",
	 FIELD(BOOLEAN, BOOL, preflight_continue),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Leaves preflight requests to the service."},
	{.name = "allow_origin_absent",
	 FIELD(BOOLEAN, BOOL, allow_origin_absent),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "true",
	 .doc = "Also tells requests without an Origin."},
};

static const struct schema schema = {SCHEMA_OF("cors", fields)};

/* ---- compiling ---- */

static struct str join(struct arena *a, struct schema_strs list)
{
	struct buf b = {0};
	struct str out;

	for (size_t i = 0; i < list.n; i++) {
		if (i > 0) {
			buf_putc(&b, ',');
		}
		buf_put(&b, list.v[i]);
	}
	out = b.n > 0 ? str_dup(a, buf_str(&b)) : STR_NULL;
	buf_free(&b);
	return out;
}

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;

	(void)h;
	k->headers_text = join(p->arena, k->headers);
	k->exposed_text = join(p->arena, k->exposed_headers);
	k->methods_text = join(p->arena, k->methods);
	if (k->max_age.has) {
		k->max_age_text = str_fmt(p->arena, "%.14g", k->max_age.v);
	}
	k->is_any = k->origins.n == 0 || (k->origins.n == 1 && str_eq(k->origins.v[0], STR("*")));
	if (k->is_any) {
		return ERR_OK;
	}
	if (k->origins.n == 1 && origins_is_literal(k->origins.v[0])) {
		k->only = k->origins.v[0];
		return ERR_OK;
	}
	for (size_t i = 0; i < k->origins.n; i++) {
		if (str_eq(k->origins.v[i], STR("*"))) {
			k->is_any = true; /* `*` among others allows all */
			return ERR_OK;
		}
	}
	return origins_make(p->arena, k->origins.v, k->origins.n, &k->list, f);
}

/* ---- requests ---- */

static struct str request_header(const struct gw_call *c, struct str name)
{
	return http_header_get(&call_request(c)->headers, name);
}

static bool is_preflight(const struct gw_call *c)
{
	return call_request(c)->method == HTTP_OPTIONS && request_header(c, STR("origin")).n > 0 &&
	       request_header(c, STR("access-control-request-method")).n > 0;
}

/* What Access-Control-Allow-Origin says; p NULL = nothing. */
struct grant {
	struct str origin;
	bool varies; /* depends on the request's Origin */
};

static struct grant grant_of(struct gw_call *c, const struct config *k)
{
	struct str origin = request_header(c, STR("origin"));

	if (k->is_any && !k->credentials) {
		return (struct grant){STR("*"), false};
	}
	if (k->is_any) {
		/* `*` and credentials exclude each other: browsers want the origin itself. */
		return (struct grant){origin.n > 0 ? origin : STR("*"), true};
	}
	if (k->only.p) {
		return (struct grant){k->only, true};
	}
	if (origins_has(k->list, call_arena(c), origin)) {
		return (struct grant){origin, true};
	}
	return (struct grant){STR_NULL, true};
}

static bool may_have_credentials(const struct config *k, const struct grant *g)
{
	return k->credentials && g->origin.p && !str_eq(g->origin, STR("*"));
}

static void answer_preflight(struct gw_call *c, const struct config *k)
{
	struct grant g = grant_of(c, k);
	struct str headers = k->headers_text.p
				     ? k->headers_text
				     : request_header(c, STR("access-control-request-headers"));

	if (g.origin.p) {
		call_add_answer_header(c, STR("Access-Control-Allow-Origin"), g.origin);
	}
	if (g.varies) {
		call_add_answer_header(c, STR("Vary"), STR("Origin"));
	}
	if (may_have_credentials(k, &g)) {
		call_add_answer_header(c, STR("Access-Control-Allow-Credentials"), STR("true"));
	}
	if (headers.n > 0) {
		call_add_answer_header(c, STR("Access-Control-Allow-Headers"), headers);
	}
	call_add_answer_header(c, STR("Access-Control-Allow-Methods"), k->methods_text);
	if (k->max_age_text.p) {
		call_add_answer_header(c, STR("Access-Control-Max-Age"), k->max_age_text);
	}
	if (k->private_network &&
	    str_eq(request_header(c, STR("access-control-request-private-network")), STR("true"))) {
		call_add_answer_header(c, STR("Access-Control-Allow-Private-Network"), STR("true"));
	}
	call_answer(c, &(struct call_answer){.status = 200});
}

static enum plugin_verdict on_access(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;

	if (k->preflight_continue || !is_preflight(c)) {
		return PLUGIN_NEXT;
	}
	answer_preflight(c, k);
	return PLUGIN_ANSWERED;
}

static void on_response_head(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	struct http_headers *h = call_answer_headers(c);
	struct arena *a = call_arena(c);
	struct grant g;

	if (is_preflight(c) ||
	    (!k->allow_origin_absent && request_header(c, STR("origin")).n == 0)) {
		return;
	}
	g = grant_of(c, k);
	http_header_remove(h, STR("Access-Control-Allow-Origin"));
	if (g.origin.p) {
		http_header_add(a, h, STR("Access-Control-Allow-Origin"), g.origin);
	}
	if (g.varies && !http_list_has(http_header_get(h, STR("Vary")), STR("Origin"))) {
		http_header_add(a, h, STR("Vary"), STR("Origin"));
	}
	if (may_have_credentials(k, &g)) {
		http_header_set(a, h, STR("Access-Control-Allow-Credentials"), STR("true"));
	}
	if (k->exposed_text.p) {
		http_header_set(a, h, STR("Access-Control-Expose-Headers"), k->exposed_text);
	}
}

static bool edits(const struct plugin_instance *p, enum plugin_side to, struct str name)
{
	(void)p;
	return to == PLUGIN_TO_CLIENT && str_starts_nocase(name, STR("access-control-"));
}

static const char example[] =
	"    curl -X POST localhost:8001/services/orders/plugins -H 'Content-Type: "
	"application/json' -d '{\n"
	"      \"name\": \"cors\",\n"
	"      \"config\": {\"origins\": [\"https://app.example.com\",\n"
	"                             \"https://[a-z0-9-]+\\\\.example\\\\.org\"],\n"
	"                 \"credentials\": true, \"max_age\": 3600}}'\n"
	"\n"
	"    curl -i -X OPTIONS localhost:8000/orders -H 'Origin: https://x.example.org' \\\n"
	"      -H 'Access-Control-Request-Method: PUT'\n"
	"    HTTP/1.1 200 OK\n"
	"    Access-Control-Allow-Origin: https://x.example.org\n"
	"    Vary: Origin\n"
	"    Access-Control-Allow-Credentials: true\n"
	"\n"
	"A regex must match the whole origin, with or without its default port. A dot in it is "
	"any\n"
	"character: write `\\.`. `*` with `credentials` lets every site act as the user: name the\n"
	"origins instead.\n";

const struct plugin plugin_cors = {
	.name = "cors",
	.priority = 2000,
	.scopes = PLUGIN_NO_CONSUMER,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Tells browsers which other origins may read answers.",
	.example = example,
	.compile = compile,
	.access = on_access,
	.response_head = on_response_head,
	.edits = edits,
};
