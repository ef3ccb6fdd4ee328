/*
 * engines - fresh databases of both engines for tests
 *
 * SQLite: a file in a temporary directory. PostgreSQL: a new database on the server that
 * POSTHOUSE_TEST_PG names, or on one that tools/pg-start starts for this process and that
 * ends with it.
 *
 *	cmocka_unit_test_prestate_setup_teardown(test, test_db_setup, test_db_teardown,
 *						 (void *)TEST_SQLITE)
 *
 * or BOTH_ENGINES(test) for both. The test's *state is a struct test_db.
 */
#pragma once
#include "store/store.h"

#include <stdint.h>

enum test_engine { TEST_SQLITE = 1, TEST_PGSQL = 2 };

struct test_db {
	enum test_engine engine;
	char url[512];
	char dir[64];  /* of the SQLite file */
	char name[64]; /* of the PostgreSQL database */
	struct db_pool *pool;
	struct db *db; /* one session, with a task open */
	struct arena arena;
	struct fault fault;
};

/* Ends the task and begins another with a fresh fault. */
void test_db_new_task(struct test_db *t);
/* Another session with an own task on the same arena; for one thread. */
struct db *test_db_session(struct test_db *t);

int test_db_setup(void **state);
int test_db_teardown(void **state);

const char *test_pg_url(void);
/* Before any test: this process starts its own server, whatever the environment says. */
void test_pg_own(void);
/* The own server; both wait until done. */
void test_pg_kill(void);
void test_pg_restart(void);
/* Its processes as they are now hang (SIGSTOP) until they are let on. */
void test_pg_hang(void);
void test_pg_go_on(void);

/* Without results. */
void test_db_script(struct test_db *t, const char *sql);

#define ON_SQLITE(test)                                                                            \
	{                                                                                          \
#test " (sqlite)", test, test_db_setup, test_db_teardown,                          \
			(void *)(uintptr_t)TEST_SQLITE                                             \
	}
#define ON_PGSQL(test)                                                                             \
	{                                                                                          \
#test " (pgsql)", test, test_db_setup, test_db_teardown,                           \
			(void *)(uintptr_t)TEST_PGSQL                                              \
	}
#define BOTH_ENGINES(test) ON_SQLITE(test), ON_PGSQL(test)
