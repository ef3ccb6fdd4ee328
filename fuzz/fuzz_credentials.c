/*
 * Token requests: the first line is the Authorization header (empty = none), the rest
 * the form.
 */
#include "identity/credentials.h"
#include "identity/secret.h"
#include "identity/validator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_request(struct arena *a, struct str header, struct str form)
{
	struct oauth_refusal refusal = {0};
	struct token_request r = {0};

	if (token_request_parse(a, header, form, &r, &refusal) != ERR_OK) {
		ASSERT(refusal.text && oauth_error_status(refusal.error) >= 400);
		ASSERT(!r.client_secret.p);
		return;
	}
	ASSERT(r.grant_type.n > 0);
	ASSERT(r.client_id.n > 0 && r.client_id.n <= CREDENTIALS_ID_MAX);
	ASSERT(r.client_secret.n > 0 && r.client_secret.n <= SECRET_LEN_MAX);
	ASSERT(memchr(r.client_id.p, 0, r.client_id.n) == NULL);
	ASSERT(r.by_header == (header.p != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str rest = str_of(data, n), header = STR_NULL, token;
	struct arena a;

	arena_init(&a, 0);
	if (str_split(&rest, '\n', &header) && header.n == 0) {
		header = STR_NULL;
	}
	check_request(&a, header, rest);
	if (bearer_from_header(header, &token)) {
		ASSERT(token.n > 0);
	}
	/* As a stored secret; the slow form would only slow the fuzzer. */
	if (str_find(rest, STR("$i=")) < 0) {
		ASSERT(!secret_matches(rest, STR("no such secret")));
	}
	arena_fini(&a);
	return 0;
}
