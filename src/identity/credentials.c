/* SPDX-License-Identifier: MIT */
/*
 * credentials - see credentials.h
 */
#include "identity/credentials.h"

#include "base/enc.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "identity/secret.h"

#include <stdbool.h>

struct str oauth_error_name(enum oauth_error error)
{
	static const struct str names[] = {
		[OAUTH_INVALID_REQUEST] = STR_INIT("invalid_request"),
		[OAUTH_INVALID_CLIENT] = STR_INIT("invalid_client"),
		[OAUTH_INVALID_GRANT] = STR_INIT("invalid_grant"),
		[OAUTH_UNAUTHORIZED_CLIENT] = STR_INIT("unauthorized_client"),
		[OAUTH_UNSUPPORTED_GRANT_TYPE] = STR_INIT("unsupported_grant_type"),
		[OAUTH_INVALID_SCOPE] = STR_INIT("invalid_scope"),
	};

	return names[error];
}

int oauth_error_status(enum oauth_error error)
{
	return error == OAUTH_INVALID_CLIENT ? 401 : 400;
}

static enum err refuse(struct oauth_refusal *refusal, enum oauth_error error, const char *text)
{
	*refusal = (struct oauth_refusal){error, text};
	return ERR_INVALID;
}

static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
			return true;
		}
	}
	return false;
}

/* Form-decoded text without control characters, into the arena. */
static enum err decode_text(struct arena *a, struct str in, struct str *out)
{
	struct buf bytes = {0};
	struct str text;
	bool ok;

	ok = form_decode(&bytes, in) == ERR_OK;
	text = bytes.n ? buf_str(&bytes) : STR("");
	ok = ok && utf8_is_valid(text) && !has_control(text);
	if (ok) {
		*out = str_dup(a, text);
	}
	if (bytes.p) {
		mem_wipe(buf_head(&bytes), bytes.n);
	}
	buf_free(&bytes);
	return ok ? ERR_OK : ERR_INVALID;
}

/* The parameters that we know, each at most once. */
static struct str *field_of(struct token_request *r, struct str name)
{
	const struct {
		struct str name;
		struct str *field;
	} fields[] = {
		{STR_INIT("grant_type"), &r->grant_type},
		{STR_INIT("client_id"), &r->client_id},
		{STR_INIT("client_secret"), &r->client_secret},
		{STR_INIT("scope"), &r->scope},
	};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (str_eq(fields[i].name, name)) {
			return fields[i].field;
		}
	}
	return NULL;
}

static enum err read_param(struct arena *a, struct str pair, struct token_request *r,
			   struct oauth_refusal *refusal)
{
	ptrdiff_t eq = str_index(pair, '=');
	struct str name, value = STR("");
	struct str *field;

	if (eq >= 0) {
		value = str_skip(pair, (size_t)eq + 1);
		pair = str_slice(pair, 0, (size_t)eq);
	}
	if (decode_text(a, pair, &name) != ERR_OK || decode_text(a, value, &value) != ERR_OK) {
		return refuse(refusal, OAUTH_INVALID_REQUEST, "The form is not well encoded.");
	}
	field = field_of(r, name);
	if (!field) {
		return ERR_OK;
	}
	if (field->p) {
		return refuse(refusal, OAUTH_INVALID_REQUEST, "A parameter is given twice.");
	}
	/* RFC 6749 3.2: a parameter without a value counts as absent. */
	if (value.n > 0) {
		*field = value;
	}
	return ERR_OK;
}

static enum err read_form(struct arena *a, struct str form, struct token_request *r,
			  struct oauth_refusal *refusal)
{
	struct str pair;
	size_t n = 0;

	if (form.n > CREDENTIALS_FORM_MAX) {
		return refuse(refusal, OAUTH_INVALID_REQUEST, "The form is too long.");
	}
	while (str_split(&form, '&', &pair)) {
		if (++n > CREDENTIALS_PARAMS_MAX) {
			return refuse(refusal, OAUTH_INVALID_REQUEST,
				      "The form has too many parameters.");
		}
		TRY(read_param(a, pair, r, refusal));
	}
	return ERR_OK;
}

/* "id:secret", both form-encoded (RFC 6749 2.3.1), so a colon in the id is escaped. */
static enum err read_pair(struct arena *a, struct str pair, struct str *out_id,
			  struct str *out_secret)
{
	ptrdiff_t colon = str_index(pair, ':');

	if (colon < 0) {
		return ERR_INVALID;
	}
	TRY(decode_text(a, str_slice(pair, 0, (size_t)colon), out_id));
	return decode_text(a, str_skip(pair, (size_t)colon + 1), out_secret);
}

static enum err read_basic(struct arena *a, struct str value, struct token_request *r,
			   struct oauth_refusal *refusal)
{
	struct str id = STR_NULL, secret = STR_NULL;
	struct buf pair = {0};
	enum err e;

	if (value.n > CREDENTIALS_HEADER_MAX || !str_starts_nocase(value, STR("Basic "))) {
		return refuse(refusal, OAUTH_INVALID_CLIENT,
			      "Only Basic authentication is accepted.");
	}
	e = base64_decode(&pair, str_trim(str_skip(value, 6)));
	if (e == ERR_OK) {
		e = read_pair(a, buf_str(&pair), &id, &secret);
	}
	if (pair.p) {
		mem_wipe(buf_head(&pair), pair.n);
	}
	buf_free(&pair);
	if (e != ERR_OK) {
		return refuse(refusal, OAUTH_INVALID_CLIENT,
			      "The credentials are not well encoded.");
	}
	/* The form may repeat the name, but not carry a second secret (RFC 6749 2.3). */
	if (r->client_secret.p || (r->client_id.p && !str_eq(r->client_id, id))) {
		return refuse(refusal, OAUTH_INVALID_REQUEST,
			      "The client authenticates in more than one way.");
	}
	r->client_id = id;
	r->client_secret = secret;
	return ERR_OK;
}

static enum err check_client(const struct token_request *r, struct oauth_refusal *refusal)
{
	if (r->client_id.n == 0 || r->client_secret.n == 0) {
		return refuse(refusal, OAUTH_INVALID_CLIENT, "The client does not authenticate.");
	}
	if (r->client_id.n > CREDENTIALS_ID_MAX || r->client_secret.n > SECRET_LEN_MAX) {
		return refuse(refusal, OAUTH_INVALID_CLIENT, "The credentials are too long.");
	}
	return ERR_OK;
}

enum err token_request_parse(struct arena *a, struct str authorization, struct str form,
			     struct token_request *out, struct oauth_refusal *refusal)
{
	struct token_request r = {.by_header = authorization.p != NULL};

	out->by_header = r.by_header;
	TRY(read_form(a, form, &r, refusal));
	if (r.by_header) {
		TRY(read_basic(a, authorization, &r, refusal));
	}
	if (!r.grant_type.p) {
		return refuse(refusal, OAUTH_INVALID_REQUEST, "The grant_type is missing.");
	}
	TRY(check_client(&r, refusal));
	*out = r;
	return ERR_OK;
}
