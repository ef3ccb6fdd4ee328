/*
 * basic-auth - who a client is, by username and password (RFC 7617)
 *
 * Stored is what the original stores: SHA-1 of the password and the consumer's id. An unknown
 * username costs a digest and a comparison, too, so that time does not tell who exists.
 */
#include "gateway/plugins/auth.h"
#include "gateway/plugins/fields.h"

#include "base/mem.h"
#include "tls/crypto.h"

struct config {
	struct str anonymous;
	bool hide_credentials;
	struct str realm;
	struct str challenge; /* compiled */
};

static const struct schema_field fields[] = {
	{.name = "anonymous",
	 FIELD(STRING, STR, anonymous),
	 .doc = "Id or username of the consumer as whom a client without valid credentials goes "
		"on."},
	{.name = "hide_credentials",
	 FIELD(BOOLEAN, BOOL, hide_credentials),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Takes the credentials out of the request before the service gets it."},
	{.name = "realm",
	 FIELD(STRING, STR, realm),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "\"service\"",
	 .check = field_check_header_value,
	 .doc = "Realm in WWW-Authenticate of a refusal."},
};

static const struct schema schema = {SCHEMA_OF("basic-auth", fields)};

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;

	(void)h;
	(void)f;
	k->challenge = auth_challenge(p->arena, "Basic", k->realm);
	return ERR_OK;
}

/*
 * The first of the two headers whose user is known; else the last that could be read. What stands
 * in Proxy-Authorization may be for a proxy before us.
 */
static bool find_login(struct gw_call *c, const struct config *k, struct auth_login *out,
		       const struct gw_credential **found)
{
	static const struct str names[] = {STR_INIT("Proxy-Authorization"),
					   STR_INIT("Authorization")};
	bool has_login = false;

	*found = NULL;
	for (size_t i = 0; i < ARRAY_LEN(names) && !*found; i++) {
		struct str value = http_header_get(&call_request(c)->headers, names[i]);

		if (value.p && auth_read_basic(call_arena(c), value, out)) {
			if (k->hide_credentials) {
				http_header_remove(call_headers(c), names[i]);
			}
			*found = call_find_credential(c, GW_BASIC_AUTH, out->username);
			has_login = true;
		}
	}
	return has_login;
}

static void digest(const struct auth_login *l, const struct guid *consumer, char out[2 * SHA1_LEN])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t sum[SHA1_LEN];
	char id[GUID_D_LEN];
	struct buf b = {0};

	guid_d(consumer, id);
	buf_put(&b, l->password);
	buf_append(&b, id, sizeof(id));
	crypto_sha1(buf_str(&b), sum);
	mem_wipe(b.p, b.cap);
	buf_free(&b);
	for (size_t i = 0; i < SHA1_LEN; i++) {
		out[2 * i] = hex[sum[i] >> 4];
		out[2 * i + 1] = hex[sum[i] & 15];
	}
}

static bool is_password(const struct gw_credential *found, const struct auth_login *l)
{
	static const struct guid nobody;
	char got[2 * SHA1_LEN];
	struct str secret = found ? found->secret : STR("0000000000000000000000000000000000000000");

	digest(l, found ? &found->consumer_id : &nobody, got);
	return str_eq_const_time(secret, str_of(got, sizeof(got))) && found != NULL;
}

static enum plugin_verdict on_access(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	const struct gw_credential *found;
	struct auth_login login;

	if (auth_is_done(c, k->anonymous)) {
		return PLUGIN_NEXT;
	}
	if (!find_login(c, k, &login, &found) || !is_password(found, &login) ||
	    !call_authenticate(c, found)) {
		return auth_fail(c, k->anonymous, STR("Unauthorized"), k->challenge);
	}
	return PLUGIN_NEXT;
}

static const char example[] =
	"    curl -X POST localhost:8001/services/orders/plugins -d name=basic-auth \\\n"
	"      -d config.hide_credentials=true\n"
	"    curl -X POST localhost:8001/consumers/alice/basic-auth -d username=alice -d "
	"password=s3cret\n"
	"\n"
	"    curl -i localhost:8000/orders                    # 401, WWW-Authenticate: Basic "
	"realm=\"service\"\n"
	"    curl -i localhost:8000/orders -u alice:s3cret    # 200\n"
	"\n"
	"The Admin API shows the password only as SHA-1 of password and consumer id, which is "
	"what\n"
	"tools of Kong expect. That is a weak way to keep a password people choose: prefer\n"
	"[key-auth](key-auth.md) with a random key.\n";

const struct plugin plugin_basic_auth = {
	.name = "basic-auth",
	.priority = 1100,
	.scopes = PLUGIN_NO_CONSUMER,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Lets in clients that show username and password of a consumer.",
	.example = example,
	.compile = compile,
	.access = on_access,
};
