/*
 * The parts of epochs: what changes with what, and what is shared.
 */
#include "builder_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static const struct entry *entry_of(const struct routing *r, unsigned route)
{
	struct guid id = id_of(ENTITY_ROUTE, route);

	for (size_t i = 0; i < r->n; i++) {
		if (guid_eq(&r->routes[i]->pub.id, &id)) {
			return r->entries[i];
		}
	}
	return r->base ? entry_of(r->base, route) : NULL;
}

static void routes_that_go_the_same_way_share_an_entry(void **state)
{
	struct world *w = *state;
	struct str service = ref_to(w, ENTITY_SERVICE, 0, true);
	const char *const more[] = {"", "", ",\"preserve_host\":true", ",\"strip_path\":false"};
	const struct routing *r;

	put(w, ENTITY_SERVICE, 0, STR("{\"host\":\"10.0.0.1\",\"port\":80,\"enabled\":true}"));
	for (unsigned i = 0; i < ARRAY_LEN(more); i++) {
		put(w, ENTITY_ROUTE, i,
		    str_fmt(&w->arena,
			    "{\"paths\":[\"/p%u\"],\"protocols\":[\"http\"],\"service\":%.*s%s}", i,
			    STR_ARG(service), more[i]));
	}
	next_epoch(w);
	r = w->now->routing;
	assert_ptr_equal(entry_of(r, 0), entry_of(r, 1));
	assert_ptr_not_equal(entry_of(r, 0), entry_of(r, 2));
	assert_ptr_not_equal(entry_of(r, 0), entry_of(r, 3));
	assert_true(entry_of(r, 2)->traits.preserve_host);
	assert_false(entry_of(r, 3)->traits.strip_path);
	assert_ptr_equal(entry_of(r, 0)->service, entry_of(r, 2)->service);
}

static void put_vault(struct world *w, const char *prefix)
{
	put(w, ENTITY_VAULT, 0,
	    str_fmt(&w->arena,
		    "{\"name\":\"env\",\"prefix\":\"mine\",\"config\":{\"prefix\":\"%s\"}}",
		    prefix));
}

/* A service, its route, and a certificate that is in the environment. */
static void put_secret_service(struct world *w)
{
	struct str certificate = ref_to(w, ENTITY_CERTIFICATE, 0, true);
	struct str service = ref_to(w, ENTITY_SERVICE, 0, true);
	struct tls_pem pem;

	assert_ok(tls_self_signed(&w->arena, TLS_KEY_EC, STR("client.test"), 2, &pem, NULL));
	(void)setenv("BUILDER_TEST_CERT", str_cstr(&w->arena, pem.cert), 1);
	(void)setenv("BUILDER_TEST_KEY", str_cstr(&w->arena, pem.key), 1);
	put(w, ENTITY_CERTIFICATE, 0,
	    STR("{\"cert\":\"{vault://mine/cert}\",\"key\":\"{vault://mine/key}\"}"));
	put(w, ENTITY_SERVICE, 0,
	    str_fmt(&w->arena,
		    "{\"host\":\"10.0.0.1\",\"port\":443,\"protocol\":\"https\",\"enabled\":true,"
		    "\"client_certificate\":%.*s}",
		    STR_ARG(certificate)));
	put(w, ENTITY_ROUTE, 0,
	    str_fmt(&w->arena, "{\"paths\":[\"/p\"],\"protocols\":[\"http\"],\"service\":%.*s}",
		    STR_ARG(service)));
}

/* However many routes there are: beyond a few hundred, not all entries are made anew. */
static void a_vault_reaches_services(void **state)
{
	struct world *w = *state;

	put_secret_service(w);
	put_vault(w, "not_there_");
	next_epoch(w);
	assert_null(entry_of(w->now->routing, 0)->tls);
	put_vault(w, "builder_test_");
	next_epoch(w);
	assert_non_null(entry_of(w->now->routing, 0)->tls);
	forget(w, ENTITY_VAULT, 0);
	next_epoch(w);
	assert_null(entry_of(w->now->routing, 0)->tls);
}

static void put_certificate(struct world *w, enum entity_kind kind, unsigned n, const char *name)
{
	struct tls_pem pem;
	struct buf b = {0};
	struct json_writer j = json_writer_to(&b);

	assert_ok(tls_self_signed(&w->arena, TLS_KEY_EC, str_c(name), 2, &pem, NULL));
	json_put_str(&j, pem.cert);
	if (kind == ENTITY_CERTIFICATE) {
		buf_puts(&b, ",\"key\":");
		j = json_writer_to(&b);
		json_put_str(&j, pem.key);
	}
	put(w, kind, n, str_fmt(&w->arena, "{\"cert\":%.*s}", STR_ARG(buf_str(&b))));
	buf_free(&b);
}

/* Routes of services that show or trust it get other contexts, and all others stay. */
static void a_certificate_reaches_its_services(void **state)
{
	static const struct {
		enum entity_kind kind;
		const char *member;
	} cases[] = {{ENTITY_CERTIFICATE, "\"client_certificate\":{\"id\":\"%.*s\"}"},
		     {ENTITY_CA_CERTIFICATE, "\"ca_certificates\":[\"%.*s\"]"}};
	struct world *w = *state;

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct guid id = id_of(cases[i].kind, 1);
		struct str service = ref_to(w, ENTITY_SERVICE, SERVICES + i, true);
		struct str member = str_fmt(&w->arena, cases[i].member, GUID_D_LEN,
					    guid_d_str(&w->arena, &id).p);
		struct tls_client *former;

		put_certificate(w, cases[i].kind, 1, "one.test");
		put(w, ENTITY_SERVICE, SERVICES + i, /* with one route only */
		    str_fmt(&w->arena,
			    "{\"host\":\"10.0.0.1\",\"port\":443,\"protocol\":\"https\","
			    "\"enabled\":true,%.*s}",
			    STR_ARG(member)));
		put(w, ENTITY_ROUTE, i,
		    str_fmt(&w->arena,
			    "{\"paths\":[\"/x\"],\"protocols\":[\"http\"],\"service\":%.*s}",
			    STR_ARG(service)));
		next_epoch(w);
		former = tls_client_ref(entry_of(w->now->routing, i)->tls);
		put_certificate(w, cases[i].kind, 2, "other.test");
		next_epoch(w);
		assert_ptr_equal(entry_of(w->now->routing, i)->tls, former);
		put_certificate(w, cases[i].kind, 1, "two.test");
		next_epoch(w);
		assert_non_null(w->now->routing->base);
		assert_non_null(entry_of(w->now->routing, i)->tls);
		assert_ptr_not_equal(entry_of(w->now->routing, i)->tls, former);
		tls_client_unref(&former);
	}
}

static void put_sni(struct world *w, unsigned n, unsigned certificate)
{
	struct str ref = ref_to(w, ENTITY_CERTIFICATE, certificate, true);

	put(w, ENTITY_SNI, n,
	    str_fmt(&w->arena, "{\"name\":\"n%u.test\",\"certificate\":%.*s}", n, STR_ARG(ref)));
}

static const struct tls_cert *cert_of(const struct world *w, const char *name)
{
	return tls_sni_map_get(w->now->names, str_c(name));
}

/* A certificate is read once for all its names, and again when it or its vault changes. */
static void names_share_certificates(void **state)
{
	struct world *w = *state;
	struct tls_cert *former[2];

	put_secret_service(w); /* certificate 0 comes from the vault */
	put_vault(w, "builder_test_");
	put_certificate(w, ENTITY_CERTIFICATE, 1, "n.test");
	put_sni(w, 0, 0);
	put_sni(w, 1, 1);
	put_sni(w, 2, 1);
	next_epoch(w);
	assert_ptr_equal(cert_of(w, "n1.test"), cert_of(w, "n2.test"));
	assert_ptr_not_equal(cert_of(w, "n1.test"), cert_of(w, "n0.test"));
	assert_ptr_not_equal(cert_of(w, "n0.test"), w->cert);
	former[0] = tls_cert_ref((struct tls_cert *)(uintptr_t)cert_of(w, "n0.test"));
	former[1] = tls_cert_ref((struct tls_cert *)(uintptr_t)cert_of(w, "n1.test"));
	put_sni(w, 3, 1);
	next_epoch(w);
	assert_ptr_equal(cert_of(w, "n0.test"), former[0]);
	assert_ptr_equal(cert_of(w, "n3.test"), former[1]);
	put_vault(w, "builder_test_");
	put_certificate(w, ENTITY_CERTIFICATE, 1, "m.test");
	next_epoch(w);
	assert_ptr_not_equal(cert_of(w, "n0.test"), former[0]);
	assert_ptr_not_equal(cert_of(w, "n3.test"), former[1]);
	assert_ptr_not_equal(cert_of(w, "n3.test"), w->cert);
	tls_cert_unref(&former[0]);
	tls_cert_unref(&former[1]);
}

static const struct plugin_instance *global_plugin(const struct epoch *e, const char *name)
{
	const struct plan *p = e->routing->global;

	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->v[i]->plugin->name, name) == 0) {
			return p->v[i];
		}
	}
	return NULL;
}

/* Whatever happens to the vault; and only those that name one are compiled again. */
static void a_vault_reaches_plugins(void **state)
{
	struct world *w = *state;
	const struct plugin_instance *own, *other;

	(void)setenv("BUILDER_TEST_ENDPOINT", "http://127.0.0.1:1/x", 1);
	put(w, ENTITY_PLUGIN, 0,
	    STR("{\"name\":\"http-log\",\"enabled\":true,\"config\":"
		"{\"http_endpoint\":\"{vault://mine/endpoint}\"}}"));
	put(w, ENTITY_PLUGIN, 1,
	    STR("{\"name\":\"file-log\",\"enabled\":true,\"config\":{\"path\":\"/dev/null\"}}"));
	next_epoch(w);
	assert_true(global_plugin(w->now, "http-log")->broken);
	other = global_plugin(w->now, "file-log");
	put_vault(w, "builder_test_");
	next_epoch(w);
	own = global_plugin(w->now, "http-log");
	assert_false(own->broken);
	put_vault(w, "not_there_");
	next_epoch(w);
	assert_true(global_plugin(w->now, "http-log")->broken);
	put_vault(w, "builder_test_");
	next_epoch(w);
	assert_false(global_plugin(w->now, "http-log")->broken);
	forget(w, ENTITY_VAULT, 0);
	next_epoch(w);
	assert_true(global_plugin(w->now, "http-log")->broken);
	assert_ptr_equal(global_plugin(w->now, "file-log"), other);
	/* Once it names none, nothing of it is left to be made again. */
	forget(w, ENTITY_PLUGIN, 0);
	next_epoch(w);
	put_vault(w, "builder_test_");
	next_epoch(w);
	assert_null(global_plugin(w->now, "http-log"));
	assert_ptr_equal(global_plugin(w->now, "file-log"), other);
}

static void put_tls_service(struct world *w, unsigned n, const char *protocol, unsigned timeout)
{
	struct str service = ref_to(w, ENTITY_SERVICE, n, true);

	put(w, ENTITY_SERVICE, n,
	    str_fmt(&w->arena,
		    "{\"host\":\"10.0.0.1\",\"port\":443,\"protocol\":\"%s\",\"enabled\":true,"
		    "\"read_timeout\":%u}",
		    protocol, timeout));
	put(w, ENTITY_ROUTE, n,
	    str_fmt(&w->arena, "{\"paths\":[\"/tls%u\"],\"protocols\":[\"http\"],\"service\":%.*s}",
		    n, STR_ARG(service)));
}

/* As long as a service has TLS, and one for all that changes nothing in it. */
static void contexts_go_with_their_services(void **state)
{
	struct world *w = *state;
	struct tls_client *first;

	for (unsigned i = 0; i < 3; i++) {
		put_tls_service(w, i, "https", 1);
	}
	next_epoch(w);
	assert_int_equal(service_tls_n(w->builder->service_tls), 3);
	first = entry_of(w->now->routing, 0)->tls;
	put_tls_service(w, 0, "https", 2);
	next_epoch(w);
	assert_ptr_equal(entry_of(w->now->routing, 0)->tls, first);
	put_tls_service(w, 0, "grpcs", 2);
	next_epoch(w);
	assert_ptr_not_equal(entry_of(w->now->routing, 0)->tls, first);
	assert_int_equal(service_tls_n(w->builder->service_tls), 3);
	forget_with(w, ENTITY_SERVICE, 0);
	next_epoch(w);
	assert_int_equal(service_tls_n(w->builder->service_tls), 2);
	put_tls_service(w, 1, "http", 1);
	next_epoch(w);
	assert_int_equal(service_tls_n(w->builder->service_tls), 1);
}

/* A reload tells everything anew, and what it leaves out has gone. */
static void contexts_survive_reloads(void **state)
{
	struct world *w = *state;
	struct epoch *former;
	struct tls_client *kept;

	put_tls_service(w, 0, "https", 1);
	put_tls_service(w, 1, "https", 1);
	next_epoch(w);
	kept = entry_of(w->now->routing, 0)->tls;
	former = w->now;
	put_tls_service(w, 0, "https", 1);
	w->now = apply(w, w->builder, true);
	assert_ptr_equal(entry_of(w->now->routing, 0)->tls, kept);
	assert_int_equal(service_tls_n(w->builder->service_tls), 1);
	epoch_unref(&former);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(routes_that_go_the_same_way_share_an_entry, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_vault_reaches_services, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_vault_reaches_plugins, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_certificate_reaches_its_services, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(names_share_certificates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(contexts_go_with_their_services, set_up, tear_down),
		cmocka_unit_test_setup_teardown(contexts_survive_reloads, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
