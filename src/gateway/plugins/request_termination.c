/* request-termination - answers in place of the service */
#include "gateway/plugins/fields.h"
#include "gateway/plugins/params.h"

struct config {
	int64_t status_code;
	struct str message, content_type, body;
	bool echo;
	struct str trigger;
	struct str answer; /* compiled: the JSON without `body` and `echo` */
};

static const struct schema_field fields[] = {
	{.name = "status_code",
	 FIELD(INTEGER, INT, status_code),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "503",
	 .has_range = true,
	 .min = 200,
	 .max = 599,
	 .doc = "Status of the answer."},
	{.name = "message",
	 FIELD(STRING, STR, message),
	 .doc = "Text in `{\"message\": …}`; without it the usual one of the status."},
	{.name = "echo",
	 FIELD(BOOLEAN, BOOL, echo),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Answers with a description of the request."},
	{.name = "content_type",
	 FIELD(STRING, STR, content_type),
	 .check = field_check_header_value,
	 .doc = "Content-Type of `body`."},
	{.name = "body",
	 FIELD(STRING, STR, body),
	 .doc = "The whole body of the answer, instead of a message."},
	{.name = "trigger",
	 FIELD(STRING, STR, trigger),
	 .check = field_check_header_name,
	 .doc = "Name of a header or query parameter; requests without it pass."},
};

static const struct schema_rule rules[] = {
	{.kind = SCHEMA_ONLY_ONE_OF, .fields = {"message", "content_type"}},
	{.kind = SCHEMA_ONLY_ONE_OF, .fields = {"message", "body"}},
};

static const struct schema schema = {SCHEMA_OF("request-termination", fields), RULES_OF(rules)};

static struct str usual_message(int64_t status)
{
	static const struct {
		int64_t status;
		const char *message;
	} texts[] = {
		{401, "Unauthorized"},	     {404, "Not found"},
		{405, "Method not allowed"}, {500, "An unexpected error occurred"},
		{502, "Bad Gateway"},	     {503, "Service unavailable"},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].status == status) {
			return str_c(texts[i].message);
		}
	}
	return STR_NULL;
}

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);
	struct str message = k->message.p ? k->message : usual_message(k->status_code);

	(void)h;
	(void)f;
	json_begin_object(&w);
	if (message.p) {
		json_key(&w, STR("message"));
		json_put_str(&w, message);
	}
	json_end_object(&w);
	k->answer = str_dup(p->arena, buf_str(&b));
	buf_free(&b);
	if (k->body.p && !k->content_type.p) {
		k->content_type = STR("application/json; charset=utf-8");
	}
	return ERR_OK;
}

static bool is_triggered(struct gw_call *c, const struct config *k)
{
	struct params query;
	struct str value;

	if (!k->trigger.p || http_header_get(call_headers(c), k->trigger).p) {
		return true;
	}
	params_parse(call_arena(c), call_request(c)->query, &query);
	return params_get(&query, k->trigger, &value) > 0;
}

static void put_member(struct json_writer *w, struct str name, struct str value)
{
	json_key(w, name);
	json_put_str_or_null(w, value);
}

static void put_entity(struct json_writer *w, struct str name, struct str id, struct str entity)
{
	json_key(w, name);
	json_begin_object(w);
	put_member(w, STR("id"), id);
	put_member(w, STR("name"), entity);
	json_end_object(w);
}

static void put_request(struct json_writer *w, struct gw_call *c)
{
	const struct http_request *r = call_request(c);
	const struct http_headers *h = call_shown_headers(c);

	json_key(w, STR("request"));
	json_begin_object(w);
	put_member(w, STR("scheme"), call_is_tls(c) ? STR("https") : STR("http"));
	put_member(w, STR("host"), r->authority);
	put_member(w, STR("method"), r->method_text);
	put_member(w, STR("path"), call_path(c));
	put_member(w, STR("query"), r->query);
	json_key(w, STR("headers"));
	json_begin_array(w);
	for (size_t i = 0; i < h->n; i++) {
		json_begin_object(w);
		put_member(w, STR("name"), h->v[i].name);
		put_member(w, STR("value"), h->v[i].value);
		json_end_object(w);
	}
	json_end_array(w);
	json_end_object(w);
}

static void answer_echo(struct gw_call *c, const struct config *k)
{
	const struct gw_route *route = call_route(c);
	const struct gw_service *service = call_service(c);
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	json_begin_object(&w);
	put_member(&w, STR("message"), k->message);
	put_request(&w, c);
	if (route) {
		put_entity(&w, STR("matched_route"), str_of(route->id_text, GUID_D_LEN),
			   route->name);
	}
	if (service) {
		put_entity(&w, STR("matched_service"), str_of(service->id_text, GUID_D_LEN),
			   service->name);
	}
	json_end_object(&w);
	call_answer_json(c, (int)k->status_code, str_dup(call_arena(c), buf_str(&b)));
	buf_free(&b);
}

static enum plugin_verdict on_access(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;

	if (!is_triggered(c, k)) {
		return PLUGIN_NEXT;
	}
	if (k->echo) {
		answer_echo(c, k);
	} else if (k->body.p) {
		call_answer(c, &(struct call_answer){.status = (int)k->status_code,
						     .content_type = k->content_type,
						     .body = k->body});
	} else {
		call_answer_json(c, (int)k->status_code, k->answer);
	}
	return PLUGIN_ANSWERED;
}

static const char example[] =
	"A service in maintenance:\n"
	"\n"
	"    curl -X POST localhost:8001/services/orders/plugins -d name=request-termination \\\n"
	"      -d config.status_code=503 -d config.message='Back at noon'\n"
	"\n"
	"    curl -i localhost:8000/orders    # 503 {\"message\":\"Back at noon\"}\n";

const struct plugin plugin_request_termination = {
	.name = "request-termination",
	.priority = 2,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Answers requests in place of the service.",
	.example = example,
	.compile = compile,
	.access = on_access,
};
