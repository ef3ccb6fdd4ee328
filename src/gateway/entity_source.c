/* Reading entities as they are stored, from whichever back end. */
#include "base/clock.h"
#include "gateway/entities_int.h"

enum err entity_parse(struct arena *a, const struct entity_row *row, const struct json **out,
		      struct fault *f)
{
	struct fault why = {0};
	struct json *doc;

	if (json_parse(a, row->doc, &doc, &why) != ERR_OK) {
		char id[GUID_D_LEN];

		guid_d(&row->id, id);
		return fault_set(f, ERR_INTERNAL, "the stored entity %.*s is broken: %s",
				 GUID_D_LEN, id, why.text);
	}
	*out = doc;
	return ERR_OK;
}

void entity_forget_fault(struct db *db)
{
	struct fault *f = db_fault(db);

	if (f) {
		*f = (struct fault){0};
	}
}

static enum err found(struct entity_call *c, enum err e, const struct entity_row *row,
		      const struct json **out)
{
	if (e == ERR_NOT_FOUND) {
		entity_forget_fault(c->db);
	}
	return e == ERR_OK ? entity_parse(c->arena, row, out, db_fault(c->db)) : e;
}

static enum err in_set(const struct json *doc, const struct json **out)
{
	if (!doc || entity_is_expired(doc, clock_wall_ms())) {
		return ERR_NOT_FOUND;
	}
	*out = doc;
	return ERR_OK;
}

enum err entity_source_get(struct entities *es, struct entity_call *c, enum entity_kind kind,
			   const struct guid *id, const struct json **out)
{
	struct entity_row row;

	if (es->memory) {
		return in_set(entity_set_get(entities_set(es, c), kind, id), out);
	}
	return found(c, entity_store_get(c->db, kind, id, clock_wall_ms(), &row), &row, out);
}

enum err entity_source_by_key(struct entities *es, struct entity_call *c, enum entity_kind kind,
			      const struct entity_key *key, const struct json **out)
{
	struct entity_row row;

	if (es->memory) {
		return in_set(entity_set_by_key(entities_set(es, c), kind, key), out);
	}
	return found(c, entity_store_by_key(c->db, kind, key, clock_wall_ms(), &row), &row, out);
}

enum err entity_source_page(struct entities *es, struct entity_call *c,
			    const struct entity_range *r, const struct json ***out, size_t *out_n)
{
	const struct json **v;
	struct db_rows rows;

	if (es->memory) {
		v = ARENA_NEW_ARRAY(c->arena, const struct json *, r->max + 1);
		*out_n = entity_set_page(entities_set(es, c), r, v);
		*out = v;
		return ERR_OK;
	}
	TRY(entity_store_page(c->db, r, &rows));
	v = ARENA_NEW_ARRAY(c->arena, const struct json *, rows.n + 1);
	for (size_t i = 0; i < rows.n; i++) {
		TRY(entity_parse(c->arena, (const struct entity_row *)rows.v + i, &v[i],
				 db_fault(c->db)));
	}
	*out = v;
	*out_n = rows.n;
	return ERR_OK;
}
