/*
 * tenants - a stand-in for the relay's table, for tests of what refers to it
 */
#pragma once
#include "identity/key_store.h"
#include "identity/secret_store.h"
#include "store/engines.h"
#include "unit.h"

#define TENANTS_COLUMNS                                                                            \
	"(\"NormalizedName\" varchar(100) NOT NULL PRIMARY KEY, \"Name\" varchar(100) NOT NULL,"   \
	" \"DisplayName\" varchar(200), \"Description\" varchar(1000))"

static inline void create_tenants(struct test_db *t)
{
	test_db_script(t, "CREATE TABLE \"Tenants\" " TENANTS_COLUMNS);
	test_db_script(t,
		       "INSERT INTO \"Tenants\" VALUES ('BRANCH1', 'Branch1', 'Branch 1', NULL)");
	test_db_script(t, "INSERT INTO \"Tenants\" VALUES ('OTHER', 'other', NULL, 'Text')");
	assert_ok(migrate(t->db, &identity_migrations, 1, NULL, NULL));
}
