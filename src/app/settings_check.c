#include "app/settings.h"

#include "blob/blob.h"
#include "gateway/gateway.h"
#include "identity/issuer.h"
#include "net/addr.h"
#include "relay/relay.h"
#include "store/store.h"

static enum err check_roles(const struct settings *s, struct fault *f)
{
	struct str bodies = s->relay.bodies.n > 0 ? s->relay.bodies : s->top.bodies;

	if (s->top.database.n > 0) {
		TRY(db_url_check(s->top.database, f));
	}
	if (s->runs[ROLE_RELAY]) {
		TRY(relay_check(&s->relay, f));
		TRY(bodies.n > 0 ? blob_url_check(bodies, f) : ERR_OK);
	}
	if (settings_run_issuer(s)) {
		TRY(issuer_check(&s->identity, f));
	}
	return s->runs[ROLE_GATEWAY] ? gateway_check(&s->gateway, f) : ERR_OK;
}

struct place {
	const struct listen_entry *entry;
	struct addr addr;
};

static enum err check_place(const struct place *p, const struct place *others, size_t n,
			    struct fault *f)
{
	for (size_t i = 0; i < n; i++) {
		const struct place *o = &others[i];

		if (addr_covers(&o->addr, &p->addr) || addr_covers(&p->addr, &o->addr)) {
			return conf_fault(f, p->entry->node,
					  "%s.listen: \"%.*s\" is taken by \"%.*s\" of %s.listen",
					  p->entry->section, STR_ARG(p->entry->address),
					  STR_ARG(o->entry->address), o->entry->section);
		}
	}
	return ERR_OK;
}

static enum err check_listener(const struct settings *s, int listener, struct place *places,
			       size_t *n, struct fault *f)
{
	const struct listen_set *set = settings_listen(s, listener);
	tls_pick_fn *pick =
		settings_listener_is_gateways(s, listener) ? gateway_pick_certificate : NULL;

	for (size_t i = 0; i < set->n; i++) {
		struct place *p = &places[*n];
		struct tls_server *tls;

		p->entry = &set->v[i];
		TRY(addr_parse(p->entry->address, &p->addr));
		TRY(check_place(p, places, *n, f));
		TRY(listen_tls(p->entry, pick, NULL, &tls, f));
		tls_server_unref(&tls);
		(*n)++;
	}
	return ERR_OK;
}

enum err settings_check(const struct settings *s, struct fault *f)
{
	struct place places[LISTENERS * LISTEN_MAX];
	size_t n = 0;

	TRY(check_roles(s, f));
	for (int i = 0; i < LISTENERS; i++) {
		TRY(check_listener(s, i, places, &n, f));
	}
	return ERR_OK;
}
