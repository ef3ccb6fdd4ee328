/* request-size-limiting - refuses bodies that are too large */
#include "gateway/plugins/fields.h"

struct config {
	int64_t allowed_payload_size;
	struct str size_unit;
	bool require_content_length;
	uint64_t max; /* compiled: bytes */
};

static const char *const units[] = {"megabytes", "kilobytes", "bytes", NULL};

static const struct schema_field fields[] = {
	{.name = "allowed_payload_size",
	 FIELD(INTEGER, INT, allowed_payload_size),
	 .dflt = "128",
	 .doc = "Largest body that may pass."},
	{.name = "size_unit",
	 FIELD(STRING, STR, size_unit),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "\"megabytes\"",
	 .one_of = units,
	 .doc = "Unit of it; a megabyte is 2^20 bytes."},
	{.name = "require_content_length",
	 FIELD(BOOLEAN, BOOL, require_content_length),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Refuses bodies of unknown length with 411 instead of counting them."},
};

static const struct schema schema = {SCHEMA_OF("request-size-limiting", fields)};

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;
	uint64_t unit = 1;

	(void)h;
	(void)f;
	if (str_eq(k->size_unit, STR("megabytes"))) {
		unit = 1 << 20;
	} else if (str_eq(k->size_unit, STR("kilobytes"))) {
		unit = 1 << 10;
	}
	k->max = k->allowed_payload_size <= 0 ? 0 : (uint64_t)k->allowed_payload_size;
	k->max = k->max > UINT64_MAX / unit ? UINT64_MAX : k->max * unit;
	return ERR_OK;
}

static enum plugin_verdict on_access(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	const struct http_request *r = call_request(c);

	/* A chunked body that another plugin wants whole is there already. */
	if ((r->framing == HTTP_BODY_LENGTH && r->content_length > k->max) ||
	    call_body(c).n > k->max) {
		call_error(c, r->expect_continue ? 417 : 413, STR("Request size limit exceeded"));
		return PLUGIN_ANSWERED;
	}
	if (r->framing == HTTP_BODY_CHUNKED) {
		if (k->require_content_length) {
			call_error(c, 411, STR("A valid Content-Length header is required"));
			return PLUGIN_ANSWERED;
		}
		call_limit_body(c, k->max);
	}
	return PLUGIN_NEXT;
}

static const char example[] =
	"    curl -X POST localhost:8001/services/uploads/plugins -d name=request-size-limiting "
	"\\\n"
	"      -d config.allowed_payload_size=10\n"
	"\n"
	"    head -c 20M /dev/zero | curl -i -H 'Content-Type: text/plain' --data-binary @- \\\n"
	"      localhost:8000/uploads    # 413 Request size limit exceeded\n"
	"\n"
	"A body that says its length is refused at once. One that does not is counted while it is\n"
	"passed on, and cut off with 413 where it gets too large; the service sees a request that\n"
	"breaks off.\n";

const struct plugin plugin_request_size_limiting = {
	.name = "request-size-limiting",
	.priority = 951,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Refuses requests whose body is too large.",
	.example = example,
	.compile = compile,
	.access = on_access,
};
