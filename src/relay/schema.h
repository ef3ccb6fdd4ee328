/*
 * schema - the tables of the relay: tenants, their configuration, and what statistics record
 *
 * Names and types are those of RelayServer 3.1, so that its PostgreSQL database can be opened
 * as it is: what exists is kept, what is missing is added. On SQLite a GUID is a BLOB, a time
 * and an interval are milliseconds.
 */
#pragma once
#include "store/migrate.h"

extern const struct migration_list relay_migrations;
