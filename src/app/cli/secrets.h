/*
 * secrets - making and storing a tenant's secret, for `tenant add` and `tenant secret add`
 */
#pragma once
#include "app/cli/cli.h"
#include "identity/secret_store.h"

/*
 * `given`: p NULL = make one, "-" = read the first line of stdin. Written to *out, as is its stored
 * form; slow for a given one, so outside of transactions.
 */
enum err secrets_make(struct cli *c, struct str given, struct str *out,
		      struct client_secret *out_stored) MUST_USE;
