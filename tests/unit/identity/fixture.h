/*
 * fixture - keys and forged tokens for the tests of identity
 */
#pragma once
#include "base/enc.h"
#include "identity/jwt.h"
#include "unit.h"

/* RFC 7515 A.2: RS256. */
#define RFC_PAYLOAD                                                                                \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0" \
	"cnVlfQ"
#define RFC_RS256_SIGNATURE                                                                        \
	"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W" \
	"2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkS" \
	"jtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv" \
	"Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define RFC_RS256_N                                                                                \
	"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt" \
	"0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSX" \
	"ndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5" \
	"IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define RFC_RS256_TOKEN "eyJhbGciOiJSUzI1NiJ9." RFC_PAYLOAD "." RFC_RS256_SIGNATURE

/* RFC 7515 A.3: ES256. */
#define RFC_ES256_SIGNATURE                                                                        \
	"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define RFC_ES256_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define RFC_ES256_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define RFC_ES256_TOKEN "eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD "." RFC_ES256_SIGNATURE

static inline struct str unbase64url(struct arena *a, struct str text)
{
	struct buf bytes = {0};
	struct str out;

	assert_ok(base64url_decode(&bytes, text));
	out = str_dup(a, buf_str(&bytes));
	buf_free(&bytes);
	return out;
}

/* A token with any header and payload, signed with any key by `alg`. */
static inline struct str forge(struct arena *a, struct str header, struct str payload,
			       const struct key *key, enum jwt_alg alg)
{
	struct buf token = {0}, signature = {0};
	struct str out;

	base64url_encode(&token, header);
	buf_putc(&token, '.');
	base64url_encode(&token, payload);
	key_sign(key, alg, buf_str(&token), &signature);
	buf_putc(&token, '.');
	base64url_encode(&token, buf_str(&signature));
	out = str_dup(a, buf_str(&token));
	buf_free(&token);
	buf_free(&signature);
	return out;
}
