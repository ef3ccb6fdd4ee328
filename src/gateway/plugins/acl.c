/* acl - lets consumers pass by the groups they are in */
#include "gateway/plugins/auth.h"
#include "gateway/plugins/fields.h"

#include <stdlib.h>

struct config {
	struct schema_strs allow, deny; /* sorted by compile */
	bool hide_groups_header;
	bool always_use_authenticated_groups;
};

static const struct schema_field fields[] = {
	{.name = "allow",
	 FIELD(ARRAY, STRS, allow),
	 .elements = &field_any_string,
	 .doc = "Groups that may pass; all others are refused."},
	{.name = "deny",
	 FIELD(ARRAY, STRS, deny),
	 .elements = &field_any_string,
	 .doc = "Groups that are refused; all others may pass."},
	{.name = "hide_groups_header",
	 FIELD(BOOLEAN, BOOL, hide_groups_header),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Does not tell the service the groups of the consumer."},
	{.name = "always_use_authenticated_groups",
	 FIELD(BOOLEAN, BOOL, always_use_authenticated_groups),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Prefers groups that an authentication plugin found to those of the consumer; "
		"no plugin that finds such groups is built."},
};

static const struct schema_rule rules[] = {
	{.kind = SCHEMA_ONLY_ONE_OF, .fields = {"allow", "deny"}},
	{.kind = SCHEMA_AT_LEAST_ONE_OF, .fields = {"allow", "deny"}},
};

static const struct schema schema = {SCHEMA_OF("acl", fields), RULES_OF(rules)};

static int compare(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static struct schema_strs sorted(struct arena *a, struct schema_strs in)
{
	struct str *v;

	if (in.n == 0) {
		return in;
	}
	v = ARENA_NEW_ARRAY(a, struct str, in.n);
	memcpy(v, in.v, in.n * sizeof(*v));
	qsort(v, in.n, sizeof(*v), compare);
	return (struct schema_strs){v, in.n};
}

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;

	(void)h;
	(void)f;
	k->allow = sorted(p->arena, k->allow);
	k->deny = sorted(p->arena, k->deny);
	return ERR_OK;
}

/* Both are sorted. */
static bool have_common(struct schema_strs a, struct router_strs b)
{
	for (size_t i = 0, j = 0; i < a.n && j < b.n;) {
		int order = str_cmp(a.v[i], b.v[j]);

		if (order == 0) {
			return true;
		}
		if (order < 0) {
			i++;
		} else {
			j++;
		}
	}
	return false;
}

/* Without those that have blanks at an end: who reads the list takes them off. */
static struct str join(struct arena *a, struct router_strs groups)
{
	size_t n = 0;
	char *text, *to;

	for (size_t i = 0; i < groups.n; i++) {
		n += groups.v[i].n + 2;
	}
	text = to = arena_alloc(a, n);
	for (size_t i = 0; i < groups.n; i++) {
		struct str group = groups.v[i];

		if (group.n == 0 || str_trim(group).n < group.n) {
			continue;
		}
		if (to > text) {
			*to++ = ',';
			*to++ = ' ';
		}
		memcpy(to, group.p, group.n);
		to += group.n;
	}
	return str_of(text, (size_t)(to - text));
}

static void tell_service(struct gw_call *c, const struct config *k, struct router_strs groups)
{
	struct http_headers *h = call_headers(c);
	struct str text;

	if (k->hide_groups_header || groups.n == 0) {
		return;
	}
	text = join(call_arena(c), groups);
	if (text.n > 0 && http_is_field_value(text)) {
		http_header_add(call_arena(c), h, STR("X-Consumer-Groups"), text);
	}
}

static enum plugin_verdict on_access(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	const struct gw_consumer *consumer = call_consumer(c);
	bool may_pass;

	if (!consumer) {
		call_error(c, 401, STR("Unauthorized"));
		return PLUGIN_ANSWERED;
	}
	may_pass = k->deny.n > 0 ? !have_common(k->deny, consumer->groups)
				 : have_common(k->allow, consumer->groups);
	if (!may_pass) {
		call_error(c, 403, STR("You cannot consume this service"));
		return PLUGIN_ANSWERED;
	}
	tell_service(c, k, consumer->groups);
	return PLUGIN_NEXT;
}

static const char example[] =
	"Needs an authentication plugin on the same route. Consumers get their groups first:\n"
	"\n"
	"    curl -X POST localhost:8001/consumers/alice/acls -d group=partners\n"
	"    curl -X POST localhost:8001/services/orders/plugins \\\n"
	"      -d name=acl -d 'config.allow[]=partners' -d 'config.allow[]=staff'\n"
	"\n"
	"Alice passes, and the service reads `X-Consumer-Groups: partners`. A consumer in neither\n"
	"group gets 403 `You cannot consume this service`, nobody at all gets 401.\n";

const struct plugin plugin_acl = {
	.name = "acl",
	.priority = 950,
	.scopes = PLUGIN_NO_CONSUMER,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Lets consumers pass or refuses them by the groups they are in.",
	.example = example,
	.compile = compile,
	.access = on_access,
};
