/* What a change of people makes anew; that it is right is for test_builder. */
#include "unit.h"

#include "base/json.h"
#include "gateway/certificates.h"
#include "gateway/epoch.h"

#define JANE "00000000-0000-0000-0000-000000000001"
#define OF_JANE "\"consumer\":{\"id\":\"" JANE "\"}"

struct fixture {
	struct arena arena;
	struct loops loops;
	struct tls_cert *cert;
	struct builder *builder;
	struct epoch *now;
};

/* Tells of one entity, or that it is gone; the former epoch is let go of. */
static void tell(struct fixture *f, enum entity_kind kind, uint8_t n, const char *text)
{
	struct entity_change change = {.kind = kind, .id = {.b = {[15] = n}}};
	struct epoch *next;
	struct json *doc;

	if (text) {
		assert_ok(json_parse(&f->arena, str_c(text), &doc, NULL));
		change.item = entity_item_new(kind, &change.id, doc);
	}
	next = builder_apply(f->builder, &change, 1, false);
	entity_item_unref(&change.item);
	epoch_unref(&f->now);
	f->now = next;
}

/* The credential, which must be of this consumer, or of none. */
static const struct gw_credential *key_of(const struct epoch *e, const char *owner)
{
	const struct gw_credential *c = identity_credential(e->identity, GW_KEY_AUTH, STR("k"));
	const struct gw_consumer *who;

	assert_non_null(c);
	who = identity_owner(e->identity, c);
	if (owner) {
		assert_non_null(who);
		assert_str(who->username, str_c(owner));
	} else {
		assert_null(who);
	}
	return c;
}

/* Of which one may have 100,000. */
static void a_consumer_changes_without_its_credentials(void **state)
{
	struct fixture *f = *state;
	const struct gw_credential *key;
	struct epoch *former;

	tell(f, ENTITY_KEY_AUTH, 2, "{\"key\":\"k\"," OF_JANE "}");
	key = key_of(f->now, NULL);
	tell(f, ENTITY_CONSUMER, 1, "{\"username\":\"jane\"}");
	assert_ptr_equal(key_of(f->now, "jane"), key);
	former = epoch_ref(f->now);
	tell(f, ENTITY_CONSUMER, 1, "{\"username\":\"joan\"}");
	tell(f, ENTITY_ACL, 3, "{\"group\":\"g\"," OF_JANE "}");
	assert_ptr_equal(key_of(f->now, "joan"), key);
	assert_int_equal(identity_owner(f->now->identity, key)->groups.n, 1);
	assert_ptr_equal(key_of(former, "jane"), key);
	assert_int_equal(identity_owner(former->identity, key)->groups.n, 0);
	tell(f, ENTITY_ACL, 3, NULL);
	tell(f, ENTITY_CONSUMER, 1, NULL);
	assert_ptr_equal(key_of(f->now, NULL), key);
	assert_ptr_equal(key_of(former, "jane"), key);
	tell(f, ENTITY_KEY_AUTH, 2, NULL);
	assert_null(identity_credential(f->now->identity, GW_KEY_AUTH, STR("k")));
	assert_ptr_equal(key_of(former, "jane"), key);
	epoch_unref(&former);
}

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){0};
	arena_init(&f.arena, 0);
	assert_ok(loops_start(&f.loops, 1, NULL));
	assert_ok(certificates_default(&f.cert, NULL));
	f.builder = builder_new(&(struct plugin_host){.loops = &f.loops}, f.cert);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	loops_join(&f->loops);
	epoch_unref(&f->now);
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
		cmocka_unit_test_setup_teardown(a_consumer_changes_without_its_credentials, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
