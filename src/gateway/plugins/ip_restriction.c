/* ip-restriction - lets clients pass by their address */
#include "gateway/plugins/fields.h"
#include "gateway/plugins/ip_set.h"

struct config {
	struct schema_strs allow, deny;
	struct opt_num status;
	struct str message;
	struct ip_set allowed, denied; /* compiled */
};

static const struct schema_field fields[] = {
	{.name = "allow",
	 FIELD(ARRAY, STRS, allow),
	 .elements = &field_cidr,
	 .doc = "Addresses and networks that may pass; all others are refused."},
	{.name = "deny",
	 FIELD(ARRAY, STRS, deny),
	 .elements = &field_cidr,
	 .doc = "Addresses and networks that are refused, even if they are allowed, too."},
	{.name = "status",
	 FIELD(NUMBER, OPT_NUM, status),
	 .has_range = true,
	 .min = 200,
	 .max = 599,
	 .doc = "Status of a refusal; 403 without it."},
	{.name = "message",
	 FIELD(STRING, STR, message),
	 .doc = "Text of a refusal; `IP address not allowed: 192.0.2.7` without it."},
};

static const struct schema_rule rules[] = {
	{.kind = SCHEMA_AT_LEAST_ONE_OF, .fields = {"allow", "deny"}},
};

static const struct schema schema = {SCHEMA_OF("ip-restriction", fields), RULES_OF(rules)};

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;

	(void)h;
	if (ip_set_make(p->arena, k->allow.v, k->allow.n, &k->allowed) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "config.allow: invalid ip or cidr range");
	}
	if (ip_set_make(p->arena, k->deny.v, k->deny.n, &k->denied) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "config.deny: invalid ip or cidr range");
	}
	return ERR_OK;
}

static enum plugin_verdict on_access(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	const struct addr *client = call_client_addr(c);
	struct str message = k->message;

	if (!ip_set_has(&k->denied, client) &&
	    (k->allow.n == 0 || ip_set_has(&k->allowed, client))) {
		return PLUGIN_NEXT;
	}
	if (!message.p) {
		message = str_fmt(call_arena(c), "IP address not allowed: %.*s",
				  STR_ARG(call_client_ip(c)));
	}
	call_error(c, k->status.has ? (int)k->status.v : 403, message);
	return PLUGIN_ANSWERED;
}

static const char example[] =
	"    curl -X POST localhost:8001/services/orders/plugins -d name=ip-restriction \\\n"
	"      -d 'config.allow[]=10.0.0.0/8' -d 'config.allow[]=2001:db8::/32' \\\n"
	"      -d 'config.deny[]=10.6.6.6'\n"
	"\n"
	"The address is that of the connection, or behind trusted proxies (`gateway.trusted_ips`)\n"
	"that which they name. `deny` is asked first. `::/0` is every IPv6 address and no IPv4 "
	"one.\n";

const struct plugin plugin_ip_restriction = {
	.name = "ip-restriction",
	.priority = 990,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Lets clients pass or refuses them by their address.",
	.example = example,
	.compile = compile,
	.access = on_access,
};
