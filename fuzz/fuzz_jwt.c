/*
 * Tokens: whatever comes in, only the two examples of RFC 7515 verify with its keys. The input
 * is read as claims too, since no fuzzer can sign.
 */
#include "identity/validator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define PAYLOAD                                                                                    \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0" \
	"cnVlfQ"

static const struct str key_set = STR_INIT(
	"{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\""
	"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt"
	"0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSX"
	"ndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5"
	"IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"},"
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}");

static struct validator *validator;

static void set_up(void)
{
	struct trust *trust;
	struct jwks *keys;

	ASSERT(jwks_parse(key_set, &keys, NULL) == ERR_OK);
	trust = trust_new(STR("joe"), STR_NULL, keys);
	validator = validator_new(STR("relayserver"), 0, 0);
	validator_set_trust(validator, trust);
	trust_unref(&trust);
	jwks_unref(&keys);
}

static void check_token(struct arena *a, struct str token)
{
	struct fault f = {0};
	struct principal p;
	struct jwt jwt;
	enum err e;

	/* The examples have no audience, so nobody is let in. */
	e = validator_check(validator, token, 0, a, &p, &f);
	ASSERT(e == ERR_UNAUTHENTICATED || e == ERR_AGAIN);
	ASSERT(f.code == e && f.text[0]);
	if (jwt_parse(a, token, &jwt, NULL) != ERR_OK) {
		ASSERT(str_eq(str_c(f.text), STR("The audience is invalid")) == false);
		return;
	}
	ASSERT(jwt.alg != JWT_ALG_NONE && jwt.signature.n > 0);
	if (str_eq(str_c(f.text), STR("The audience is invalid"))) {
		ASSERT(str_eq(jwt.signed_part, STR("eyJhbGciOiJSUzI1NiJ9." PAYLOAD)) ||
		       str_eq(jwt.signed_part, STR("eyJhbGciOiJFUzI1NiJ9." PAYLOAD)));
	}
}

static void check_claims(struct arena *a, struct str payload)
{
	struct jwt jwt = {.payload = payload};
	struct principal p = {0};
	struct jwt_claims claims;

	if (jwt_claims(a, &jwt, &claims, NULL) != ERR_OK) {
		return;
	}
	ASSERT(!claims.exp_ms.has || claims.exp_ms.v >= 0);
	(void)jwt_claims_has_audience(&claims, STR("relayserver"));
	p.client_id = claims.client_id;
	p.scopes = jwt_claims_scopes(a, &claims);
	if (policy_connector(&p, NULL) == ERR_OK) {
		ASSERT(str_find(payload, STR("scope")) >= 0 || str_find(payload, STR("\\u")) >= 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena a;

	if (!validator) {
		set_up();
	}
	arena_init(&a, 0);
	check_token(&a, str_of(data, n));
	check_claims(&a, str_of(data, n));
	arena_fini(&a);
	return 0;
}
