/*
 * vault - secrets that stand in a configuration as references
 *
 *	{vault://env/NAME}            environment variable NAME
 *	{vault://env/NAME/password}   member `password` of the JSON object in it
 *	{vault://PREFIX/name/field}   by a vault entity with that prefix, whose `config.prefix`
 *	                              stands before the name; with `config.base64_decode`
 *	                              the variable holds the secret in base64
 *
 * Names of variables are asked for in upper case with '_' for '-'. Only fields that are
 * declared referenceable are resolved, when the data plane compiles an entity: what is stored
 * and listed stays the reference.
 *
 * Ownership  results live in the arena.
 * Threads    any; nobody changes the environment after the start.
 */
#pragma once
#include "gateway/schema.h"

/* The vault entities, by prefix; NULL = the name is not theirs. */
typedef const struct json *vault_find_fn(void *arg, struct str prefix);

struct vaults {
	vault_find_fn *find; /* may be NULL */
	void *arg;
	uint64_t generation; /* another one whenever an entity has changed */
};

bool vault_is_reference(struct str s);
/* ERR_INVALID (no reference), ERR_NOT_FOUND (nothing there). The fault never shows a value. */
enum err vault_resolve(struct arena *a, const struct vaults *vaults, struct str reference,
		       struct str *out, struct fault *f) MUST_USE;
/*
 * The tree with every reference in a referenceable field replaced. `*out` is `v` itself when
 * there is none. The first that cannot be resolved is the fault, named by its field.
 */
enum err vault_resolve_all(struct arena *a, const struct vaults *vaults, const struct schema *s,
			   const struct json *v, const struct json **out, struct fault *f) MUST_USE;
