/*
 * The checks of single fields that several kinds share, with Kong's texts.
 */
#include "gateway/entity_int.h"
#include "http/message.h"
#include "net/addr.h"

#define NAME_LEN_MAX 253 /* of DNS; no client can ask for more */

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Every byte is a letter, a digit or one of `more`. */
static bool consists_of(struct str s, const char *more)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alnum(s.p[i]) && (s.p[i] == '\0' || !strchr(more, s.p[i]))) {
			return false;
		}
	}
	return true;
}

bool entity_is_given(const struct json *v, const char *path)
{
	const struct json *at = tree_at(v, path);

	return !json_is_null(at) && (at->type != JSON_ARRAY || at->n > 0) &&
	       (at->type != JSON_OBJECT || at->n > 0);
}

bool entity_is_reference(struct str s)
{
	return str_starts(s, STR("{vault://")) && str_ends(s, STR("}"));
}

bool entity_has(const struct json *list, const char *s)
{
	for (const struct json *c = list ? list->child : NULL; c; c = c->next) {
		if (str_eq(json_str(c), str_c(s))) {
			return true;
		}
	}
	return false;
}

/* -- names ------------------------------------------------------------------ */

enum err entity_check_name(struct arena *a, const struct schema_field *field, const struct json *v,
			   struct fault *f)
{
	struct str s = v->text;

	(void)a;
	(void)field;
	for (size_t i = 0; i < s.n; i++) {
		if (!((unsigned char)s.p[i] & 0x80) && !consists_of(str_slice(s, i, 1), ".-_~")) {
			return fault_set(f, ERR_INVALID,
					 "invalid value '%.*s': the only accepted ascii "
					 "characters are alphanumerics or ., -, _, and ~",
					 STR_ARG(s));
		}
	}
	return ERR_OK;
}

static enum err check_tag(struct arena *a, const struct schema_field *field, const struct json *v,
			  struct fault *f)
{
	struct str s = v->text;

	(void)a;
	(void)field;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c == 0x7f || c == ',' || c == '/') {
			return fault_set(f, ERR_INVALID,
					 "invalid tag '%.*s': expected printable ascii (except "
					 "`,` and `/`) or valid utf-8 sequences",
					 STR_ARG(s));
		}
	}
	return ERR_OK;
}

const struct schema_field entity_tag = {.type = SCHEMA_STRING, .check = check_tag};
const struct schema_field entity_uuid = {.type = SCHEMA_STRING, .flags = SCHEMA_UUID};

/* -- hosts ------------------------------------------------------------------ */

static bool label_is_valid(struct str label, bool last)
{
	return label.n > 0 ? label.p[label.n - 1] != '-' : last;
}

/* Labels of letters, digits, '-' and '_'; a dot may end it. */
static bool name_is_valid(struct str s)
{
	struct str rest = s;
	struct str label;

	if (s.n == 0 || s.p[0] == '.' || !consists_of(s, ".-_")) {
		return false;
	}
	while (str_split(&rest, '.', &label)) {
		if (!label_is_valid(label, rest.n == 0)) {
			return false;
		}
	}
	return true;
}

static bool is_ip(struct str s, enum entity_host_kind *out)
{
	struct addr addr;

	if (addr_from_ip(s, 0, &addr) != ERR_OK) {
		return false;
	}
	*out = addr.sa.ss_family == AF_INET6 ? ENTITY_HOST_IPV6 : ENTITY_HOST_IPV4;
	return true;
}

static enum err parse_port(struct str s, struct entity_host *out)
{
	uint64_t port;

	if (!str_to_u64(s, &port) || port > UINT16_MAX) {
		return ERR_INVALID;
	}
	out->has_port = true;
	out->port = (uint16_t)port;
	return ERR_OK;
}

static enum err parse_bracketed(struct str s, struct entity_host *out)
{
	ptrdiff_t end = str_index(s, ']');
	struct str rest;

	if (end < 0) {
		return ERR_INVALID;
	}
	out->name = str_slice(s, 1, (size_t)end - 1);
	rest = str_skip(s, (size_t)end + 1);
	if (!is_ip(out->name, &out->kind) || out->kind != ENTITY_HOST_IPV6) {
		return ERR_INVALID;
	}
	if (rest.n == 0) {
		return ERR_OK;
	}
	return rest.p[0] == ':' ? parse_port(str_skip(rest, 1), out) : ERR_INVALID;
}

/* Digits and dots only must be an address: no name looks like that. */
static bool looks_like_ipv4(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '.' && (s.p[i] < '0' || s.p[i] > '9')) {
			return false;
		}
	}
	return s.n > 0;
}

enum err entity_host_parse(struct str s, struct entity_host *out)
{
	ptrdiff_t colon = str_index(s, ':');

	*out = (struct entity_host){.name = s};
	if (str_starts(s, STR("["))) {
		return parse_bracketed(s, out);
	}
	if (colon >= 0 && str_rindex(s, ':') != colon) {
		return is_ip(s, &out->kind) ? ERR_OK : ERR_INVALID;
	}
	if (colon >= 0) {
		out->name = str_slice(s, 0, (size_t)colon);
		TRY(parse_port(str_skip(s, (size_t)colon + 1), out));
	}
	if (looks_like_ipv4(out->name)) {
		return is_ip(out->name, &out->kind) ? ERR_OK : ERR_INVALID;
	}
	return name_is_valid(out->name) ? ERR_OK : ERR_INVALID;
}

enum err entity_check_host(struct arena *a, const struct schema_field *field, const struct json *v,
			   struct fault *f)
{
	struct entity_host host;

	(void)a;
	(void)field;
	if (entity_host_parse(v->text, &host) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "invalid value: %.*s", STR_ARG(v->text));
	}
	if (host.has_port) {
		return fault_set(f, ERR_INVALID, "must not have a port");
	}
	return ERR_OK;
}

enum err entity_check_host_port(struct arena *a, const struct schema_field *field,
				const struct json *v, struct fault *f)
{
	struct entity_host host;

	(void)a;
	(void)field;
	if (entity_host_parse(v->text, &host) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "invalid value: %.*s", STR_ARG(v->text));
	}
	return ERR_OK;
}

/* The name without the label that is "*"; STR_NULL when it is not a lone label at an end. */
static struct str without_wildcard(struct str s)
{
	ptrdiff_t star = str_index(s, '*');

	if (star < 0) {
		return s;
	}
	if (str_rindex(s, '*') != star) {
		return STR_NULL;
	}
	if (str_starts(s, STR("*."))) {
		return str_skip(s, 2);
	}
	return str_ends(s, STR(".*")) ? str_slice(s, 0, s.n - 2) : STR_NULL;
}

static enum err refuse_wildcard(struct str s, struct fault *f)
{
	if (str_index(s, '*') != str_rindex(s, '*')) {
		return fault_set(f, ERR_INVALID,
				 "invalid wildcard: must have at most one wildcard");
	}
	return fault_set(f, ERR_INVALID,
			 "invalid wildcard: must be placed at leftmost or "
			 "rightmost label");
}

enum err entity_check_wildcard(struct arena *a, const struct schema_field *field,
			       const struct json *v, struct fault *f)
{
	struct str s = v->text;
	ptrdiff_t colon = str_rindex(s, ':');
	bool bracket = str_starts(s, STR("["));
	struct entity_host host;
	struct entity_host port;

	(void)a;
	(void)field;
	if (str_index(s, '*') >= 0) {
		struct str name = colon < 0 ? s : str_slice(s, 0, (size_t)colon);

		name = without_wildcard(name);
		if (!name.p) {
			return refuse_wildcard(s, f);
		}
		if (!name_is_valid(name) ||
		    (colon >= 0 && parse_port(str_skip(s, (size_t)colon + 1), &port) != ERR_OK)) {
			return fault_set(f, ERR_INVALID, "invalid hostname: %.*s", STR_ARG(s));
		}
		return ERR_OK;
	}
	if (entity_host_parse(s, &host) != ERR_OK || bracket) {
		return fault_set(f, ERR_INVALID, "invalid hostname: %.*s", STR_ARG(s));
	}
	return ERR_OK;
}

enum err entity_check_sni(struct arena *a, const struct schema_field *field, const struct json *v,
			  struct fault *f)
{
	struct str s = v->text;
	struct entity_host host;

	(void)a;
	(void)field;
	if (s.n > NAME_LEN_MAX + (size_t)str_ends(s, STR("."))) {
		return fault_set(f, ERR_INVALID, "length must be at most %d", NAME_LEN_MAX);
	}
	if (str_index(s, '*') >= 0) {
		if (str_eq(s, STR("*"))) {
			return ERR_OK;
		}
		struct str name = without_wildcard(s);

		return name.p && name_is_valid(name) ? ERR_OK : refuse_wildcard(s, f);
	}
	if (entity_host_parse(s, &host) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "invalid value: %.*s", STR_ARG(s));
	}
	if (host.kind != ENTITY_HOST_NAME) {
		return fault_set(f, ERR_INVALID, "must not be an IP");
	}
	return host.has_port ? fault_set(f, ERR_INVALID, "must not have a port") : ERR_OK;
}

const struct schema_field entity_sni = {.type = SCHEMA_STRING, .check = entity_check_sni};

enum err entity_check_ip(struct arena *a, const struct schema_field *field, const struct json *v,
			 struct fault *f)
{
	struct addr_net net;

	(void)a;
	(void)field;
	if (addr_net_parse(v->text, &net) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "invalid ip or cidr range: '%.*s'",
				 STR_ARG(v->text));
	}
	return ERR_OK;
}

/* -- paths and headers ------------------------------------------------------ */

static enum err check_escapes(struct str s, struct fault *f)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && !(i + 2 < s.n && is_hex(s.p[i + 1]) && is_hex(s.p[i + 2]))) {
			return fault_set(f, ERR_INVALID, "invalid url-encoded value: '%.*s'",
					 STR_ARG(str_slice(s, i, 3)));
		}
	}
	return ERR_OK;
}

enum err entity_check_path(struct arena *a, const struct schema_field *field, const struct json *v,
			   struct fault *f)
{
	struct str s = v->text;

	(void)a;
	(void)field;
	if (str_find(s, STR("//")) >= 0) {
		return fault_set(f, ERR_INVALID, "must not have empty segments");
	}
	if (!consists_of(s, ".-_~/%!$&'()*+,;=:@")) {
		return fault_set(f, ERR_INVALID,
				 "invalid path: '%.*s' (characters outside of the reserved list "
				 "of RFC 3986 found)",
				 STR_ARG(s));
	}
	return check_escapes(s, f);
}

enum err entity_check_header_value(struct arena *a, const struct schema_field *field,
				   const struct json *v, struct fault *f)
{
	(void)a;
	(void)field;
	return http_is_field_value(v->text)
		       ? ERR_OK
		       : fault_set(f, ERR_INVALID, "has characters that no header may have");
}

enum err entity_check_header(struct arena *a, const struct schema_field *field,
			     const struct json *v, struct fault *f)
{
	(void)a;
	(void)field;
	if (!consists_of(v->text, "!#$%&'*+-.^_`|~")) {
		return fault_set(f, ERR_INVALID,
				 "bad header name '%.*s', allowed characters are A-Z, a-z, 0-9, "
				 "'_', and '-'",
				 STR_ARG(v->text));
	}
	return ERR_OK;
}
