/* redirect - answers with another place */
#include "gateway/plugins/fields.h"

#include "http/uri.h"

struct config {
	int64_t status_code;
	struct str location;
	bool keep_incoming_path;
	struct str origin; /* compiled: "https://host:port" */
};

static const struct schema_field fields[] = {
	{.name = "status_code",
	 FIELD(INTEGER, INT, status_code),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "301",
	 .has_range = true,
	 .min = 200,
	 .max = 599,
	 .doc = "Status of the answer."},
	{.name = "location",
	 FIELD(STRING, STR, location),
	 .flags = SCHEMA_REQUIRED,
	 .check = field_check_url,
	 .doc = "Where to: an absolute URL."},
	{.name = "keep_incoming_path",
	 FIELD(BOOLEAN, BOOL, keep_incoming_path),
	 .dflt = "false",
	 .doc = "Takes path and query from the request instead."},
};

static const struct schema schema = {SCHEMA_OF("redirect", fields)};

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;
	struct uri uri;

	(void)h;
	TRY(uri_parse(k->location, &uri, f));
	k->origin = uri_origin(p->arena, &uri);
	return ERR_OK;
}

static enum plugin_verdict on_access(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	const struct http_request *r = call_request(c);
	struct str to = k->location;

	if (k->keep_incoming_path) {
		to = str_fmt(call_arena(c), "%.*s%.*s%s%.*s", STR_ARG(k->origin), STR_ARG(r->path),
			     r->query.p ? "?" : "", STR_ARG(r->query));
	}
	call_add_answer_header(c, STR("Location"), to);
	call_answer(c, &(struct call_answer){.status = (int)k->status_code,
					     .content_type = STR("text/plain; charset=utf-8"),
					     .body = STR("redirecting")});
	return PLUGIN_ANSWERED;
}

static const char example[] =
	"    curl -X POST localhost:8001/routes/old/plugins -d name=redirect \\\n"
	"      -d config.location=https://new.example.com -d config.keep_incoming_path=true\n"
	"\n"
	"    curl -i 'localhost:8000/old/page?x=1'\n"
	"    HTTP/1.1 301 Moved Permanently\n"
	"    Location: https://new.example.com/old/page?x=1\n";

const struct plugin plugin_redirect = {
	.name = "redirect",
	.priority = 779,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Answers with another place.",
	.example = example,
	.compile = compile,
	.access = on_access,
};
