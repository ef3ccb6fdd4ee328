#include "entity_test.h"

#include "base/clock.h"
#include "tls/cert.h"

/* openssl req -x509 -newkey ec … -days 36500 -addext basicConstraints=critical,CA:TRUE */
/* clang-format off */
#define CA \
	"-----BEGIN CERTIFICATE-----\n" \
	"MIIBezCCASGgAwIBAgIUJ2pvZ//IzikkpfuE3XMCjKYXp+kwCgYIKoZIzj0EAwIw\n" \
	"EjEQMA4GA1UEAwwHVGVzdCBDQTAgFw0yNjExMjgxNzE0MTNaGA8yMTI2MTEwNDE3\n" \
	"MTQxM1owEjEQMA4GA1UEAwwHVGVzdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n" \
	"A0IABByLv5HIkQnc/oUTMA6IwuWZHFP1/dO3MMlYw09YEfz3br3O3ndKaOGjCYOP\n" \
	"9/YaeSClz0okIEa+FdDWyXfzhbSjUzBRMB0GA1UdDgQWBBRFwsdWz153WsLI3/vR\n" \
	"0ClsnIjcwDAfBgNVHSMEGDAWgBRFwsdWz153WsLI3/vR0ClsnIjcwDAPBgNVHRMB\n" \
	"Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIFUeCbG3SY8HrRQdDi5AKkdwC50R\n" \
	"6pHNK+6vbp2CuzI8AiEAqekqEtyKsKrPx4EWALsLTVWNE2BrLLYdie0C3p3hjn4=\n" \
	"-----END CERTIFICATE-----\n"
/* clang-format on */
#define CA_DIGEST "bfe02153a08b260cf94dee0d42e7b1d70c33f30887208a91e6350576a8d46e2f"
#define ID "\"0aa0a0aa-0000-4000-8000-00000000000a\""

static struct entity_test t;

static void begin(enum entity_kind kind)
{
	entity_test_init(&t, entity_defs[kind].schema);
}

static void end(void)
{
	entity_test_fini(&t);
}

/* -- services --------------------------------------------------------------- */

static void test_service_defaults(void **state)
{
	(void)state;
	begin(ENTITY_SERVICE);
	assert_takes(&t, "{\"id\":" ID ",\"name\":\"s\",\"host\":\"h\"}");
	assert_same(written(&t, t.out),
		    "{\"id\":" ID ",\"created_at\":1700000000,\"updated_at\":1700000000,"
		    "\"name\":\"s\",\"retries\":5,\"protocol\":\"http\",\"host\":\"h\",\"port\":80,"
		    "\"path\":null,\"connect_timeout\":60000,\"write_timeout\":60000,"
		    "\"read_timeout\":60000,\"tags\":null,\"client_certificate\":null,"
		    "\"tls_verify\":null,\"tls_verify_depth\":null,\"ca_certificates\":null,"
		    "\"enabled\":true}");
	end();
}

static void test_service_url(void **state)
{
	static const struct {
		const char *url, *protocol, *host, *port, *path;
	} cases[] = {
		{"http://h", "\"http\"", "\"h\"", "80", "null"},
		{"https://h", "\"https\"", "\"h\"", "443", "null"},
		{"http://h:81/p/q?x=1", "\"http\"", "\"h\"", "81", "\"/p/q\""},
		{"http://u:p@h/", "\"http\"", "\"h\"", "80", "\"/\""},
		{"http://[::1]:9/x", "\"http\"", "\"[::1]\"", "9", "\"/x\""},
		{"tcp://10.0.0.1:5432", "\"tcp\"", "\"10.0.0.1\"", "5432", "null"},
		{"relay://acme/erp", "\"relay\"", "\"acme\"", "80", "\"/erp\""},
		{"relay://acme/erp/v1/x", "\"relay\"", "\"acme\"", "80", "\"/erp/v1/x\""},
		{"role://mailbox", "\"role\"", "\"mailbox\"", "80", "null"},
	};

	(void)state;
	begin(ENTITY_SERVICE);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str in = str_fmt(&t.arena, "{\"url\":\"%s\"}", cases[i].url);

		assert_takes(&t, str_cstr(&t.arena, in));
		assert_at(&t, "protocol", cases[i].protocol);
		assert_at(&t, "host", cases[i].host);
		assert_at(&t, "port", cases[i].port);
		assert_at(&t, "path", cases[i].path);
		assert_null(json_get(t.out, STR("url")));
	}
	assert_refuses(&t, "{\"url\":\"nohost\"}", "{\"url\":\"missing host in url\"}");
	assert_refuses(&t, "{\"url\":\"http:///p\"}", "{\"url\":\"missing host in url\"}");
	assert_refuses(&t, "{\"url\":\"http://h:x\"}", "{\"port\":\"expected an integer\"}");
	assert_refuses(&t, "{\"url\":\"http://h:70000\"}",
		       "{\"port\":\"value should be between 0 and 65535\"}");
	assert_refuses(&t, "{\"url\":5}",
		       "{\"host\":\"required field missing\",\"url\":\"expected a string\"}");
	assert_refuses(&t, "{\"url\":\"relay://acme\"}",
		       "{\"path\":\"must name the target of the relay: /TARGET\"}");
	assert_takes(&t, "{\"url\":\"http://h/p\"}");
	assert_ok(update(&t, "{\"url\":\"https://k\"}"));
	assert_at(&t, "host", "\"k\"");
	assert_at(&t, "port", "443");
	assert_at(&t, "path", "null");
	end();
}

static void test_service_rules(void **state)
{
	(void)state;
	begin(ENTITY_SERVICE);
	assert_refuses(&t, "{}", "{\"host\":\"required field missing\"}");
	assert_refuses(&t, "{\"host\":\"h\",\"nope\":1}", "{\"nope\":\"unknown field\"}");
	assert_refuses(&t, "{\"host\":\"h:80\"}", "{\"host\":\"must not have a port\"}");
	assert_refuses(&t, "{\"host\":\"a b\"}", "{\"host\":\"invalid value: a b\"}");
	assert_refuses(&t, "{\"host\":\"h\",\"path\":\"x\"}",
		       "{\"path\":\"should start with: /\"}");
	assert_refuses(&t, "{\"host\":\"h\",\"path\":\"/a//b\"}",
		       "{\"path\":\"must not have empty segments\"}");
	assert_refuses(&t, "{\"host\":\"h\",\"path\":\"/%zz\"}",
		       "{\"path\":\"invalid url-encoded value: '%zz'\"}");
	assert_refuses(&t, "{\"host\":\"h\",\"path\":\"/a b\"}",
		       "{\"path\":\"invalid path: '/a b' (characters outside of the reserved "
		       "list of RFC 3986 found)\"}");
	assert_refuses(&t, "{\"host\":\"h\",\"name\":\"a b\"}",
		       "{\"name\":\"invalid value 'a b': the only accepted ascii characters are "
		       "alphanumerics or ., -, _, and ~\"}");
	assert_takes(&t, "{\"host\":\"h\",\"name\":\"gr\xc3\xbc\xc3\x9f\"}");
	assert_refuses(&t, "{\"host\":\"h\",\"protocol\":\"ftp\"}",
		       "{\"protocol\":\"expected one of: grpc, grpcs, http, https, tcp, tls, "
		       "tls_passthrough, udp, relay, role\"}");
	assert_refuses(&t, "{\"host\":\"h\",\"protocol\":\"tcp\",\"path\":\"/\"}",
		       "{\"path\":\"value must be null\",\"@entity\":[\"failed conditional "
		       "validation given value of field 'protocol'\"]}");
	assert_refuses(&t, "{\"host\":\"h\",\"tls_verify\":true}",
		       "{\"tls_verify\":\"value must be null\",\"@entity\":[\"failed conditional "
		       "validation given value of field 'protocol'\"]}");
	assert_takes(&t, "{\"url\":\"https://h\",\"tls_verify\":true,\"tls_verify_depth\":2,"
			 "\"ca_certificates\":[" ID "]}");
	assert_refuses(&t, "{\"host\":\"h\",\"tags\":[\"a\",\"b,c\"]}",
		       "{\"tags\":[null,\"invalid tag 'b,c': expected printable ascii (except "
		       "`,` and `/`) or valid utf-8 sequences\"]}");
	end();
}

/* -- routes ----------------------------------------------------------------- */

#define HTTP_ONE "must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'"

static void test_route_matchers(void **state)
{
	(void)state;
	begin(ENTITY_ROUTE);
	assert_refuses(&t, "{}",
		       "{\"@entity\":[\"must set one of 'methods', 'hosts', 'headers', 'paths', "
		       "'snis' when 'protocols' is 'https'\"]}");
	assert_refuses(&t, "{\"protocols\":[\"http\"]}", "{\"@entity\":[\"" HTTP_ONE "\"]}");
	assert_refuses(&t, "{\"protocols\":[\"http\"],\"paths\":[]}",
		       "{\"@entity\":[\"" HTTP_ONE "\"]}");
	assert_refuses(&t, "{\"protocols\":[\"grpc\"]}",
		       "{\"@entity\":[\"must set one of 'hosts', 'headers', 'paths' when "
		       "'protocols' is 'grpc'\"]}");
	assert_refuses(&t, "{\"protocols\":[\"grpcs\"]}",
		       "{\"@entity\":[\"must set one of 'hosts', 'headers', 'paths', 'snis' when "
		       "'protocols' is 'grpcs'\"]}");
	assert_refuses(&t, "{\"protocols\":[\"udp\"]}",
		       "{\"@entity\":[\"must set one of 'sources', 'destinations', 'snis' when "
		       "'protocols' is 'tcp', 'tls' or 'udp'\"]}");
	assert_refuses(&t, "{\"protocols\":[\"tls_passthrough\"]}",
		       "{\"@entity\":[\"must set snis when 'protocols' is 'tls_passthrough'\"]}");
	assert_refuses(&t, "{\"protocols\":[\"http\"],\"paths\":[\"/\"],\"snis\":[\"a.com\"]}",
		       "{\"snis\":\"length must be 0\",\"@entity\":[\"'snis' can only be set when "
		       "'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'\"]}");
	assert_refuses(&t, "{\"paths\":[\"/\"],\"sources\":[{\"ip\":\"10.0.0.0/8\"}]}",
		       "{\"sources\":\"cannot set 'sources' when 'protocols' is 'http' or "
		       "'https'\"}");
	assert_takes(&t, "{\"protocols\":[\"tcp\"],\"sources\":[{\"ip\":\"10.0.0.0/8\","
			 "\"port\":5},{\"port\":6}]}");
	assert_refuses(&t, "{\"protocols\":[\"tcp\"],\"sources\":[{\"port\":6},{}]}",
		       "{\"sources\":[null,{\"@entity\":[\"at least one of these fields must be "
		       "non-empty: 'ip', 'port'\"]}]}");
	end();
}

static void test_route_protocols(void **state)
{
#define SETS                                                                                       \
	"these sets are mutually exclusive: ('http', 'https'), ('tcp', 'tls', 'udp'), "            \
	"('tls_passthrough'), ('grpc', 'grpcs')"
	(void)state;
	begin(ENTITY_ROUTE);
	assert_refuses(&t, "{\"protocols\":[\"http\",\"tcp\"],\"paths\":[\"/\"]}",
		       "{\"protocols\":\"" SETS "\"}");
	assert_refuses(&t, "{\"protocols\":[],\"paths\":[\"/\"]}",
		       "{\"protocols\":\"length must be at least 1\"}");
	assert_takes(&t, "{\"protocols\":[\"http\",\"http\"],\"paths\":[\"/\"]}");
	assert_at(&t, "protocols", "[\"http\"]");
	assert_at(&t, "strip_path", "true");
	assert_takes(&t, "{\"protocols\":[\"grpc\"],\"paths\":[\"/\"]}");
	assert_at(&t, "strip_path", "false");
	assert_refuses(&t, "{\"protocols\":[\"grpc\"],\"paths\":[\"/\"],\"strip_path\":true}",
		       "{\"strip_path\":\"cannot set 'strip_path' when 'protocols' is 'grpc' or "
		       "'grpcs'\"}");
	assert_takes(&t, "{\"paths\":[\"/\"]}");
	assert_at(&t, "protocols", "[\"http\",\"https\"]");
	assert_at(&t, "https_redirect_status_code", "426");
	assert_at(&t, "path_handling", "\"v0\"");
	assert_at(&t, "regex_priority", "0");
	assert_at(&t, "service", "null");
	assert_refuses(&t, "{\"paths\":[\"/\"],\"https_redirect_status_code\":300}",
		       "{\"https_redirect_status_code\":\"expected one of: 426, 301, 302, 307, "
		       "308\"}");
	end();
}

static void test_route_fields(void **state)
{
	static const struct {
		const char *in, *errors;
	} cases[] = {
		{"\"paths\":[\"/a\",\"r\"]",
		 "{\"paths\":[null,\"should start with: / (fixed path) or ~/ (regex path)\"]}"},
		{"\"paths\":[\"/a//b\"]", "{\"paths\":[\"must not have empty segments\"]}"},
		{"\"paths\":[\"/a/../b\"]",
		 "{\"paths\":[\"non-normalized path, consider use '/b' instead\"]}"},
		{"\"paths\":[\"/%61\"]",
		 "{\"paths\":[\"non-normalized path, consider use '/a' instead\"]}"},
		{"\"hosts\":[\"*.*.com\"]",
		 "{\"hosts\":[\"invalid wildcard: must have at most one wildcard\"]}"},
		{"\"hosts\":[\"a.*.com\"]", "{\"hosts\":[\"invalid wildcard: must be placed at "
					    "leftmost or rightmost label\"]}"},
		{"\"hosts\":[\"a_b c\"]", "{\"hosts\":[\"invalid hostname: a_b c\"]}"},
		{"\"methods\":[\"get\"]", "{\"methods\":[\"invalid value: get\"]}"},
		{"\"methods\":\"GET\"", "{\"methods\":\"expected a set\"}"},
		{"\"hosts\":\"a\"", "{\"hosts\":\"expected an array\"}"},
		{"\"headers\":[\"a\"]", "{\"headers\":\"expected a map\"}"},
		{"\"paths\":[\"/\"],\"headers\":{\"Host\":[\"a\"]}",
		 "{\"headers\":{\"Host\":\"cannot contain 'host' header, which must be specified "
		 "in the 'hosts' attribute\"}}"},
		{"\"paths\":[\"/\"],\"service\":{}",
		 "{\"service\":{\"id\":\"missing primary key\"}}"},
		{"\"paths\":[\"/\"],\"service\":{\"id\":\"x\"}",
		 "{\"service\":{\"id\":\"expected a valid UUID\"}}"},
		{"\"paths\":[\"/\"],\"service\":\"x\"", "{\"service\":\"expected a record\"}"},
	};

	(void)state;
	begin(ENTITY_ROUTE);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str in = str_fmt(&t.arena, "{%s}", cases[i].in);

		assert_refuses(&t, str_cstr(&t.arena, in), cases[i].errors);
	}
	assert_err(insert(&t, "{\"paths\":[\"~/a(\"]}"), ERR_INVALID);
	assert_true(str_starts(json_str(json_get(t.errors, STR("paths"))->child),
			       STR("invalid regex: '/a(' (PCRE returned: ")));
	assert_takes(&t, "{\"paths\":[\"/a\",\"~/b/(?<id>[^/]+)$\"],\"methods\":[\"GET\"],"
			 "\"hosts\":[\"*.a.com\",\"a.*\",\"b.com:81\",\"*.c.com:82\"],"
			 "\"headers\":{\"x-a\":[\"1\",\"2\"],\"x-b\":[\"~*^v\"]},"
			 "\"snis\":[\"*.a.com\"],\"service\":{\"id\":" ID "}}");
	assert_at(&t, "service", "{\"id\":" ID "}");
	end();
}

/* -- consumers and their credentials ---------------------------------------- */

static void test_consumer(void **state)
{
#define ONE_OF "at least one of these fields must be non-empty: 'custom_id', 'username'"
	(void)state;
	begin(ENTITY_CONSUMER);
	assert_refuses(&t, "{}", "{\"@entity\":[\"" ONE_OF "\"]}");
	assert_takes(&t, "{\"username\":\"app$api\"}");
	assert_at(&t, "custom_id", "null");
	assert_update_refused(&t, "{\"username\":null}",
			      "{\"@entity\":[\"when updating, " ONE_OF "\"]}");
	assert_ok(update(&t, "{\"username\":null,\"custom_id\":\"5\"}"));
	assert_at(&t, "username", "null");
	assert_refuses(&t, "{\"username\":\"\"}", "{\"username\":\"length must be at least 1\"}");
	end();
}

static void test_key_auth(void **state)
{
	(void)state;
	begin(ENTITY_KEY_AUTH);
	assert_refuses(&t, "{}", "{\"consumer\":\"required field missing\"}");
	assert_takes(&t, "{\"consumer\":{\"id\":" ID "}}");
	struct str made = json_str(json_get(t.out, STR("key")));

	assert_int_equal(made.n, 32);
	assert_ok(update(&t, "{\"tags\":[\"a\"]}"));
	assert_str(json_str(json_get(t.out, STR("key"))), made);
	assert_takes(&t, "{\"consumer\":{\"id\":" ID "},\"key\":\"k\",\"ttl\":100}");
	assert_at(&t, "ttl", "100");
	assert_refuses(&t, "{\"consumer\":{\"id\":" ID "},\"ttl\":-1}",
		       "{\"ttl\":\"value should be between 0 and 100000000\"}");
	end();
}

static void test_basic_auth(void **state)
{
	/* printf 'secret0aa0a0aa-0000-4000-8000-00000000000a' | sha1sum */
#define HASH "\"b3575fab7fff214b3f21cf539bf0fa19f479320b\""
	(void)state;
	begin(ENTITY_BASIC_AUTH);
	assert_refuses(&t, "{\"consumer\":{\"id\":" ID "},\"username\":\"u\"}",
		       "{\"password\":\"required field missing\"}");
	assert_takes(&t, "{\"consumer\":{\"id\":" ID "},\"username\":\"u\","
			 "\"password\":\"secret\"}");
	assert_at(&t, "password", HASH);
	assert_ok(update(&t, "{\"username\":\"v\"}"));
	assert_at(&t, "password", HASH);
	assert_ok(update(&t, "{\"password\":\"other\"}"));
	assert_false(str_eq(written(&t, json_get(t.out, STR("password"))), STR(HASH)));
	t.keep_derived = true;
	assert_takes(&t, "{\"consumer\":{\"id\":" ID "},\"username\":\"u\","
			 "\"password\":\"already\"}");
	assert_at(&t, "password", "\"already\"");
	end();
}

static void test_acl(void **state)
{
	(void)state;
	begin(ENTITY_ACL);
	assert_refuses(&t, "{\"consumer\":{\"id\":" ID "}}",
		       "{\"group\":\"required field missing\"}");
	assert_takes(&t, "{\"consumer\":{\"id\":" ID "},\"group\":\"g\"}");
	end();
}

/* -- upstreams and targets -------------------------------------------------- */

static void test_upstream_defaults(void **state)
{
	(void)state;
	begin(ENTITY_UPSTREAM);
	assert_takes(&t, "{\"name\":\"u.internal\"}");
	assert_at(&t, "algorithm", "\"round-robin\"");
	assert_at(&t, "hash_on", "\"none\"");
	assert_at(&t, "hash_on_cookie_path", "\"/\"");
	assert_at(&t, "slots", "10000");
	assert_at(&t, "use_srv_name", "false");
	assert_at(&t, "healthchecks",
		  "{\"active\":{\"type\":\"http\",\"timeout\":1,\"concurrency\":10,"
		  "\"http_path\":\"/\",\"https_sni\":null,\"https_verify_certificate\":true,"
		  "\"headers\":null,\"healthy\":{\"interval\":0,\"http_statuses\":[200,302],"
		  "\"successes\":0},\"unhealthy\":{\"interval\":0,\"http_statuses\":[429,404,500,"
		  "501,502,503,504,505],\"tcp_failures\":0,\"timeouts\":0,\"http_failures\":0}},"
		  "\"passive\":{\"type\":\"http\",\"healthy\":{\"http_statuses\":[200,201,202,203,"
		  "204,205,206,207,208,226,300,301,302,303,304,305,306,307,308],\"successes\":0},"
		  "\"unhealthy\":{\"http_statuses\":[429,500,503],\"tcp_failures\":0,"
		  "\"timeouts\":0,\"http_failures\":0}},\"threshold\":0}");
	assert_ok(update(&t, "{\"healthchecks\":{\"active\":{\"healthy\":{\"interval\":5,"
			     "\"http_statuses\":[200]}}}}"));
	assert_at(&t, "healthchecks.active.healthy",
		  "{\"interval\":5,\"http_statuses\":[200],\"successes\":0}");
	assert_at(&t, "healthchecks.active.unhealthy.interval", "0");
	end();
}

static void test_upstream_rules(void **state)
{
#define GIVEN(field)                                                                               \
	"\"@entity\":[\"failed conditional validation given value of field '" field "'\"]"
	(void)state;
	begin(ENTITY_UPSTREAM);
	assert_refuses(&t, "{\"name\":\"1.2.3.4\"}",
		       "{\"name\":\"Invalid name ('1.2.3.4'); no ip addresses allowed\"}");
	assert_refuses(&t, "{\"name\":\"u:80\"}",
		       "{\"name\":\"Invalid name ('u:80'); no port allowed\"}");
	assert_refuses(&t, "{\"name\":\"u v\"}",
		       "{\"name\":\"Invalid name ('u v'); must be a valid hostname\"}");
	assert_refuses(&t, "{\"name\":\"u\",\"hash_on\":\"header\"}",
		       "{\"hash_on_header\":\"required field missing\"," GIVEN("hash_on") "}");
	assert_refuses(&t, "{\"name\":\"u\",\"hash_fallback\":\"ip\"}",
		       "{\"hash_fallback\":\"expected one of: none\"," GIVEN("hash_on") "}");
	assert_refuses(
		&t, "{\"name\":\"u\",\"hash_on\":\"ip\",\"hash_fallback\":\"ip\"}",
		"{\"hash_fallback\":\"expected one of: none, consumer, header, cookie, path, "
		"query_arg, uri_capture\"," GIVEN("hash_on") "}");
	assert_refuses(&t,
		       "{\"name\":\"u\",\"hash_on\":\"header\",\"hash_on_header\":\"x\","
		       "\"hash_fallback\":\"header\",\"hash_fallback_header\":\"x\"}",
		       "{\"@entity\":[\"values of these fields must be distinct: "
		       "'hash_on_header', 'hash_fallback_header'\"]}");
	assert_takes(&t, "{\"name\":\"u\",\"hash_on\":\"ip\"}");
	assert_at(&t, "algorithm", "\"consistent-hashing\"");
	assert_takes(&t, "{\"name\":\"u\",\"hash_on\":\"ip\",\"algorithm\":\"round-robin\"}");
	assert_at(&t, "algorithm", "\"round-robin\"");
	assert_refuses(
		&t,
		"{\"name\":\"u\",\"slots\":9,\"healthchecks\":{\"active\":{\"healthy\":"
		"{\"http_statuses\":[200,99]}}}}",
		"{\"slots\":\"value should be between 10 and 65536\",\"healthchecks\":"
		"{\"active\":{\"healthy\":{\"http_statuses\":[null,\"value should be between "
		"100 and 999\"]}}}}");
	assert_str(schema_errors_text(&t.arena, t.errors),
		   STR("2 schema violations (healthchecks.active.healthy.http_statuses.2: value "
		       "should be between 100 and 999; slots: value should be between 10 and "
		       "65536)"));
	end();
}

static void test_target(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"a.com", "\"a.com:8000\""},	   {"a.com:81", "\"a.com:81\""},
		{"10.0.0.1", "\"10.0.0.1:8000\""}, {"[::1]:80", "\"[::1]:80\""},
		{"::1", "\"[::1]:8000\""},
	};

	(void)state;
	begin(ENTITY_TARGET);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str in = str_fmt(
			&t.arena, "{\"upstream\":{\"id\":" ID "},\"target\":\"%s\"}", cases[i].in);

		assert_takes(&t, str_cstr(&t.arena, in));
		assert_at(&t, "target", cases[i].out);
	}
	assert_at(&t, "created_at", "1700000000.123");
	assert_at(&t, "weight", "100");
	assert_refuses(&t, "{\"upstream\":{\"id\":" ID "},\"target\":\"a b\"}",
		       "{\"target\":\"Invalid target ('a b'); not a valid hostname or ip "
		       "address\"}");
	end();
}

/* -- certificates ----------------------------------------------------------- */

static struct tls_pem made(enum tls_key_kind kind)
{
	struct tls_pem pem;

	assert_ok(tls_self_signed(&t.arena, kind, STR("a.com"), 10, &pem, NULL));
	return pem;
}

static struct json *certificate(struct str cert, struct str key)
{
	struct json *v = tree_object(&t.arena);

	tree_set(&t.arena, v, STR("cert"), tree_str(&t.arena, cert));
	tree_set(&t.arena, v, STR("key"), tree_str(&t.arena, key));
	return v;
}

static enum err process(const struct json *v, int64_t now_ms)
{
	struct schema_input in = {.op = SCHEMA_INSERT, .value = v, .now_ms = now_ms};

	return run(&t, &in);
}

static void assert_not(const struct json *v, const char *errors)
{
	assert_err(process(v, clock_wall_ms()), ERR_INVALID);
	assert_same(written(&t, t.errors), errors);
}

static void test_certificate(void **state)
{
	(void)state;
	begin(ENTITY_CERTIFICATE);
	struct tls_pem a = made(TLS_KEY_EC);
	struct tls_pem b = made(TLS_KEY_EC);
	struct tls_pem rsa = made(TLS_KEY_RSA);
	struct json *v = certificate(a.cert, a.key);

	assert_ok(process(v, NOW));
	tree_set(&t.arena, v, STR("cert_alt"), tree_str(&t.arena, rsa.cert));
	assert_not(v, "{\"@entity\":[\"all or none of these fields must be set: 'cert_alt', "
		      "'key_alt'\"]}");
	tree_set(&t.arena, v, STR("key_alt"), tree_str(&t.arena, rsa.key));
	assert_ok(process(v, NOW));
	tree_set(&t.arena, v, STR("key_alt"), tree_str(&t.arena, b.key));
	assert_not(v, "{\"@entity\":[\"alternative certificate does not match key\"]}");
	tree_set(&t.arena, v, STR("cert_alt"), tree_str(&t.arena, b.cert));
	assert_not(v, "{\"@entity\":[\"certificate and alternative certificate need to have "
		      "different type (e.g. RSA and ECDSA), the provided certificates were both "
		      "of the same type\"]}");
	assert_not(certificate(a.cert, b.key),
		   "{\"@entity\":[\"certificate does not match key\"]}");
	assert_ok(process(certificate(a.cert, STR("{vault://env/key}")), NOW));
	assert_err(process(certificate(STR("x"), STR("y")), NOW), ERR_INVALID);
	assert_true(str_starts(json_str(json_get(t.errors, STR("cert"))),
			       STR("invalid certificate: ")));
	assert_true(str_starts(json_str(json_get(t.errors, STR("key"))), STR("invalid key: ")));
	end();
}

static void test_ca_certificate(void **state)
{
	struct json *v;

	(void)state;
	begin(ENTITY_CA_CERTIFICATE);
	struct tls_pem leaf = made(TLS_KEY_EC);
	struct str twice = str_fmt(&t.arena, "%.*s%.*s", STR_ARG(leaf.cert), STR_ARG(leaf.cert));

	v = tree_object(&t.arena);
	tree_set(&t.arena, v, STR("cert"), tree_str(&t.arena, twice));
	assert_not(v, "{\"@entity\":[\"please submit only one certificate at a time\"]}");
	tree_set(&t.arena, v, STR("cert"), tree_str(&t.arena, leaf.cert));
	assert_not(v, "{\"@entity\":[\"certificate does not appear to be a CA because it is "
		      "missing the \\\"CA\\\" basic constraint\"]}");
	tree_set(&t.arena, v, STR("cert"), tree_str(&t.arena, STR(CA)));
	assert_ok(process(v, clock_wall_ms()));
	assert_at(&t, "cert_digest", "\"" CA_DIGEST "\"");
	assert_err(process(v, INT64_MAX), ERR_INVALID);
	assert_same(written(&t, t.errors), "{\"@entity\":[\"certificate expired, \\\"Not "
					   "After\\\" time is in the past\"]}");
	end();
}

#define LABEL "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff23"
#define LONG LABEL "." LABEL "." LABEL "." LABEL /* 251 */

static void test_sni(void **state)
{
	static const char *const good[] = {"a.com",   "*.a.com",     "a.*", "*",
					   "a." LONG, "a." LONG ".", NULL};
	static const struct {
		const char *name, *error;
	} bad[] = {
		{"a.*.com", "invalid wildcard: must be placed at leftmost or rightmost label"},
		{"*.a.*", "invalid wildcard: must have at most one wildcard"},
		{"10.0.0.1", "must not be an IP"},
		{"a.com:443", "must not have a port"},
		{"a b", "invalid value: a b"},
		{"ab." LONG, "length must be at most 253"},
		{"*.a." LONG, "length must be at most 253"},
	};

	(void)state;
	begin(ENTITY_SNI);
	for (size_t i = 0; good[i]; i++) {
		struct str in = str_fmt(
			&t.arena, "{\"name\":\"%s\",\"certificate\":{\"id\":" ID "}}", good[i]);

		assert_takes(&t, str_cstr(&t.arena, in));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct str in = str_fmt(
			&t.arena, "{\"name\":\"%s\",\"certificate\":{\"id\":" ID "}}", bad[i].name);
		struct str errors = str_fmt(&t.arena, "{\"name\":\"%s\"}", bad[i].error);

		assert_refuses(&t, str_cstr(&t.arena, in), str_cstr(&t.arena, errors));
	}
	end();
}

/* -- vaults ----------------------------------------------------------------- */

static void test_vault(void **state)
{
	(void)state;
	begin(ENTITY_VAULT);
	assert_takes(&t, "{\"prefix\":\"my-env\",\"name\":\"env\"}");
	assert_at(&t, "config", "{\"prefix\":null,\"base64_decode\":false}");
	assert_refuses(&t, "{\"prefix\":\"env\",\"name\":\"env\"}",
		       "{\"prefix\":\"must not be one of: env\"}");
	assert_refuses(&t, "{\"prefix\":\"X\",\"name\":\"aws\"}",
		       "{\"prefix\":\"invalid value: X\",\"name\":\"expected one of: env\"}");
	end();
}

/* -- plugins ---------------------------------------------------------------- */

static const struct schema_field redis_fields[] = {
	{.name = "host", .type = SCHEMA_STRING},
	{.name = "port", .type = SCHEMA_INTEGER, .dflt = "6379"},
};
static const struct schema redis = {
	.name = "redis", .fields = redis_fields, .n = ARRAY_LEN(redis_fields)};
static const struct schema_field limit_fields[] = {
	{.name = "second", .type = SCHEMA_NUMBER, .has_gt = true},
	{.name = "minute", .type = SCHEMA_NUMBER, .has_gt = true},
	{.name = "redis", .type = SCHEMA_RECORD, .flags = SCHEMA_REQUIRED, .record = &redis},
	{.name = "redis_host", .type = SCHEMA_STRING, .alias_of = "redis.host"},
	{.name = "redis_port", .type = SCHEMA_INTEGER, .alias_of = "redis.port"},
};
static const struct schema_rule limit_rules[] = {
	{.kind = SCHEMA_AT_LEAST_ONE_OF, .fields = {"second", "minute"}},
};
static const struct schema limit = {.name = "limit",
				    .fields = limit_fields,
				    .n = ARRAY_LEN(limit_fields),
				    .rules = limit_rules,
				    .n_rules = ARRAY_LEN(limit_rules)};

static bool find(struct str name, struct entity_plugin *out)
{
	*out = (struct entity_plugin){.config = &limit, .no_consumer = true};
	return str_eq(name, STR("limit"));
}

static void test_plugin(void **state)
{
	(void)state;
	begin(ENTITY_PLUGIN);
	assert_refuses(&t, "{\"name\":\"nope\",\"config\":{\"x\":1}}",
		       "{\"name\":\"plugin 'nope' not enabled; add it to the 'plugins' "
		       "configuration property\"}");
	assert_refuses(&t, "{}", "{\"name\":\"required field missing\"}");
	assert_refuses(&t, "{\"name\":\"limit\"}",
		       "{\"@entity\":[\"at least one of these fields must be non-empty: "
		       "'config.second', 'config.minute'\"]}");
	assert_refuses(&t, "{\"name\":\"limit\",\"config\":{\"second\":0,\"x\":1}}",
		       "{\"config\":{\"x\":\"unknown field\",\"second\":\"value must be greater "
		       "than 0\"}}");
	assert_refuses(
		&t, "{\"name\":\"limit\",\"config\":{\"second\":1},\"consumer\":{\"id\":" ID "}}",
		"{\"consumer\":\"value must be null\"}");
	assert_takes(&t, "{\"name\":\"limit\",\"config\":{\"second\":1}}");
	assert_at(&t, "protocols", "[\"grpc\",\"grpcs\",\"http\",\"https\"]");
	assert_at(&t, "enabled", "true");
	assert_at(&t, "config",
		  "{\"second\":1,\"minute\":null,\"redis\":{\"host\":null,\"port\":6379},"
		  "\"redis_host\":null,\"redis_port\":6379}");
	assert_update_refused(&t, "{\"config\":{\"second\":null}}",
			      "{\"@entity\":[\"when updating, at least one of these fields must "
			      "be non-empty: 'config.second', 'config.minute'\"]}");
	assert_ok(update(&t, "{\"config\":{\"redis_host\":\"r\"}}"));
	assert_at(&t, "config",
		  "{\"second\":1,\"minute\":null,\"redis\":{\"host\":\"r\",\"port\":6379},"
		  "\"redis_host\":\"r\",\"redis_port\":6379}");
	assert_ok(update(&t, "{\"config\":{\"redis\":{\"port\":1}}}"));
	assert_at(&t, "config.redis_port", "1");
	assert_at(&t, "config.redis_host", "\"r\"");
	end();
}

/* -- the table and items ---------------------------------------------------- */

static void test_defs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENTITY_KINDS; i++) {
		const struct entity_def *d = &entity_defs[i];

		assert_int_equal(d->kind, i);
		assert_non_null(d->schema);
		assert_ptr_equal(entity_def_by_collection(str_c(d->collection)), d);
	}
	assert_int_equal(entity_def_by_declarative(STR("keyauth_credentials"))->kind,
			 ENTITY_KEY_AUTH);
	assert_int_equal(entity_def_by_declarative(STR("acls"))->kind, ENTITY_ACL);
	assert_null(entity_def_by_declarative(STR("key-auths")));
	assert_null(entity_def_by_collection(STR("nope")));
}

static int freed;

static void count_free(void *p)
{
	assert_string_equal(p, "compiled");
	freed++;
}

static void test_item(void **state)
{
	static char compiled[] = "compiled";
	struct guid id = guid_new();
	struct entity_item *i;
	struct entity_item *second;

	(void)state;
	begin(ENTITY_CONSUMER);
	assert_takes(&t, "{\"username\":\"u\"}");
	i = entity_item_new(ENTITY_CONSUMER, &id, t.out);
	end(); /* it stands alone */
	assert_str(json_str(json_get(i->json, STR("username"))), STR("u"));
	i->compiled = compiled;
	i->compiled_free = count_free;
	second = entity_item_ref(i);
	entity_item_unref(&i);
	assert_null(i);
	assert_int_equal(freed, 0);
	entity_item_unref(&second);
	assert_int_equal(freed, 1);
	entity_item_unref(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_service_defaults),
		cmocka_unit_test(test_service_url),
		cmocka_unit_test(test_service_rules),
		cmocka_unit_test(test_route_matchers),
		cmocka_unit_test(test_route_protocols),
		cmocka_unit_test(test_route_fields),
		cmocka_unit_test(test_consumer),
		cmocka_unit_test(test_key_auth),
		cmocka_unit_test(test_basic_auth),
		cmocka_unit_test(test_acl),
		cmocka_unit_test(test_upstream_defaults),
		cmocka_unit_test(test_upstream_rules),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_ca_certificate),
		cmocka_unit_test(test_sni),
		cmocka_unit_test(test_vault),
		cmocka_unit_test(test_plugin),
		cmocka_unit_test(test_defs),
		cmocka_unit_test(test_item),
	};

	entity_plugins_from(find);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
