/*
 * certificates - certificate, sni and ca_certificate entities as TLS wants them
 *
 * The names that clients ask for, and the contexts for services with TLS. A context stays the
 * same object as long as what it is made of, since connections are pooled by it.
 *
 * Threads  the one that applies changes; tls_sni_map_get: any.
 */
#pragma once
#include "base/map.h"
#include "gateway/compile.h"
#include "gateway/vault.h"
#include "tls/context.h"
#include "tls/sni.h"

/* Of all sni entities, with `dflt` for other names. Faulty ones are left out, with a log line. */
struct tls_sni_map *certificates_names(const struct vaults *vaults, const struct map *certificates,
				       const struct map *snis, struct tls_cert *dflt);
/* Self-signed, RSA and ECDSA, for "localhost". */
enum err certificates_default(struct tls_cert **out, struct fault *f) MUST_USE;

struct service_tls; /* a cache: by the id of a service */
struct service_tls *service_tls_new(void);
void service_tls_free(struct service_tls **t);
/* A certificate, a CA or a vault has changed: looks at what each context is made of anew. */
void service_tls_renew(struct service_tls *t);
/* The service has gone, or has no TLS any more. */
void service_tls_forget(struct service_tls *t, const struct guid *service);
/* Forgets all that are not among these entities, or have no TLS any more. */
void service_tls_keep(struct service_tls *t, const struct map *services);
size_t service_tls_n(const struct service_tls *t);
/*
 * The context towards a service; counted: the caller owns one reference. NULL: it cannot be
 * made, as the log says, and the service must not be called.
 */
struct tls_client *service_tls_get(struct service_tls *t, const struct vaults *vaults,
				   const struct service *s, const struct entity_item *item,
				   const struct map *certificates,
				   const struct map *ca_certificates);
