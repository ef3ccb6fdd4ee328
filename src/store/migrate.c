#include "store/migrate.h"

#include "store/migrate_int.h"
#include "store/store_int.h"

/* ---- lists ---- */

static void check_list(const struct migration_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		ASSERT(list->v[i].number == (int)i + 1);
	}
}

/* What this program lacks is worse than what the database lacks. */
static enum err missing(struct db *db, const struct migration_list *list, size_t *out)
{
	int64_t has = 0;

	check_list(list);
	TRY(migrate_latest(db, list->role, &has));
	if (has > (int64_t)list->n) {
		return fault_set(db->task.fault, ERR_INVALID,
				 "database: %s has schema %lld, this program knows %zu at most; "
				 "use a newer posthouse",
				 list->role, (long long)has, list->n);
	}
	*out += list->n - (size_t)has;
	return ERR_OK;
}

enum err migrate_pending(struct db *db, const struct migration_list *lists, size_t n, size_t *out)
{
	size_t count = 0;

	TRY(missing(db, &store_migrations, &count));
	for (size_t i = 0; i < n; i++) {
		TRY(missing(db, &lists[i], &count));
	}
	*out = count;
	return ERR_OK;
}

/* ---- applying ---- */

static const char *text_of(const struct db *db, const struct migration *m)
{
	const char *own = db->pool->engine == &sqlite_engine ? m->sqlite : m->pgsql;

	return own ? own : m->sql;
}

/* Sets *out to the migration that was run, or to NULL when another instance was first. */
static enum err apply_in_tx(struct db *db, const struct migration_list *list, int64_t i,
			    const struct migration **out)
{
	const struct migration *m = &list->v[i];
	int64_t has = 0;

	TRY(migrate_lock(db));
	TRY(migrate_latest(db, list->role, &has));
	*out = NULL;
	if (has > i) {
		return ERR_OK;
	}
	TRY(db_script(db, text_of(db, m)));
	TRY(migrate_record(db, list->role, m));
	*out = m;
	return ERR_OK;
}

static enum err apply(struct db *db, const struct migration_list *list, int64_t i,
		      const struct migration **out)
{
	TRY(db_tx_begin_kind(db, TX_MIGRATE));
	enum err e = apply_in_tx(db, list, i, out);
	if (e != ERR_OK) {
		tx_abort(db);
		return e;
	}
	return tx_commit(db);
}

static enum err named(struct db *db, enum err e, const char *role, const struct migration *m)
{
	struct fault *f = db->task.fault;

	ASSERT(m);
	if (f) {
		struct fault inner = *f;

		*f = (struct fault){0};
		fault_set(f, e, "migration %s %d (%s): %.180s", role, m->number, m->name,
			  inner.text);
	}
	return e;
}

static enum err apply_list(struct db *db, const struct migration_list *list, migrate_fn *on_applied,
			   void *ctx)
{
	int64_t has = 0;

	TRY(migrate_latest(db, list->role, &has));
	for (int64_t i = has; i < (int64_t)list->n; i++) {
		const struct migration *m = NULL;
		enum err e = apply(db, list, i, &m);

		if (e != ERR_OK) {
			return named(db, e, list->role, &list->v[i]);
		}
		if (m && on_applied) {
			on_applied(list->role, m, ctx);
		}
	}
	return ERR_OK;
}

static enum err apply_all(struct db *db, const struct migration_list *lists, size_t n,
			  migrate_fn *on_applied, void *ctx)
{
	TRY(apply_list(db, &store_migrations, on_applied, ctx));
	for (size_t i = 0; i < n; i++) {
		TRY(apply_list(db, &lists[i], on_applied, ctx));
	}
	return ERR_OK;
}

enum err migrate(struct db *db, const struct migration_list *lists, size_t n,
		 migrate_fn *on_applied, void *ctx)
{
	size_t pending = 0;

	ASSERT(db->tx == TX_NONE);
	db->patient = true;
	enum err e = migrate_pending(db, lists, n, &pending);
	if (e == ERR_OK && pending) {
		e = apply_all(db, lists, n, on_applied, ctx);
	}
	db->patient = false;
	return e;
}
