/* correlation-id - a header that names a request in the logs of all that it passes through */
#include "gateway/plugins/fields.h"

#include "base/mem.h"

#include <stdatomic.h>

struct config {
	struct str header_name, generator;
	bool echo_downstream;
	bool has_counter; /* compiled */
};

static const char *const generators[] = {"uuid", "uuid#counter", "tracker", NULL};

static const struct schema_field fields[] = {
	{.name = "header_name",
	 FIELD(STRING, STR, header_name),
	 .dflt = "\"Kong-Request-ID\"",
	 .check = field_check_header_name,
	 .doc = "Name of the header; a value that the client sent is kept."},
	{.name = "generator",
	 FIELD(STRING, STR, generator),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "\"uuid#counter\"",
	 .one_of = generators,
	 .doc = "`uuid`: random; `uuid#counter`: one of the process and a number that counts up; "
		"`tracker` is refused: not built."},
	{.name = "echo_downstream",
	 FIELD(BOOLEAN, BOOL, echo_downstream),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Tells the client, too."},
};

static void check_generator(struct arena *a, const struct schema_rule *rule, const struct json *v,
			    struct schema_errors *errors)
{
	(void)a;
	(void)rule;
	if (str_eq(json_str(json_get(v, STR("generator"))), STR("tracker"))) {
		schema_error_at(errors, "generator", "'tracker' is not built; use 'uuid#counter'");
	}
}

static const struct schema_rule rules[] = {{.kind = SCHEMA_CUSTOM, .check = check_generator}};
static const struct schema schema = {SCHEMA_OF("correlation-id", fields), RULES_OF(rules)};

struct state {
	char uuid[GUID_D_LEN];
	_Atomic uint64_t counter;
};

static void *state_new(struct plugin_host *h)
{
	struct state *s = MEM_NEW(struct state);
	struct guid id = guid_new();

	(void)h;
	guid_d(&id, s->uuid);
	return s;
}

static void state_free(void *state)
{
	mem_free(state);
}

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;

	(void)h;
	if (str_eq(k->generator, STR("tracker"))) {
		return fault_set(f, ERR_INVALID, "config.generator: 'tracker' is not built");
	}
	if (!k->header_name.p) {
		k->header_name = STR("Kong-Request-ID");
	}
	k->has_counter = str_eq(k->generator, STR("uuid#counter"));
	return ERR_OK;
}

static struct str make(struct gw_call *c, const struct config *k, struct state *s)
{
	struct guid id;

	if (k->has_counter) {
		return str_fmt(call_arena(c), "%.*s#%llu", GUID_D_LEN, s->uuid,
			       (unsigned long long)atomic_fetch_add_explicit(&s->counter, 1,
									     memory_order_relaxed) +
				       1);
	}
	id = guid_new();
	return guid_d_str(call_arena(c), &id);
}

static enum plugin_verdict on_access(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	struct str id = http_header_get(&call_request(c)->headers, k->header_name);

	if (id.n == 0) {
		id = make(c, k, p->state);
		http_header_set(call_arena(c), call_headers(c), k->header_name, id);
	}
	if (k->echo_downstream) {
		call_set_answer_header(c, k->header_name, id);
	}
	return PLUGIN_NEXT;
}

static bool edits(const struct plugin_instance *p, enum plugin_side to, struct str name)
{
	const struct config *k = p->config;

	return to == PLUGIN_TO_SERVICE && str_eq_nocase(name, k->header_name);
}

static const char example[] =
	"    curl -X POST localhost:8001/plugins -d name=correlation-id \\\n"
	"      -d config.header_name=X-Request-ID -d config.generator=uuid \\\n"
	"      -d config.echo_downstream=true\n"
	"\n"
	"    curl -i localhost:8000/orders | grep -i x-request-id\n"
	"    X-Request-ID: 6f1c2a52-6c2e-4cb4-8d3a-2f0e5c5c1a11\n";

const struct plugin plugin_correlation_id = {
	.name = "correlation-id",
	.priority = 100001,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Gives each request a header that names it.",
	.example = example,
	.compile = compile,
	.access = on_access,
	.edits = edits,
	.state_new = state_new,
	.state_free = state_free,
};
