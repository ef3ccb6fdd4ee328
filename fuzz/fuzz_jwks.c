/*
 * Key sets and issuer metadata: both come from another server.
 */
#include "identity/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_keys(struct str text)
{
	struct fault f = {0};
	struct jwks *set;

	if (jwks_parse(text, &set, &f) == ERR_OK) {
		ASSERT(jwks_count(set) <= JWKS_KEYS_MAX);
		jwks_unref(&set);
	} else {
		ASSERT(f.code != ERR_OK && f.text[0]);
	}
}

/* The text as metadata, then as keys behind good metadata. */
static void check_source(struct str text)
{
	struct key_source s;
	struct str url;

	ASSERT(key_source_init(&s, STR("https://idp"), NULL) == ERR_OK);
	ASSERT(key_source_next(&s, 0, &url) == KEY_FETCH_METADATA);
	if (key_source_feed(&s, text, 0, NULL) == ERR_OK) {
		ASSERT(key_source_next(&s, 0, &url) == KEY_FETCH_KEYS);
		ASSERT(str_starts_nocase(url, STR("https://")));
		key_source_fail(&s, 0);
	}
	ASSERT(!key_source_trust(&s));
	ASSERT(key_source_next(&s, TRUST_MISS_MS, &url) == KEY_FETCH_METADATA);
	ASSERT(key_source_feed(&s, STR("{\"issuer\":\"i\",\"jwks_uri\":\"https://idp/k\"}"), 0,
			       NULL) == ERR_OK);
	ASSERT(key_source_next(&s, 0, &url) == KEY_FETCH_KEYS);
	if (key_source_feed(&s, text, 0, NULL) == ERR_OK) {
		ASSERT(jwks_count(trust_keys(key_source_trust(&s))) > 0);
	}
	key_source_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	check_keys(str_of(data, n));
	check_source(str_of(data, n));
	return 0;
}
