/*
 * epoch_int - what the builder and the makers of its parts share
 */
#pragma once
#include "gateway/certificates.h"
#include "gateway/epoch.h"

struct builder {
	struct plugin_host host;
	struct map items[ENTITY_KINDS]; /* by the 16 bytes of the id */
	struct vaults vaults;
	unsigned dirty;
	struct balancer_set *balancers;
	struct balancer_view *view;
	struct service_tls *service_tls;
	struct tls_cert *dflt;
	struct tls_sni_map *names;
	struct routing *routing;
	struct identity *identity;
};

struct entity_item *builder_find(const struct builder *b, enum entity_kind kind,
				 const struct guid *id);

/* NULL with a fault when the router cannot be made. */
struct routing *routing_build(struct builder *b, struct fault *f);
struct routing *routing_ref(struct routing *r);
void routing_unref(struct routing **r);

struct identity *identity_build(struct builder *b);
struct identity *identity_ref(struct identity *i);
void identity_unref(struct identity **i);
