#include "relay/interceptor.h"

#include "http/chars.h"
#include "http/uri.h"

/* -- reading ----------------------------------------------------------------- */

static enum err read_strs(struct arena *a, const struct conf_node *map, const char *name,
			  struct conf_strs *out, struct fault *f)
{
	struct conf_key key = {.name = name, .type = CONF_STRS};

	return conf_value(a, &key, conf_get(map, str_c(name)), out, f);
}

static enum err read_names(struct arena *a, const struct conf_node *map, const char *name,
			   struct conf_strs *out, struct fault *f)
{
	TRY(read_strs(a, map, name, out, f));
	for (size_t i = 0; i < out->n; i++) {
		if (!http_is_token(out->v[i])) {
			return conf_fault(f, map, "%s: '%.*s' is not a header name", name,
					  STR_ARG(out->v[i]));
		}
	}
	return ERR_OK;
}

static enum err read_headers(struct arena *a, const struct conf_node *map, const char *name,
			     struct http_headers *out, struct fault *f)
{
	const struct conf_node *node = conf_get(map, str_c(name));

	if (conf_is_null(node)) {
		return ERR_OK;
	}
	if (node->kind != CONF_NODE_MAP) {
		return conf_fault(f, node, "%s: must be a map of names and values", name);
	}
	for (const struct conf_node *h = node->child; h; h = h->next) {
		if (!http_is_token(h->key) || h->kind != CONF_NODE_SCALAR ||
		    !http_is_field_value(h->text)) {
			return conf_fault(f, h, "%s: '%.*s' is not a valid header", name,
					  STR_ARG(h->key));
		}
		if (http_is_hop_by_hop(h->key) || str_eq_nocase(h->key, STR("Content-Length"))) {
			return conf_fault(f, h, "%s: '%.*s' cannot be set", name, STR_ARG(h->key));
		}
		http_header_add(a, out, h->key, h->text);
	}
	return ERR_OK;
}

static enum err check_keys(const struct conf_node *map, const char *const *known, size_t n,
			   struct fault *f)
{
	if (map->kind != CONF_NODE_MAP) {
		return conf_fault(f, map, "interceptors: must be a map");
	}
	for (const struct conf_node *c = map->child; c; c = c->next) {
		bool found = false;

		for (size_t i = 0; i < n && !found; i++) {
			found = str_eq(c->key, str_c(known[i]));
		}
		if (!found) {
			const char *near = conf_nearest(c->key, known, n);

			return conf_fault(f, c, "interceptors: unknown key '%.*s'%s%s%s",
					  STR_ARG(c->key), near ? ", did you mean '" : "",
					  near ? near : "", near ? "'?" : "");
		}
	}
	return ERR_OK;
}

/* Some take '\\' for '/'. */
static int next_char(struct str url, size_t *at)
{
	int c = uri_eager_byte(url, at);

	return c == '\\' ? '/' : c;
}

/* As path_starts compares it; a '%' that begins no escape is one. */
static struct str as_compared(struct arena *a, struct str path)
{
	char *to = arena_alloc(a, path.n);
	size_t n = 0;

	for (size_t i = 0; i < path.n;) {
		size_t next = i;
		int c = next_char(path, &next);

		to[n++] = c < 0 ? path.p[i] : (char)c;
		i = c < 0 ? i + 1 : next;
	}
	return str_of(to, n);
}

static enum err read_when(struct arena *a, const struct conf_node *rule, struct interceptor *out,
			  struct fault *f)
{
	static const char *const known[] = {"method", "tenant", "target", "path", "header"};
	const struct conf_node *when = conf_get(rule, STR("when"));

	if (conf_is_null(when)) {
		return ERR_OK;
	}
	TRY(check_keys(when, known, ARRAY_LEN(known), f));
	TRY(read_strs(a, when, "method", &out->methods, f));
	out->tenant = conf_text(conf_get(when, STR("tenant")));
	out->target = conf_text(conf_get(when, STR("target")));
	out->path = as_compared(a, conf_text(conf_get(when, STR("path"))));
	struct str header = conf_text(conf_get(when, STR("header")));
	ptrdiff_t colon = str_index(header, ':');

	out->header = colon < 0 ? header : str_trim(str_slice(header, 0, (size_t)colon));
	if (colon >= 0) {
		struct str value = str_trim(str_skip(header, (size_t)colon + 1));

		out->header_value = str_eq(value, STR("*")) ? STR_NULL : value;
	}
	if (header.p && !http_is_token(out->header)) {
		return conf_fault(f, when, "interceptors: '%.*s' is not a header name",
				  STR_ARG(out->header));
	}
	return ERR_OK;
}

static enum err read_rewrite(struct arena *a, const struct conf_node *rule, struct interceptor *out,
			     struct fault *f)
{
	static const char *const known[] = {"from", "to"};
	const struct conf_node *node = conf_get(rule, STR("rewrite"));

	if (conf_is_null(node)) {
		return ERR_OK;
	}
	TRY(check_keys(node, known, ARRAY_LEN(known), f));
	out->has_rewrite = true;
	out->rewrite_from = as_compared(a, conf_text(conf_get(node, STR("from"))));
	out->rewrite_to = conf_text(conf_get(node, STR("to")));
	if (!uri_rest_is_safe(out->rewrite_to)) {
		return conf_fault(f, node, "interceptors: 'to' must be a relative path");
	}
	return ERR_OK;
}

static enum err read_answer(struct arena *a, const struct conf_node *rule, struct interceptor *out,
			    struct fault *f)
{
	static const char *const known[] = {"status", "headers", "body", "deliver"};
	static const struct conf_key status_key = {
		.name = "status", .type = CONF_INT, .dflt = "200", .min = 200, .max = 599};
	static const struct conf_key deliver_key = {
		.name = "deliver", .type = CONF_BOOL, .dflt = "false"};
	const struct conf_node *node = conf_get(rule, STR("answer"));
	int64_t status;

	if (conf_is_null(node)) {
		return ERR_OK;
	}
	TRY(check_keys(node, known, ARRAY_LEN(known), f));
	TRY(conf_value(a, &status_key, conf_get(node, STR("status")), &status, f));
	TRY(conf_value(a, &deliver_key, conf_get(node, STR("deliver")), &out->answer.deliver, f));
	TRY(read_headers(a, node, "headers", &out->answer.headers, f));
	out->answer.status = (int)status;
	out->answer.body = conf_text(conf_get(node, STR("body")));
	out->answer.set = true;
	return ERR_OK;
}

static enum err read_rule(struct arena *a, const struct conf_node *node, struct interceptor *out,
			  struct fault *f)
{
	static const char *const known[] = {"when",
					    "set_request_headers",
					    "remove_request_headers",
					    "set_response_headers",
					    "remove_response_headers",
					    "rewrite",
					    "strip_authorization",
					    "answer"};
	static const struct conf_key strip_key = {
		.name = "strip_authorization", .type = CONF_BOOL, .dflt = "false"};
	bool strip;

	TRY(check_keys(node, known, ARRAY_LEN(known), f));
	TRY(read_when(a, node, out, f));
	TRY(read_headers(a, node, "set_request_headers", &out->set_request, f));
	TRY(read_headers(a, node, "set_response_headers", &out->set_response, f));
	TRY(read_names(a, node, "remove_request_headers", &out->remove_request, f));
	TRY(read_names(a, node, "remove_response_headers", &out->remove_response, f));
	TRY(read_rewrite(a, node, out, f));
	TRY(conf_value(a, &strip_key, conf_get(node, STR("strip_authorization")), &strip, f));
	if (strip) {
		struct str *v = ARENA_NEW_ARRAY(a, struct str, out->remove_request.n + 1);

		for (size_t i = 0; i < out->remove_request.n; i++) {
			v[i] = out->remove_request.v[i];
		}
		v[out->remove_request.n++] = STR("Authorization");
		out->remove_request.v = v;
	}
	return read_answer(a, node, out, f);
}

enum err interceptors_parse(struct arena *a, const struct conf_node *node, struct interceptors *out,
			    struct fault *f)
{
	size_t n = 0;

	*out = (struct interceptors){0};
	if (conf_is_null(node)) {
		return ERR_OK;
	}
	if (node->kind != CONF_NODE_LIST) {
		return conf_fault(f, node, "interceptors: must be a list");
	}
	for (const struct conf_node *c = node->child; c; c = c->next) {
		n++;
	}
	if (n > INTERCEPTORS_MAX) {
		return conf_fault(f, node, "interceptors: at most %d rules", INTERCEPTORS_MAX);
	}
	struct interceptor *v = ARENA_NEW_ARRAY(a, struct interceptor, n);

	n = 0;
	for (const struct conf_node *c = node->child; c; c = c->next) {
		TRY(read_rule(a, c, &v[n++], f));
	}
	*out = (struct interceptors){v, n};
	return ERR_OK;
}

/* -- applying ---------------------------------------------------------------- */

static bool method_matches(const struct interceptor *rule, struct str method)
{
	for (size_t i = 0; i < rule->methods.n; i++) {
		if (str_eq_nocase(rule->methods.v[i], method)) {
			return true;
		}
	}
	return rule->methods.n == 0;
}

static bool header_matches(const struct interceptor *rule, const struct http_headers *h)
{
	if (!rule->header.p) {
		return true;
	}
	for (size_t i = 0; i < h->n; i++) {
		if (str_eq_nocase(h->v[i].name, rule->header) &&
		    (!rule->header_value.p || str_eq(h->v[i].value, rule->header_value))) {
			return true;
		}
	}
	return false;
}

/*
 * Behind what some leave out at the end of a segment, of which `c` is the first: blanks and dots
 * (Windows), parameters (";v=1"). False: the segment goes on.
 */
static bool skip_tail(struct str url, size_t *at, int c)
{
	size_t next = *at;
	bool has_params = c == ';';

	while (*at < url.n && (c = next_char(url, &next)) != '/') {
		if (c < 0) {
			return false;
		}
		has_params = has_params || c == ';';
		if (!has_params && c != ' ' && c != '.') {
			return false;
		}
		*at = next;
	}
	return *at < url.n;
}

/* Behind the slashes there, of which those who join them see one. */
static size_t skip_slashes(struct str path, size_t at)
{
	size_t next = at;

	while (next < path.n && next_char(path, &next) == '/') {
		at = next;
	}
	return at;
}

/*
 * As a target may read it, lest a rule that answers in place of one be passed by: without escapes,
 * slashes in a row as one, without what is left out at the end of segments. How much of the url
 * that is; -1: it starts otherwise.
 */
static ptrdiff_t path_starts(struct str url, struct str want)
{
	struct str path = str_slice(url, 0, str_find_char(url, 0, '?'));
	size_t at = 0;
	int last = '/';

	for (size_t i = 0; i < want.n;) {
		int c = at < path.n ? next_char(path, &at) : -1;

		if (c == (unsigned char)want.p[i]) {
			i++;
		} else if (c == ';' || c == ' ' || c == '.') {
			if (!skip_tail(path, &at, c)) {
				return -1;
			}
			continue;
		} else if (c != '/' || last != '/') {
			return -1;
		}
		last = c;
	}
	return (ptrdiff_t)(want.n > 0 && last == '/' ? skip_slashes(path, at) : at);
}

static bool matches(const struct interceptor *rule, const struct interceptor_request *r)
{
	return method_matches(rule, r->method) &&
	       (!rule->tenant.p || str_eq_nocase(rule->tenant, r->tenant)) &&
	       (!rule->target.p || str_eq_nocase(rule->target, r->target)) &&
	       path_starts(r->url, rule->path) >= 0 && header_matches(rule, r->headers);
}

static void edit_headers(struct arena *a, struct http_headers *h, const struct conf_strs *remove,
			 const struct http_headers *set)
{
	for (size_t i = 0; i < remove->n; i++) {
		(void)http_header_remove(h, remove->v[i]);
	}
	for (size_t i = 0; i < set->n; i++) {
		http_header_set(a, h, set->v[i].name, set->v[i].value);
	}
}

/* A result that would leave the base address is not taken over. */
/* False: it leads elsewhere. As it was the request may be what the rule keeps from the target. */
static bool rewrite(const struct interceptor *rule, struct arena *a, struct interceptor_request *r)
{
	ptrdiff_t n = rule->has_rewrite ? path_starts(r->url, rule->rewrite_from) : -1;

	if (n < 0) {
		return true;
	}
	struct str url = str_fmt(a, "%.*s%.*s", STR_ARG(rule->rewrite_to),
				 STR_ARG(str_skip(r->url, (size_t)n)));

	if (!uri_rest_is_safe(url)) {
		return false;
	}
	r->url = url;
	return true;
}

static const struct interceptor_answer leads_elsewhere = {.set = true, .status = 400};

uint64_t interceptors_request(const struct interceptors *rules, struct arena *a,
			      struct interceptor_request *r,
			      const struct interceptor_answer **out_answer)
{
	uint64_t matched = 0;

	*out_answer = NULL;
	for (size_t i = 0; i < rules->n; i++) {
		const struct interceptor *rule = &rules->v[i];

		if (!matches(rule, r)) {
			continue;
		}
		matched |= UINT64_C(1) << i;
		edit_headers(a, r->headers, &rule->remove_request, &rule->set_request);
		if (!rewrite(rule, a, r) && !rule->answer.set) {
			*out_answer = &leads_elsewhere;
			break;
		}
		if (rule->answer.set) {
			*out_answer = &rule->answer;
			break;
		}
	}
	return matched;
}

void interceptors_response(const struct interceptors *rules, uint64_t matched, struct arena *a,
			   struct http_headers *headers)
{
	for (size_t i = 0; i < rules->n; i++) {
		if (matched & UINT64_C(1) << i) {
			edit_headers(a, headers, &rules->v[i].remove_response,
				     &rules->v[i].set_response);
		}
	}
}
