/*
 * migrate_int - the statements of the migration table
 */
#pragma once
#include "store/migrate.h"

/* Keeps other instances out until the transaction ends, and makes the table. */
enum err migrate_lock(struct db *db) MUST_USE;
/* 0 when there is none, or no table. */
enum err migrate_latest(struct db *db, const char *role, int64_t *out) MUST_USE;
enum err migrate_record(struct db *db, const char *role, const struct migration *m) MUST_USE;

/* The store's own tables. */
extern const struct migration_list store_migrations;
