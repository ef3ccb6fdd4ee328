/*
 * credentials - what a client sends to a token endpoint (RFC 6749 2.3.1, 4.4, 5.2)
 *
 * Client name and secret come in exactly one of two ways: Basic authentication,
 * where both are form-encoded before they are joined, or the form. A parameter
 * may be given once; unknown ones are ignored.
 *
 * Ownership  results live in the arena.
 * Threads    any.
 * Failure    token_request_parse says what goes into "error" and "error_description";
 *            no text repeats what the client sent.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define CREDENTIALS_FORM_MAX (size_t)(8 * 1024)
#define CREDENTIALS_HEADER_MAX (size_t)(4 * 1024)
#define CREDENTIALS_ID_MAX 200
#define CREDENTIALS_PARAMS_MAX 32

enum oauth_error {
	OAUTH_INVALID_REQUEST,
	OAUTH_INVALID_CLIENT,
	OAUTH_INVALID_GRANT,
	OAUTH_UNAUTHORIZED_CLIENT,
	OAUTH_UNSUPPORTED_GRANT_TYPE,
	OAUTH_INVALID_SCOPE,
};

struct oauth_refusal {
	enum oauth_error error;
	const char *text; /* static */
};

/* "invalid_client". */
struct str oauth_error_name(enum oauth_error error);
/* 401 for invalid_client, 400 for the rest. */
int oauth_error_status(enum oauth_error error);

struct token_request {
	struct str grant_type;
	struct str client_id;
	struct str client_secret;
	struct str scope; /* words with blanks between; p NULL = not given */
	bool by_header;	  /* Basic: a 401 then carries WWW-Authenticate */
};

/*
 * `authorization` is the header's value (p NULL = none), `form` the body. On
 * ERR_INVALID `refusal` is set (and by_header in `out`), nothing else. Whether the grant type and
 * scope are served is the caller's to decide.
 */
enum err token_request_parse(struct arena *a, struct str authorization, struct str form,
			     struct token_request *out, struct oauth_refusal *refusal) MUST_USE;
