/* SPDX-License-Identifier: MIT */
/*
 * schema_store - the tables of identity
 *
 * Names and types of ClientSecrets are the original's, see secret_store.c.
 */
#include "identity/key_store.h"

static const struct migration migrations[] = {
	{
		.number = 1,
		.name = "create client secrets and signing keys",
		.sqlite = "CREATE TABLE \"ClientSecrets\" ("
			  " \"Id\" BLOB NOT NULL PRIMARY KEY,"
			  " \"TenantName\" TEXT NOT NULL"
			  " CONSTRAINT \"FK_ClientSecrets_Tenants_TenantName\""
			  " REFERENCES \"Tenants\" (\"NormalizedName\") ON DELETE CASCADE,"
			  " \"Value\" TEXT NOT NULL CHECK (length(\"Value\") <= 4000),"
			  " \"Created\" INTEGER NOT NULL,"
			  " \"Expiration\" INTEGER) STRICT;"
			  "CREATE INDEX \"IX_ClientSecrets_TenantName\""
			  " ON \"ClientSecrets\" (\"TenantName\");"
			  "CREATE TABLE \"SigningKeys\" ("
			  " \"Kid\" TEXT NOT NULL PRIMARY KEY,"
			  " \"Algorithm\" TEXT NOT NULL,"
			  " \"Pem\" TEXT NOT NULL,"
			  " \"Created\" INTEGER NOT NULL,"
			  " \"RetireAt\" INTEGER) STRICT",
		/* An original database has the first table already. */
		.pgsql = "CREATE TABLE IF NOT EXISTS \"ClientSecrets\" ("
			 " \"Id\" uuid NOT NULL,"
			 " \"TenantName\" varchar(100) NOT NULL,"
			 " \"Value\" varchar(4000) NOT NULL,"
			 " \"Created\" timestamptz NOT NULL,"
			 " \"Expiration\" timestamptz,"
			 " CONSTRAINT \"PK_ClientSecrets\" PRIMARY KEY (\"Id\"),"
			 " CONSTRAINT \"FK_ClientSecrets_Tenants_TenantName\""
			 " FOREIGN KEY (\"TenantName\")"
			 " REFERENCES \"Tenants\" (\"NormalizedName\") ON DELETE CASCADE);"
			 "CREATE INDEX IF NOT EXISTS \"IX_ClientSecrets_TenantName\""
			 " ON \"ClientSecrets\" (\"TenantName\");"
			 "CREATE TABLE \"SigningKeys\" ("
			 " \"Kid\" varchar(100) NOT NULL PRIMARY KEY,"
			 " \"Algorithm\" varchar(10) NOT NULL,"
			 " \"Pem\" text NOT NULL,"
			 " \"Created\" timestamptz NOT NULL,"
			 " \"RetireAt\" timestamptz)",
	},
};

const struct migration_list identity_migrations = {"identity", migrations, ARRAY_LEN(migrations)};
