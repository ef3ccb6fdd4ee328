/*
 * entity_schema - the tables of the gateway
 *
 * One table holds every kind of entity as a JSON document; what must be unique, what refers to
 * what, and tags stand beside it in tables of their own, so that a new kind needs no migration.
 * gateway_changes tells in order which entities were written.
 */
#pragma once
#include "store/migrate.h"

extern const struct migration_list gateway_migrations;
