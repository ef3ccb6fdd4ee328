#include "tls/tickets.h"
#include "unit.h"

#define LIFE ((uint64_t)TLS_TICKET_LIFETIME_MS)

static void test_rotation(void **state)
{
	struct tls_ticket_ring r = {0};
	struct tls_ticket_key first, second;
	const struct tls_ticket_key *k;
	bool renew;

	(void)state;
	first = *tls_tickets_seal(&r, 1000);
	assert_memory_equal(tls_tickets_seal(&r, 999 + LIFE), &first, sizeof(first));
	assert_ptr_equal(tls_tickets_open(&r, 999 + LIFE, first.name, &renew), &r.current);
	assert_false(renew);

	/* A new key; the former opens, and asks for a renewal. */
	second = *tls_tickets_seal(&r, 1000 + LIFE);
	assert_memory_not_equal(&second, &first, sizeof(first));
	k = tls_tickets_open(&r, 999 + 2 * LIFE, first.name, &renew);
	assert_memory_equal(k, &first, sizeof(first));
	assert_true(renew);

	/* The next turn forgets it, also when nobody seals. */
	assert_null(tls_tickets_open(&r, 1000 + 2 * LIFE, first.name, &renew));
	assert_non_null(tls_tickets_open(&r, 1000 + 2 * LIFE, second.name, &renew));
	assert_true(renew);
}

/* After a long silence even the last key is too old. */
static void test_silence(void **state)
{
	struct tls_ticket_ring r = {0};
	struct tls_ticket_key first = *tls_tickets_seal(&r, 1);
	bool renew;

	(void)state;
	assert_null(tls_tickets_open(&r, 1 + 2 * LIFE, first.name, &renew));
}

static void test_unknown(void **state)
{
	struct tls_ticket_ring r = {0};
	const uint8_t name[TLS_TICKET_NAME_LEN] = {0};
	bool renew;

	(void)state;
	assert_null(tls_tickets_open(&r, 5, name, &renew));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
