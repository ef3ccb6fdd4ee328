/*
 * How long a refusal takes tells nothing about a credential that exists.
 *
 * The linker puts this file between the code and what compares bytes (--wrap, see meson.build):
 * str_eq_const_time, whose time depends on lengths only, and memcmp and bcmp, which stop at the
 * first difference and so must not meet a stored secret beside a wrong guess. A key of key-auth is
 * found in a table, which compares keyed hashes first: memcmp meets the stored key only beside one
 * of the same 64 bits, which is the key itself.
 */
#include "base/enc.h"
#include "base/json.h"
#include "gateway/call_int.h"
#include "gateway/certificates.h"
#include "gateway/plugin.h"
#include "tls/crypto.h"
#include "unit.h"

#define KEY "0123456789abcdef"
#define USER "alice"
#define PASSWORD "open sesame"
enum { OTHER_KEYS = 40 };

#define CONSUMER "00000000-0000-0000-0000-000000000001"

struct fixture {
	struct arena arena;
	struct loops loops;
	struct tls_cert *cert;
	struct builder *builder;
	struct hold hold;
};

/* ---- what is wrapped ---- */

static _Thread_local struct str watched; /* a stored secret */
static _Thread_local unsigned seen;	 /* by memcmp and bcmp */
static unsigned const_time;		 /* calls ... */
static struct str const_time_of[2];	 /* ... and the last one's */
static struct http_request request;
static int refused;

bool __real_str_eq_const_time(struct str a, struct str b);
bool __wrap_str_eq_const_time(struct str a, struct str b);
int __real_memcmp(const void *a, const void *b, size_t n);
int __wrap_memcmp(const void *a, const void *b, size_t n);
int __wrap_bcmp(const void *a, const void *b, size_t n);
const struct http_request *__wrap_exchange_request(const struct exchange *x);
void __wrap_call_error(struct gw_call *c, int status, struct str message);

bool __wrap_str_eq_const_time(struct str a, struct str b)
{
	const_time++;
	const_time_of[0] = a;
	const_time_of[1] = b;
	return __real_str_eq_const_time(a, b);
}

static bool is_watched(const char *p, size_t n)
{
	return p < watched.p + watched.n && p + n > watched.p;
}

int __wrap_memcmp(const void *a, const void *b, size_t n)
{
	seen += is_watched(a, n) || is_watched(b, n);
	return __real_memcmp(a, b, n);
}

int __wrap_bcmp(const void *a, const void *b, size_t n)
{
	return __wrap_memcmp(a, b, n);
}

const struct http_request *__wrap_exchange_request(const struct exchange *x)
{
	(void)x;
	return &request;
}

void __wrap_call_error(struct gw_call *c, int status, struct str message)
{
	(void)c;
	(void)message;
	refused = status;
}

/* ---- requests ---- */

/* The plugin with its defaults, asked about a request with this header: the status, or 0. */
static int ask(struct fixture *f, const char *plugin, struct str name, struct str value,
	       const struct gw_consumer **out)
{
	static const struct plan plan;
	const struct plugin *p = plugin_find(str_c(plugin));
	struct schema_input in = {.op = SCHEMA_INSERT};
	const struct json *config, *errors;
	struct http_header header = {name, value};
	struct plugin_instance instance = {.plugin = p, .arena = &f->arena};
	struct gw_call call = {.arena = &f->arena, .hold = &f->hold, .plan = &plan};
	struct json *none;

	assert_ok(json_parse(&f->arena, STR("{}"), &none, NULL));
	in.value = none;
	assert_ok(schema_process(&f->arena, p->config, &in, &config, &errors));
	instance.config = arena_zalloc(&f->arena, p->config_size);
	schema_decode(&f->arena, p->config, config, instance.config);
	assert_ok(p->compile(NULL, &instance, NULL));
	request = (struct http_request){.method = HTTP_GET, .headers = {&header, 1, 1}};
	call.headers = (struct http_headers){arena_zalloc(&f->arena, 64 * sizeof(header)), 0, 64};
	const_time = 0;
	seen = 0;
	refused = 0;
	(void)p->access(&call, &instance);
	*out = call.consumer;
	return refused;
}

static const struct gw_credential *stored(struct fixture *f, enum gw_credential_kind kind,
					  const char *key)
{
	const struct gw_credential *c =
		identity_credential(f->hold.epoch->identity, kind, str_c(key));

	assert_non_null(c);
	return c;
}

static void key_auth_refuses(struct fixture *f, struct str key)
{
	const struct gw_consumer *who;

	assert_int_equal(ask(f, "key-auth", STR("apikey"), key, &who), 401);
	assert_null(who);
	assert_int_equal(seen, 0);
}

static void a_wrong_key_does_not_meet_the_right_one(void **state)
{
	struct fixture *f = *state;
	const struct gw_consumer *who;
	char guess[] = KEY;

	watched = stored(f, GW_KEY_AUTH, KEY)->key;
	for (size_t i = 0; i < sizeof(guess) - 1; i++) {
		for (int bit = 0; bit < 8; bit++) {
			guess[i] = (char)(KEY[i] ^ 1 << bit);
			key_auth_refuses(f, str_of(guess, sizeof(guess) - 1));
		}
		guess[i] = KEY[i];
	}
	for (size_t n = 1; n < sizeof(guess) - 1; n++) {
		key_auth_refuses(f, str_of(KEY, n));
	}
	key_auth_refuses(f, STR(KEY "0"));
	/* The right one does, or this test would not know. */
	assert_int_equal(ask(f, "key-auth", STR("apikey"), STR(KEY), &who), 0);
	assert_str(who->username, STR(USER));
	assert_true(seen > 0);
}

static int login(struct fixture *f, const char *user, const char *password,
		 const struct gw_consumer **out)
{
	struct str pair = str_fmt(&f->arena, "%s:%s", user, password);
	struct buf value = {0};
	int status;

	buf_puts(&value, "Basic ");
	base64_encode(&value, pair);
	status = ask(f, "basic-auth", STR("Authorization"), buf_str(&value), out);
	buf_free(&value);
	return status;
}

/* Known or not, right or wrong: one comparison, of as many bytes. */
static void a_password_is_compared_in_constant_time(void **state)
{
	static const struct {
		const char *user, *password;
		int status;
		bool is_known;
	} cases[] = {
		{USER, PASSWORD, 0, true},
		{USER, "open sesamf", 401, true},
		{USER, "", 401, true},
		{"bob", PASSWORD, 401, false},
	};
	struct fixture *f = *state;

	watched = stored(f, GW_BASIC_AUTH, USER)->secret;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct gw_consumer *who;

		assert_int_equal(login(f, cases[i].user, cases[i].password, &who), cases[i].status);
		assert_int_equal(who != NULL, cases[i].status == 0);
		assert_int_equal(const_time, 1);
		assert_int_equal(const_time_of[0].p == watched.p, cases[i].is_known);
		assert_int_equal(const_time_of[0].n, 2 * SHA1_LEN);
		assert_int_equal(const_time_of[1].n, 2 * SHA1_LEN);
		assert_int_equal(seen, 0);
	}
}

/* ---- set-up ---- */

static struct entity_item *item(struct fixture *f, enum entity_kind kind, uint8_t n,
				struct str text)
{
	struct guid id = {.b = {[15] = n}};
	struct json *doc;

	assert_ok(json_parse(&f->arena, text, &doc, NULL));
	return entity_item_new(kind, &id, doc);
}

static struct str stored_password(struct fixture *f)
{
	uint8_t sum[SHA1_LEN];
	struct buf hex = {0};
	struct str out;

	crypto_sha1(STR(PASSWORD CONSUMER), sum);
	for (size_t i = 0; i < sizeof(sum); i++) {
		buf_printf(&hex, "%02x", sum[i]);
	}
	out = str_dup(&f->arena, buf_str(&hex));
	buf_free(&hex);
	return out;
}

static int set_up(void **state)
{
	static struct fixture f;
	const char *of = "\"consumer\":{\"id\":\"" CONSUMER "\"}";
	/* So many keys that they are found in an index, as in any real use. */
	struct entity_change v[3 + OTHER_KEYS] = {
		{.kind = ENTITY_CONSUMER}, {.kind = ENTITY_KEY_AUTH}, {.kind = ENTITY_BASIC_AUTH}};

	f = (struct fixture){0};
	arena_init(&f.arena, 0);
	assert_ok(loops_start(&f.loops, 1, NULL));
	assert_ok(certificates_default(&f.cert, NULL));
	f.builder = builder_new(&(struct plugin_host){.loops = &f.loops}, f.cert);
	v[0].item = item(&f, v[0].kind, 1, STR("{\"username\":\"" USER "\"}"));
	v[1].item = item(&f, v[1].kind, 2, str_fmt(&f.arena, "{\"key\":\"" KEY "\",%s}", of));
	v[2].item = item(&f, v[2].kind, 3,
			 str_fmt(&f.arena, "{\"username\":\"" USER "\",\"password\":\"%.*s\",%s}",
				 STR_ARG(stored_password(&f)), of));
	for (size_t i = 3; i < ARRAY_LEN(v); i++) {
		v[i].kind = ENTITY_KEY_AUTH;
		v[i].item = item(&f, v[i].kind, (uint8_t)(1 + i),
				 str_fmt(&f.arena, "{\"key\":\"another key %zu\",%s}", i, of));
	}
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		v[i].id = v[i].item->id;
	}
	f.hold.epoch = builder_apply(f.builder, v, ARRAY_LEN(v), true);
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		entity_item_unref(&v[i].item);
	}
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	watched = STR_NULL;
	loops_join(&f->loops);
	epoch_unref(&f->hold.epoch);
	builder_joined(f->builder);
	loops_free(&f->loops);
	builder_free(&f->builder);
	tls_cert_unref(&f->cert);
	arena_fini(&f->arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_wrong_key_does_not_meet_the_right_one, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_password_is_compared_in_constant_time, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
