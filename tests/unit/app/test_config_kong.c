#include "unit.h"

#include "app/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct arena arena;
static struct conf_node *root;
static struct config_warning *warnings;
static struct fault fault;
static char dir[] = "/tmp/posthouse-kong-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"kong.conf", "posthouse.yaml", "secret"};
	char path[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	return rmdir(dir);
}

static int begin(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	root = NULL;
	warnings = NULL;
	fault = (struct fault){0};
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

/* A file of the folder; `text` is what it then holds. */
static const char *file(const char *name, const char *text)
{
	const char *path = str_cstr(&arena, str_fmt(&arena, "%s/%s", dir, name));
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	return path;
}

/* `path` may be NULL. */
static enum err load(const char *path, const char *const *env)
{
	const struct config_source source = {
		.path_or_url = str_c(path), .env = env, .out_warnings = &warnings};

	fault = (struct fault){0};
	warnings = NULL;
	return config_load(&arena, &source, settings_tables(), &root, &fault);
}

static void load_ok(const char *path, const char *const *env)
{
	if (load(path, env) != ERR_OK) {
		fail_msg("%s", fault.text);
	}
}

/* What `config show` says of a key: "value" without what comes behind it. */
static struct str shown(const char *section, const char *key)
{
	struct buf out = {0};

	config_show(root, settings_tables(), &out);
	struct str text = str_dup(&arena, buf_str(&out)), line;

	buf_free(&out);
	if (*section) {
		ptrdiff_t at = str_find(text, str_fmt(&arena, "\n%s:\n", section));

		assert_true(at >= 0);
		text = str_skip(text, (size_t)at + 1);
	}
	struct str start = str_fmt(&arena, "%s%s: ", *section ? "  " : "", key);

	while (str_split(&text, '\n', &line)) {
		if (str_starts(line, start)) {
			ptrdiff_t comment = str_find(line, STR("  # "));

			return str_slice(line, start.n,
					 (comment < 0 ? line.n : (size_t)comment) - start.n);
		}
	}
	fail_msg("%s.%s is not shown", section, key);
	return STR_NULL;
}

#define ENV(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- single values ---- */

static void settings_become_keys_of_ours(void **state)
{
	static const struct {
		const char *env, *section, *key, *value;
	} cases[] = {
		{"KONG_LOG_LEVEL=debug", "", "log_level", "debug"},
		{"KONG_LOG_LEVEL=notice", "", "log_level", "info"},
		{"KONG_LOG_LEVEL=crit", "", "log_level", "error"},
		{"KONG_NGINX_WORKER_PROCESSES=auto", "", "loops", "0"},
		{"KONG_NGINX_WORKER_PROCESSES=3", "", "loops", "3"},
		{"KONG_TRUSTED_IPS=0.0.0.0/0,::/0", "gateway", "trusted_ips", "\"0.0.0.0/0,::/0\""},
		{"KONG_REAL_IP_HEADER=X-Forwarded-For", "gateway", "real_ip_header",
		 "X-Forwarded-For"},
		{"KONG_REAL_IP_RECURSIVE=on", "gateway", "real_ip_recursive", "on"},
		{"KONG_HEADERS=off", "gateway", "headers", "off"},
		{"KONG_HEADERS=server_tokens, X-Kong-Upstream-Status", "gateway", "headers",
		 "\"server_tokens,X-Kong-Upstream-Status\""},
		{"KONG_HEADERS_UPSTREAM=off", "gateway", "headers_upstream", "false"},
		{"KONG_HEADERS_UPSTREAM=x-kong-request-id", "gateway", "headers_upstream", "true"},
		{"KONG_ALLOW_DEBUG_HEADER=on", "gateway", "allow_debug_header", "on"},
		{"KONG_ERROR_DEFAULT_TYPE=application/json", "gateway", "error_default_type",
		 "application/json"},
		{"KONG_UPSTREAM_KEEPALIVE_POOL_SIZE=0", "gateway", "upstream_keepalive_pool_size",
		 "0"},
		{"KONG_UPSTREAM_KEEPALIVE_IDLE_TIMEOUT=90", "gateway",
		 "upstream_keepalive_idle_timeout", "90s"},
		{"KONG_DB_UPDATE_FREQUENCY=0.5", "gateway", "db_update_frequency", "500ms"},
		{"KONG_DB_UPDATE_FREQUENCY=5.0", "gateway", "db_update_frequency", "5s"},
		{"KONG_DNS_RESOLVER=10.0.0.1:53", "gateway", "dns_resolver", "\"10.0.0.1:53\""},
		{"KONG_DNS_ORDER=LAST,A,CNAME", "gateway", "dns_order", "\"LAST,A,CNAME\""},
		{"KONG_DNS_HOSTSFILE=/h", "gateway", "dns_hostsfile", "/h"},
		{"KONG_DNS_VALID_TTL=7", "gateway", "dns_valid_ttl", "7s"},
		{"KONG_DNS_STALE_TTL=3600", "gateway", "dns_stale_ttl", "3600s"},
		{"KONG_DNS_NOT_FOUND_TTL=30", "gateway", "dns_not_found_ttl", "30s"},
		{"KONG_DNS_ERROR_TTL=1.250", "gateway", "dns_error_ttl", "1250ms"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		load_ok(NULL, ENV(cases[i].env));
		assert_str(shown(cases[i].section, cases[i].key), str_c(cases[i].value));
		assert_null(warnings);
	}
}

/* A wrong value is told by the name that it was given under. */
static void what_is_wrong_is_refused(void **state)
{
	static const struct {
		const char *env, *why;
	} cases[] = {
		{"KONG_LOG_LEVEL=loud", "KONG_LOG_LEVEL: \"loud\" is none of: debug, info, notice, "
					"warn, error, crit, alert, emerg"},
		{"KONG_NGINX_WORKER_PROCESSES=many",
		 "KONG_NGINX_WORKER_PROCESSES: loops: \"many\" is not a whole number"},
		{"KONG_ERROR_DEFAULT_TYPE=text/xml",
		 "KONG_ERROR_DEFAULT_TYPE: gateway.error_default_type: \"text/xml\" is none of: "
		 "text/plain, application/json, application/xml, text/html"},
		{"KONG_DNS_STALE_TTL=1h", "KONG_DNS_STALE_TTL: \"1h\" is no number of seconds"},
		{"KONG_DNS_STALE_TTL=.x", "KONG_DNS_STALE_TTL: \".x\" is no number of seconds"},
		{"KONG_DNS_STALE_TTL=99999999999999999999",
		 "KONG_DNS_STALE_TTL: \"99999999999999999999\" is no number of seconds"},
		{"KONG_HEADERS_UPSTREAM=X-Other",
		 "KONG_HEADERS_UPSTREAM: \"X-Other\" is none of: X-Kong-Request-Id, off"},
		{"KONG_ROLE=data_plane",
		 "KONG_ROLE: \"data_plane\" is not supported: there is no hybrid mode; leave it "
		 "out, and give the node the database or a declarative_config"},
		{"KONG_ROUTER_FLAVOR=expressions",
		 "KONG_ROUTER_FLAVOR: \"expressions\" is not supported: the router is "
		 "traditional_compatible"},
		{"KONG_STREAM_LISTEN=0.0.0.0:9000",
		 "KONG_STREAM_LISTEN: \"0.0.0.0:9000\" is not supported: TCP and UDP are not "
		 "proxied; set it to off"},
		{"KONG_ENFORCE_RBAC=on",
		 "KONG_ENFORCE_RBAC: \"on\" is not supported: there are no roles of "
		 "administrators; gateway.admin has api_keys"},
		{"KONG_DATABASE=cassandra",
		 "KONG_DATABASE: \"cassandra\" is not supported: postgres, or off with a "
		 "declarative_config"},
		{"KONG_PROXY_LISTEN=0.0.0.0:8000 ssll",
		 "KONG_PROXY_LISTEN: \"ssll\" is no flag of an address (ssl, http2, "
		 "proxy_protocol, reuseport, backlog=N, deferred, bind)"},
		{"KONG_PROXY_LISTEN=8000",
		 "KONG_PROXY_LISTEN: \"8000\" is no address and port (try \"0.0.0.0:8000\", or "
		 "\"off\" for none)"},
		{"KONG_ADMIN_LISTEN=unix:/a",
		 "KONG_ADMIN_LISTEN: \"unix:/a\" is no address and port (try \"0.0.0.0:8000\", or "
		 "\"off\" for none)"},
		{"KONG_PROXY_LISTEN=:1,:2,:3,:4,:5,:6,:7,:8,:9,:10,:11,:12,:13,:14,:15,:16,:17",
		 "KONG_PROXY_LISTEN: more than 16 addresses"},
		{"KONG_SSL_CERT=a.pem",
		 "KONG_SSL_CERT: ssl_cert and ssl_cert_key are pairs, but there are 1 and 0"},
		{"KONG_SSL_CERT=a,b,c", "KONG_SSL_CERT: more than two"},
		{"KONG_SSL_PROTOCOLS=TLSv1.1",
		 "KONG_SSL_PROTOCOLS: neither TLSv1.2 nor TLSv1.3, and there is nothing older"},
		{"KONG_SSL_CIPHER_SUITE=new",
		 "KONG_SSL_CIPHER_SUITE: \"new\" is none of: modern, intermediate, old, fips, "
		 "custom"},
		{"KONG_TRUSTED_IPS={vault://env/no-such-thing}",
		 "KONG_TRUSTED_IPS: environment variable NO_SUCH_THING is not set"},
		{"KONG_TRUSTED_IPS={vault://aws/x}", "KONG_TRUSTED_IPS: there is no vault 'aws'"},
		{"KONG_TRUSTED_IPS_FILE=/no/such",
		 "KONG_TRUSTED_IPS_FILE: cannot read file \"/no/such\": No such file or "
		 "directory"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_err(load(NULL, ENV(cases[i].env)), ERR_INVALID);
		assert_string_equal(fault.text, cases[i].why);
	}
}

static void what_is_harmless_passes_in_silence(void **state)
{
	(void)state;
	load_ok(NULL, ENV("KONG_ROLE=traditional", "KONG_ROUTER_FLAVOR=traditional_compatible",
			  "KONG_STREAM_LISTEN=off", "KONG_CLIENT_SSL=off", "KONG_WASM=off",
			  "KONG_PLUGINS=bundled, key-auth", "KONG_LUA_PACKAGE_PATH=/x",
			  "KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE=8m", "KONG_PREFIX=/p",
			  "KONG_MEM_CACHE_SIZE=64m", "KONG_CLUSTER_LISTEN=off",
			  "KONG_ADMIN_GUI_URL=http://x", "KONG_PROXY_ACCESS_LOG=/dev/stdout",
			  "KONG_ANONYMOUS_REPORTS=off", "KONG_LUA_SSL_TRUSTED_CERTIFICATE=system"));
	assert_null(warnings);
	/* An empty variable is one that is not there, as of `${KONG_ROLE:-}`. */
	load_ok(NULL, ENV("KONG_ROLE=", "KONG_PROXY_LISTEN=", "KONG_PG_HOST="));
	assert_null(warnings);
	assert_str(shown("gateway", "listen"), STR("null"));
	assert_null(conf_get(root, STR("database")));
}

static void what_is_missing_is_told(void **state)
{
	static const struct {
		const char *env, *warning;
	} cases[] = {
		{"KONG_PORT_MAPS=80:8000", "KONG_PORT_MAPS: has no effect: X-Forwarded-Port is the "
					   "port of the listener"},
		{"KONG_ERROR_TEMPLATE_HTML=/x",
		 "KONG_ERROR_TEMPLATE_HTML: has no effect: bodies of errors cannot be changed"},
		{"KONG_CLIENT_SSL=on",
		 "KONG_CLIENT_SSL: has no effect: a certificate for services is the "
		 "client_certificate of the service"},
		{"KONG_PLUGINS=bundled,mine , key-auth,oauth2",
		 "KONG_PLUGINS: not built, entities that use them are refused: mine, oauth2"},
		{"KONG_HEADERS=via", "KONG_HEADERS: Via comes with all of server_tokens"},
		{"KONG_SSL_CIPHERS=x",
		 "KONG_SSL_CIPHERS: has no effect: only with ssl_cipher_suite = custom"},
		{"KONG_SSL_PROTOCOLS=TLSv1.1 TLSv1.2",
		 "KONG_SSL_PROTOCOLS: nothing older than TLSv1.2 is offered"},
		{"KONG_SSL_CIPHER_SUITE=old",
		 "KONG_SSL_CIPHER_SUITE: ciphers are those of \"intermediate\""},
		{"KONG_LUA_SSL_TRUSTED_CERTIFICATE=/ca",
		 "KONG_LUA_SSL_TRUSTED_CERTIFICATE: has no effect on services: these are checked "
		 "against their ca_certificates, else against the system's"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		load_ok(NULL, ENV(cases[i].env));
		assert_non_null(warnings);
		assert_str(warnings->text, str_c(cases[i].warning));
		assert_null(warnings->next);
	}
}

static void variables_of_others_are_left_alone(void **state)
{
	(void)state;
	/* Kubernetes, for services called "kong", "kong-admin" and "kong-pg"; wicked; images. */
	load_ok(NULL, ENV("KONG_PORT=tcp://10.0.0.1:8000", "KONG_SERVICE_HOST=10.0.0.1",
			  "KONG_ADMIN_PORT_8001_TCP=tcp://10.0.0.1:8001", "KONG_CURL=curl -k",
			  "KONG_PG_PORT=tcp://10.0.0.1:5432", "KONG_VERSION=3.9.0", "KONG_=x",
			  "KONG=x", "KONG_PASSWORD=x", "KONG_NO_SUCH_FILE=/no/such", "XKONG_ROLE=y",
			  "KONG_PREFIX_FILE=/no/such", "kong_role=y"));
	assert_null(root->child);
	assert_null(warnings);
}

/* ---- listeners ---- */

static void addresses_have_flags(void **state)
{
	static const struct {
		const char *env, *section, *key, *value;
	} cases[] = {
		{"KONG_PROXY_LISTEN=0.0.0.0:8000 reuseport backlog=16384, 0.0.0.0:8443 http2 ssl "
		 "reuseport backlog=16384",
		 "gateway", "listen",
		 "[\"0.0.0.0:8000\", {address: \"0.0.0.0:8443\", http2: true, tls: {}}]"},
		{"KONG_PROXY_LISTEN=[::1]:8000 proxy_protocol deferred bind so_keepalive=on",
		 "gateway", "listen", "[{address: \"[::1]:8000\", proxy_protocol: true}]"},
		{"KONG_PROXY_LISTEN=0.0.0.0:8000 http2", "gateway", "listen",
		 "[{address: \"0.0.0.0:8000\", http2: true}]"},
		{"KONG_PROXY_LISTEN= , *:8000  ,", "gateway", "listen", "[\"*:8000\"]"},
		{"KONG_PROXY_LISTEN=off", "gateway", "listen", "[]"},
		/* Helm has both. */
		{"KONG_PROXY_LISTEN=0.0.0.0:8000, [::]:8000, 0.0.0.0:8443 ssl, [::]:8443 http2 ssl",
		 "gateway", "listen",
		 "[\"[::]:8000\", {address: \"0.0.0.0:8443\", tls: {}}, "
		 "{address: \"[::]:8443\", http2: true, tls: {}}]"},
		{"KONG_ADMIN_LISTEN=localhost:8001, 127.0.0.1:8444 ssl", "gateway", "admin",
		 "[{listen: [\"127.0.0.1:8001\", {address: \"127.0.0.1:8444\", tls: {}}]}]"},
		{"KONG_ADMIN_LISTEN=off", "gateway", "admin", "[]"},
		{"KONG_STATUS_LISTEN=0.0.0.0:8100", "status", "listen", "[\"0.0.0.0:8100\"]"},
		{"KONG_STATUS_LISTEN=off", "status", "listen", "[]"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		load_ok(NULL, ENV(cases[i].env));
		assert_str(shown(cases[i].section, cases[i].key), str_c(cases[i].value));
		assert_null(warnings);
	}
}

static void certificates_go_with_ssl(void **state)
{
	(void)state;
	load_ok(NULL, ENV("KONG_PROXY_LISTEN=:1, :2 ssl", "KONG_SSL_CERT=a.pem, b.pem",
			  "KONG_SSL_CERT_KEY=a.key,b.key", "KONG_SSL_PROTOCOLS=TLSv1.2",
			  "KONG_ADMIN_LISTEN=:3 ssl", "KONG_ADMIN_SSL_CERT=c.pem",
			  "KONG_ADMIN_SSL_CERT_KEY=c.key", "KONG_STATUS_LISTEN=:4 ssl",
			  "KONG_SSL_SESSION_TICKETS=off"));
	assert_str(shown("gateway", "listen"),
		   STR("[\":1\", {address: \":2\", tls: {cert: a.pem, key: \"***\", cert_alt: "
		       "b.pem, key_alt: \"***\", min_version: TLSv1.2, max_version: TLSv1.2, "
		       "session_tickets: off}}]"));
	assert_str(shown("gateway", "admin"),
		   STR("[{listen: [{address: \":3\", tls: {cert: c.pem, key: \"***\", min_version: "
		       "TLSv1.2, max_version: TLSv1.2, session_tickets: off}}]}]"));
	assert_str(shown("status", "listen"),
		   STR("[{address: \":4\", tls: {min_version: TLSv1.2, max_version: TLSv1.2, "
		       "session_tickets: off}}]"));
	/* Without an address they are for Kong's own ones. */
	load_ok(NULL, ENV("KONG_SSL_CIPHER_SUITE=modern"));
	assert_str(shown("gateway", "listen"), STR("[\":8000\", {address: \":8443\", http2: true, "
						   "tls: {min_version: TLSv1.3}}]"));
	load_ok(NULL, ENV("KONG_SSL_CIPHER_SUITE=custom", "KONG_SSL_CIPHERS=X:Y",
			  "KONG_PROXY_LISTEN=:1 ssl", "KONG_SSL_PROTOCOLS=TLSv1.2 TLSv1.3"));
	assert_str(shown("gateway", "listen"),
		   STR("[{address: \":1\", tls: {ciphers: \"X:Y\", min_version: TLSv1.2, "
		       "max_version: TLSv1.3}}]"));
}

static const struct conf_node *tls_of_first(void)
{
	const struct conf_node *list = conf_get(conf_get(root, STR("gateway")), STR("listen"));

	return conf_get(list->child, STR("tls"));
}

static void a_certificate_may_be_base64_or_in_a_vault(void **state)
{
	(void)state;
	assert_int_equal(setenv("KONG_TEST_PAIR", "{\"key\": \"k.pem\"}", 1), 0);
	load_ok(NULL, ENV("KONG_PROXY_LISTEN=:1 ssl",
			  "KONG_SSL_CERT=LS0tLS1CRUdJTiBYLS0tLS0=, LS0tLS1CRUdJTi",
			  "KONG_SSL_CERT_KEY={vault://env/kong-test-pair/key}, b.key"));
	assert_str(conf_text(conf_get(tls_of_first(), STR("cert"))), STR("-----BEGIN X-----"));
	assert_str(conf_text(conf_get(tls_of_first(), STR("key"))), STR("k.pem"));
	assert_str(conf_text(conf_get(tls_of_first(), STR("cert_alt"))), STR("LS0tLS1CRUdJTi"));
	assert_int_equal(unsetenv("KONG_TEST_PAIR"), 0);
}

/* ---- database ---- */

static struct str database(void)
{
	return conf_text(conf_get(root, STR("database")));
}

static void postgres_becomes_a_url(void **state)
{
	(void)state;
	load_ok(NULL, ENV("KONG_DATABASE=postgres"));
	assert_str(database(), STR("postgres://kong@127.0.0.1:5432/kong?sslmode=disable"));
	load_ok(NULL, ENV("KONG_PG_HOST=db.example", "KONG_PG_PORT=5433", "KONG_PG_USER=a@b",
			  "KONG_PG_PASSWORD=p:/?#[]@ %&=+", "KONG_PG_DATABASE=k/ong",
			  "KONG_PG_SCHEMA=my-schema", "KONG_PG_TIMEOUT=2500", "KONG_PG_SSL=on"));
	assert_str(database(), STR("postgres://a%40b:p%3A%2F%3F%23%5B%5D%40%20%25%26%3D%2B"
				   "@db.example:5433/k%2Fong?sslmode=require&connect_timeout=3"
				   "&options=-csearch_path%3D%22my-schema%22"));
	assert_str(shown("", "database"), STR("\"***\""));
	load_ok(NULL, ENV("KONG_PG_HOST=fd00::1", "KONG_PG_SSL=true", "KONG_PG_SSL_VERIFY=on",
			  "KONG_PG_SSL_CERT=/c", "KONG_PG_SSL_CERT_KEY=/k"));
	assert_str(database(),
		   STR("postgres://kong@[fd00::1]:5432/kong?sslmode=verify-full&sslrootcert="
		       "%2Fetc%2Fssl%2Fcerts%2Fca-certificates.crt&sslcert=%2Fc&sslkey=%2Fk"));
	load_ok(NULL, ENV("KONG_PG_HOST=/run/pg", "KONG_PG_SSL=on", "KONG_PG_SSL_VERIFY=on",
			  "KONG_LUA_SSL_TRUSTED_CERTIFICATE=/ca.pem,system"));
	assert_str(database(), STR("postgres://kong@%2Frun%2Fpg:5432/kong?sslmode=verify-full&"
				   "sslrootcert=%2Fca.pem"));
	/* With `off` what is said of PostgreSQL rests. */
	load_ok(NULL, ENV("KONG_DATABASE=off", "KONG_PG_HOST=db", "KONG_PG_PORT=x"));
	assert_null(conf_get(root, STR("database")));
	/* A port alone says nothing. */
	load_ok(NULL, ENV("KONG_PG_PORT=5432"));
	assert_null(conf_get(root, STR("database")));
}

/* Nobody finds a password in a log because a port beside it was wrong. */
static void a_fault_never_shows_a_secret(void **state)
{
	static const char *const beside[] = {
		"KONG_PG_PORT=70000",	     "KONG_PG_SSL=perhaps", "KONG_PG_SCHEMA=a b",
		"KONG_PG_TIMEOUT=-1",	     "KONG_DATABASE=mysql", "KONG_ADMIN_LISTEN=x",
		"KONG_PG_PASSWORD_FILE=/no",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
		assert_err(load(NULL, ENV("KONG_PG_PASSWORD=hush", "KONG_SSL_CERT_KEY=hush",
					  "KONG_SSL_CERT=x", beside[i])),
			   ERR_INVALID);
		assert_null(strstr(fault.text, "hush"));
		ptrdiff_t equals = str_index(str_c(beside[i]), '=');

		assert_memory_equal(fault.text, beside[i], equals);
	}
	assert_err(load(file("kong.conf", "database = off\nhush\n"), ENV("A=b")), ERR_INVALID);
	assert_null(strstr(fault.text, "hush"));
	assert_err(load(file("kong.conf", "pg_pasword = hush\n"), ENV("A=b")), ERR_INVALID);
	assert_null(strstr(fault.text, "hush"));
}

static void off_takes_a_file_a_text_or_nothing(void **state)
{
	(void)state;
	load_ok(NULL, ENV("KONG_DATABASE=off", "KONG_DECLARATIVE_CONFIG=/kong.yml"));
	assert_str(shown("gateway", "declarative"), STR("/kong.yml"));
	assert_str(shown("gateway", "declarative_text"), STR("null"));
	load_ok(NULL, ENV("KONG_DECLARATIVE_CONFIG_STRING=_format_version: \"3.0\""));
	assert_str(shown("gateway", "declarative_text"), STR("\"***\""));
	load_ok(NULL, ENV("KONG_DATABASE=off"));
	assert_str(shown("gateway", "declarative_text"), STR("\"\""));
	assert_err(load(NULL, ENV("KONG_DATABASE=off", "KONG_DECLARATIVE_CONFIG=a",
				  "KONG_DECLARATIVE_CONFIG_STRING=b")),
		   ERR_INVALID);
	assert_string_equal(fault.text,
			    "KONG_DECLARATIVE_CONFIG_STRING: only one of declarative_config and "
			    "declarative_config_string may be given");
	/* For `kong config db_import`, as images of Kong have it. */
	load_ok(NULL, ENV("KONG_DATABASE=postgres", "KONG_DECLARATIVE_CONFIG=/kong.yml"));
	assert_str(shown("gateway", "declarative"), STR("null"));
	assert_str(warnings->text,
		   STR("KONG_DECLARATIVE_CONFIG: has no effect: only with database = off"));
}

/* ---- what comes before what ---- */

static void variables_come_before_the_file_and_ours_before_kongs(void **state)
{
	const char *path =
		file("posthouse.yaml", "gateway:\n"
				       "  trusted_ips: [10.0.0.1]\n"
				       "  real_ip_header: X-File\n"
				       "  declarative: file.yml\n"
				       "  admin: [{listen: \":1\", api_keys: [{key: k}]}]\n");

	(void)state;
	load_ok(path,
		ENV("KONG_TRUSTED_IPS=10.0.0.2", "KONG_ADMIN_LISTEN=:2",
		    "KONG_REAL_IP_HEADER=X-Kong", "POSTHOUSE_GATEWAY__REAL_IP_HEADER=X-Posthouse"));
	assert_str(shown("gateway", "trusted_ips"), STR("10.0.0.2"));
	assert_str(shown("gateway", "real_ip_header"), STR("X-Posthouse"));
	assert_str(shown("gateway", "declarative"), STR("file.yml"));
	/* Whoever moves the Admin API does not mean to open it. */
	assert_str(shown("gateway", "admin"),
		   STR("[{listen: [\":2\"], api_keys: [{key: \"***\"}]}]"));
	load_ok(path, ENV("KONG_DATABASE=off"));
	assert_str(shown("gateway", "declarative"), STR("file.yml"));
	load_ok(path, ENV("KONG_DECLARATIVE_CONFIG_STRING=x: y"));
	assert_str(shown("gateway", "declarative"), STR("null"));
	load_ok(path, ENV("KONG_DATABASE=postgres"));
	assert_str(shown("gateway", "declarative"), STR("null"));

	path = file("posthouse.yaml", "gateway:\n  listen: [\":1\"]\n"
				      "  admin: [{listen: \":2\"}, {listen: \":3\"}]\n");
	assert_err(load(path, ENV("KONG_ADMIN_LISTEN=:4")), ERR_INVALID);
	assert_string_equal(fault.text, "KONG_ADMIN_LISTEN: the file has several Admin APIs: set "
					"their `listen` there");
	load_ok(path, ENV("KONG_SSL_CERT=a", "KONG_SSL_CERT_KEY=b"));
	assert_str(shown("gateway", "listen"), STR("[\":1\"]"));
	assert_str(warnings->text, STR("KONG_SSL_CERT: has no effect without proxy_listen: the "
				       "file has the addresses"));
}

static const struct conf_section *gateway_section(void)
{
	for (size_t i = 0; i < settings_tables().n; i++) {
		if (strcmp(settings_tables().v[i]->name, "gateway") == 0) {
			return settings_tables().v[i];
		}
	}
	return NULL;
}

static void a_variable_starts_no_role_and_a_file_does(void **state)
{
	(void)state;
	load_ok(NULL, ENV("KONG_PROXY_LISTEN=:1"));
	assert_false(config_has(root, gateway_section()));
	load_ok(file("kong.conf", ""), ENV("A=b"));
	assert_true(config_has(root, gateway_section()));
}

static void a_file_holds_the_value(void **state)
{
	const char *path = file("secret", "pass word\r\n");
	const char *variable = str_cstr(&arena, str_fmt(&arena, "KONG_PG_PASSWORD_FILE=%s", path));

	(void)state;
	load_ok(NULL, ENV(variable, "KONG_PG_HOST=h"));
	assert_str(database(), STR("postgres://kong:pass%20word@h:5432/kong?sslmode=disable"));
	assert_err(load(NULL, ENV(variable, "KONG_PG_PASSWORD=x")), ERR_INVALID);
	assert_string_equal(fault.text, "KONG_PG_PASSWORD_FILE: KONG_PG_PASSWORD is set, too: only "
					"one of them may be");
	load_ok(file("kong.conf", "pg_password = y\n"), ENV(variable));
	assert_str(database(),
		   STR("postgres://kong:pass%20word@127.0.0.1:5432/kong?sslmode=disable"));
}

/* ---- kong.conf ---- */

static void a_kong_conf_is_read(void **state)
{
	const char *path = file("kong.conf", "# Kong configuration\r\n"
					     "\n"
					     "   # indented\n"
					     "database = off   # no database\n"
					     "declarative_config = kong.yml\n"
					     "real_ip_header=X-\\#A#comment\n"
					     "proxy_listen = 127.0.0.1:8000, 127.0.0.1:8443 ssl\r\n"
					     "ssl_cert = tls/a.pem\n"
					     "ssl_cert_key = tls/a.key\n"
					     "trusted_ips =\n"
					     "nginx_http_include = /x\n"
					     "nginx_http_include = /y\n"
					     "log_level = warn");
	const struct conf_node *cert;

	(void)state;
	load_ok(path, ENV("KONG_LOG_LEVEL=error"));
	assert_null(warnings);
	assert_str(shown("gateway", "real_ip_header"), STR("\"X-#A\""));
	assert_str(shown("gateway", "trusted_ips"), STR("null"));
	assert_str(shown("gateway", "declarative"), str_fmt(&arena, "%s/kong.yml", dir));
	assert_str(shown("", "log_level"), STR("error"));
	cert = conf_get(
		conf_get(conf_get(conf_get(root, STR("gateway")), STR("listen"))->child->next,
			 STR("tls")),
		STR("cert"));
	assert_str(conf_text(cert), STR("tls/a.pem"));
	assert_str(conf_dir(cert), str_fmt(&arena, "%s/", dir));
	/* An empty variable takes a line back. */
	load_ok(path, ENV("KONG_LOG_LEVEL="));
	assert_str(shown("", "log_level"), STR("info"));
}

static void lines_that_are_wrong_are_named(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"x", "1: not of the form `name = value`"},
		{"\n= x", "2: not of the form `name = value`"},
		{"# y\n[section]", "2: not of the form `name = value`"},
		{"proxy_listn = off",
		 "1: proxy_listn: not a setting of kong.conf (did you mean \"proxy_listen\"?)"},
		{"zzzzzzzzzz = x", "1: zzzzzzzzzz: not a setting of kong.conf"},
		{"log_level = warn\nlog_level = info",
		 "2: log_level: is given twice (first in line 1)"},
		{"\nrole = control_plane",
		 "2: role: \"control_plane\" is not supported: there is no hybrid mode; leave it "
		 "out, and give the node the database or a declarative_config"},
		{"upstream_keepalive_pool_size = x",
		 "1: gateway.upstream_keepalive_pool_size: \"x\" is not a whole number"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *path = file("kong.conf", cases[i].text);

		assert_err(load(path, ENV("A=b")), ERR_INVALID);
		assert_memory_equal(fault.text, path, strlen(path));
		assert_string_equal(fault.text + strlen(path) + 1, cases[i].why);
	}
	load_ok(file("kong.conf", "port_maps = 80:8000\n"), ENV("A=b"));
	assert_str(warnings->text, str_fmt(&arena,
					   "%s/kong.conf:1: port_maps: has no effect: "
					   "X-Forwarded-Port is the port of the listener",
					   dir));
}

static void a_kong_conf_has_limits(void **state)
{
	const char *path = file("kong.conf", "# ");
	FILE *f = fopen(path, "ab");

	(void)state;
	assert_non_null(f);
	for (size_t i = 0; i < CONFIG_TEXT_MAX; i += 4) {
		assert_int_equal(fwrite("\n#\n\n", 1, 4, f), 4);
	}
	assert_int_equal(fclose(f), 0);
	assert_err(load(path, ENV("A=b")), ERR_LIMIT);
	path = file("kong.conf", "");
	f = fopen(path, "ab");
	assert_non_null(f);
	assert_int_equal(fwrite("a = b\0", 1, 6, f), 6);
	assert_int_equal(fclose(f), 0);
	assert_err(load(path, ENV("A=b")), ERR_INVALID);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(settings_become_keys_of_ours),
		T(what_is_wrong_is_refused),
		T(what_is_harmless_passes_in_silence),
		T(what_is_missing_is_told),
		T(variables_of_others_are_left_alone),
		T(addresses_have_flags),
		T(certificates_go_with_ssl),
		T(a_certificate_may_be_base64_or_in_a_vault),
		T(postgres_becomes_a_url),
		T(a_fault_never_shows_a_secret),
		T(off_takes_a_file_a_text_or_nothing),
		T(variables_come_before_the_file_and_ours_before_kongs),
		T(a_variable_starts_no_role_and_a_file_does),
		T(a_file_holds_the_value),
		T(a_kong_conf_is_read),
		T(lines_that_are_wrong_are_named),
		T(a_kong_conf_has_limits),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
