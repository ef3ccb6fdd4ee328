/*
 * sni - which certificate a name gets
 *
 * In this order: the name itself, "*.parent", "prefix.*", "*", the default. Case and a
 * dot at the end do not matter. A wildcard stands for one label at the front
 * ("*.a.b" is for x.a.b) or at the end ("a.b.*" is for a.b.c).
 *
 * Life       tls_sni_map_new, any number of tls_sni_map_add, then shared and immutable.
 * Ownership  counted; holds references to its certificates.
 * Threads    building: one. Then any.
 */
#pragma once
#include "tls/cert.h"

struct tls_sni_map;

/* `dflt` may be NULL: unknown names are refused. */
struct tls_sni_map *tls_sni_map_new(struct tls_cert *dflt);
/* The first one added for a name stays. ERR_INVALID: no name that a client could send. */
enum err tls_sni_map_add(struct tls_sni_map *m, struct str name, struct tls_cert *cert) MUST_USE;
struct tls_sni_map *tls_sni_map_ref(struct tls_sni_map *m);
void tls_sni_map_unref(struct tls_sni_map **m);

/* NULL: there is none. Borrowed. */
const struct tls_cert *tls_sni_map_get(const struct tls_sni_map *m, struct str name);
/* The same without the default. */
const struct tls_cert *tls_sni_map_find(const struct tls_sni_map *m, struct str name);
