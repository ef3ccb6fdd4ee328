/* Addresses with flags, and the certificates and protocols of those with TLS. */
#include "app/config_kong_int.h"

#include "base/enc.h"
#include "net/addr.h"

#define ADDRESSES_MAX 16

/* "0.0.0.0:8443 http2 ssl reuseport backlog=16384" */
struct address {
	struct str text;
	bool ssl, http2, proxy_protocol;
};

struct addresses {
	struct address v[ADDRESSES_MAX];
	size_t n;
};

/* ---- flags ---- */

static bool *flag_of(struct address *a, struct str word)
{
	if (str_eq(word, STR("ssl"))) {
		return &a->ssl;
	}
	if (str_eq(word, STR("http2"))) {
		return &a->http2;
	}
	return str_eq(word, STR("proxy_protocol")) ? &a->proxy_protocol : NULL;
}

/* What nginx asks of the kernel. */
static bool is_without_effect(struct str word)
{
	static const char *const words[] = {"reuseport", "deferred", "bind"};
	static const char *const starts[] = {
		"backlog=", "ipv6only=", "so_keepalive=", "fastopen=", "rcvbuf=", "sndbuf="};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (str_eq(word, str_c(words[i]))) {
			return true;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		if (str_starts(word, str_c(starts[i]))) {
			return true;
		}
	}
	return false;
}

static enum err read_flag(struct kong *k, const struct kong_value *v, struct str word,
			  struct address *out)
{
	bool *flag = flag_of(out, word);

	if (flag) {
		*flag = true;
	} else if (!is_without_effect(word)) {
		return kong_fault(k, v,
				  "\"%.*s\" is no flag of an address (ssl, http2, proxy_protocol, "
				  "reuseport, backlog=N, deferred, bind)",
				  STR_ARG(str_slice(word, 0, 60)));
	}
	return ERR_OK;
}

/* ---- addresses ---- */

static enum err read_ip(struct kong *k, const struct kong_value *v, struct str word,
			struct address *out)
{
	static const struct str localhost = STR_INIT("localhost:");
	struct addr addr;

	if (str_starts(word, localhost)) {
		word = str_fmt(k->arena, "127.0.0.1:%.*s", STR_ARG(str_skip(word, localhost.n)));
	}
	if (addr_parse(word, &addr) != ERR_OK) {
		return kong_fault(k, v,
				  "\"%.*s\" is no address and port (try \"0.0.0.0:8000\", or "
				  "\"off\" for none)",
				  STR_ARG(str_slice(word, 0, 60)));
	}
	out->text = word;
	return ERR_OK;
}

static enum err read_address(struct kong *k, const struct kong_value *v, struct str text,
			     struct address *out)
{
	struct str word;

	*out = (struct address){.text = STR_NULL};
	while (str_split(&text, ' ', &word)) {
		word = str_trim(word);
		if (word.n == 0) {
			continue;
		}
		TRY(out->text.n == 0 ? read_ip(k, v, word, out) : read_flag(k, v, word, out));
	}
	return ERR_OK;
}

static bool are_alike(const struct address *a, const struct address *b)
{
	return a->ssl == b->ssl && a->http2 == b->http2 && a->proxy_protocol == b->proxy_protocol;
}

/* Where [::] listens IPv4 is heard as well, and 0.0.0.0 of the same port would be in its way. */
static bool is_covered(const struct addresses *all, const struct address *a)
{
	static const struct str v4 = STR_INIT("0.0.0.0:"), v6 = STR_INIT("[::]:");

	for (size_t i = 0; i < all->n && str_starts(a->text, v4); i++) {
		const struct address *b = &all->v[i];

		if (str_starts(b->text, v6) && are_alike(a, b) &&
		    str_eq(str_skip(b->text, v6.n), str_skip(a->text, v4.n))) {
			return true;
		}
	}
	return false;
}

static enum err read_addresses(struct kong *k, const struct kong_value *v, struct addresses *out)
{
	struct str rest = v->text, one;

	out->n = 0;
	if (str_eq(rest, STR("off"))) {
		return ERR_OK;
	}
	while (str_split(&rest, ',', &one)) {
		if (out->n == ADDRESSES_MAX) {
			return kong_fault(k, v, "more than %d addresses", ADDRESSES_MAX);
		}
		TRY(read_address(k, v, one, &out->v[out->n]));
		out->n += out->v[out->n].text.n > 0;
	}
	return ERR_OK;
}

/* ---- certificates ---- */

/* Up to two, of keys of other types. */
struct texts {
	struct str v[2];
	size_t n;
};

/* PEM in base64, as a variable may have it. */
static struct str decode(struct arena *a, struct str text)
{
	struct buf pem = {0};

	/* "-----BEGIN " */
	if (str_starts(text, STR("LS0tLS1CRUdJTi")) && base64_decode(&pem, text) == ERR_OK) {
		text = str_dup(a, buf_str(&pem));
	}
	buf_free(&pem);
	return text;
}

static enum err read_texts(struct kong *k, const struct kong_value *v, struct texts *out)
{
	struct str rest = v ? v->text : STR_NULL, one;

	out->n = 0;
	while (str_split(&rest, ',', &one)) {
		one = str_trim(one);
		if (out->n == ARRAY_LEN(out->v)) {
			return kong_fault(k, v, "more than two");
		}
		TRY(kong_resolve(k, v, &one));
		out->v[out->n] = decode(k->arena, one);
		out->n += one.n > 0;
	}
	return ERR_OK;
}

static enum err add_pairs(struct kong *k, const char *prefix, struct conf_node *tls)
{
	static const char *const names[2][2] = {{"cert", "key"}, {"cert_alt", "key_alt"}};
	const char *cert_name = str_cstr(k->arena, str_fmt(k->arena, "%sssl_cert", prefix));
	const char *key_name = str_cstr(k->arena, str_fmt(k->arena, "%sssl_cert_key", prefix));
	const struct kong_value *cert = kong_get(k, cert_name), *key = kong_get(k, key_name);
	struct texts certs, keys;

	TRY(read_texts(k, cert, &certs));
	TRY(read_texts(k, key, &keys));
	if (certs.n != keys.n) {
		return kong_fault(k, cert ? cert : key,
				  "%s and %s are pairs, but there are %zu and %zu", cert_name,
				  key_name, certs.n, keys.n);
	}
	for (size_t i = 0; i < MIN(certs.n, ARRAY_LEN(names)); i++) {
		config_append(tls, kong_scalar(k, names[i][0], certs.v[i], cert));
		config_append(tls, kong_scalar(k, names[i][1], keys.v[i], key));
	}
	return ERR_OK;
}

/* ---- protocols ---- */

static enum err add_versions(struct kong *k, struct conf_node *tls)
{
	const struct kong_value *v = kong_get(k, "ssl_protocols");
	struct str rest = v ? v->text : STR_NULL, word;
	bool v12 = false, v13 = false;

	while (str_split(&rest, ' ', &word)) {
		word = str_trim(word);
		v12 = v12 || str_eq(word, STR("TLSv1.2"));
		v13 = v13 || str_eq(word, STR("TLSv1.3"));
	}
	if (!v) {
		return ERR_OK;
	}
	if (!v12 && !v13) {
		return kong_fault(k, v, "neither TLSv1.2 nor TLSv1.3, and there is nothing older");
	}
	config_append(tls, kong_scalar(k, "min_version", v12 ? STR("TLSv1.2") : STR("TLSv1.3"), v));
	config_append(tls, kong_scalar(k, "max_version", v13 ? STR("TLSv1.3") : STR("TLSv1.2"), v));
	return ERR_OK;
}

/* A suite other than `custom` decides on protocols, too; "intermediate" is the default of both. */
static enum err add_suite(struct kong *k, struct conf_node *tls)
{
	const struct kong_value *suite = kong_get(k, "ssl_cipher_suite");
	const struct kong_value *ciphers = kong_get(k, "ssl_ciphers");
	struct str name = suite ? suite->text : STR("");

	if (str_eq(name, STR("modern"))) {
		config_append(tls, kong_scalar(k, "min_version", STR("TLSv1.3"), suite));
		return ERR_OK;
	}
	if (str_eq(name, STR("custom"))) {
		if (ciphers) {
			config_append(tls, kong_scalar(k, "ciphers", ciphers->text, ciphers));
		}
		return add_versions(k, tls);
	}
	if (name.n > 0 && !str_eq(name, STR("intermediate")) && !str_eq(name, STR("old")) &&
	    !str_eq(name, STR("fips"))) {
		return kong_fault(k, suite,
				  "\"%.*s\" is none of: modern, intermediate, old, fips, custom",
				  STR_ARG(str_slice(name, 0, 60)));
	}
	return suite ? ERR_OK : add_versions(k, tls);
}

/* Once for all listeners, not for each. */
static void warn_of_suite(struct kong *k)
{
	const struct kong_value *suite = kong_get(k, "ssl_cipher_suite");
	const struct kong_value *ciphers = kong_get(k, "ssl_ciphers");
	const struct kong_value *versions = kong_get(k, "ssl_protocols");
	bool is_custom = suite && str_eq(suite->text, STR("custom"));

	if (suite && (str_eq(suite->text, STR("old")) || str_eq(suite->text, STR("fips")))) {
		kong_warn(k, suite, "ciphers are those of \"intermediate\"");
	}
	if (ciphers && !is_custom) {
		kong_warn(k, ciphers, "has no effect: only with ssl_cipher_suite = custom");
	}
	if (versions && (str_find(versions->text, STR("SSLv3")) >= 0 ||
			 str_find(versions->text, STR("TLSv1 ")) >= 0 ||
			 str_find(versions->text, STR("TLSv1.1")) >= 0)) {
		kong_warn(k, versions, "nothing older than TLSv1.2 is offered");
	}
}

/* Empty when nothing is said: the certificates are those of the entities, or self-signed. */
static enum err make_tls(struct kong *k, const char *prefix, const struct kong_value *v,
			 struct conf_node **out)
{
	const struct kong_value *tickets = kong_get(k, "ssl_session_tickets");
	struct conf_node *tls = kong_node(k, CONF_NODE_MAP, "tls", v);

	TRY(add_pairs(k, prefix, tls));
	TRY(add_suite(k, tls));
	if (tickets) {
		config_append(tls, kong_scalar(k, "session_tickets", tickets->text, tickets));
	}
	*out = tls;
	return ERR_OK;
}

/* ---- the list of ours ---- */

static enum err make_entry(struct kong *k, const char *prefix, const struct kong_value *v,
			   const struct address *a, struct conf_node **out)
{
	struct conf_node *entry = kong_node(k, CONF_NODE_MAP, "", v), *tls;

	if (!a->ssl && !a->http2 && !a->proxy_protocol) {
		*out = kong_scalar(k, "", a->text, v);
		return ERR_OK;
	}
	config_append(entry, kong_scalar(k, "address", a->text, v));
	if (a->http2) {
		config_append(entry, kong_scalar(k, "http2", STR("true"), v));
	}
	if (a->proxy_protocol) {
		config_append(entry, kong_scalar(k, "proxy_protocol", STR("true"), v));
	}
	if (a->ssl) {
		TRY(make_tls(k, prefix, v, &tls));
		config_append(entry, tls);
	}
	*out = entry;
	return ERR_OK;
}

static enum err make_list(struct kong *k, const char *prefix, const struct kong_value *v,
			  struct conf_node **out)
{
	struct conf_node *list = kong_node(k, CONF_NODE_LIST, "listen", v), *entry;
	struct addresses all;

	TRY(read_addresses(k, v, &all));
	for (size_t i = 0; i < all.n; i++) {
		if (!is_covered(&all, &all.v[i])) {
			TRY(make_entry(k, prefix, v, &all.v[i], &entry));
			config_append(list, entry);
		}
	}
	*out = list;
	return ERR_OK;
}

/*
 * The Admin API that the file has keeps its keys: whoever moves it with a variable does not mean
 * to open it to everybody.
 */
static enum err put_admin(struct kong *k, struct conf_node *root, struct conf_node *listen,
			  const struct kong_value *v)
{
	const struct conf_node *gateway = conf_get(root, STR("gateway"));
	struct conf_node *admin = (struct conf_node *)conf_get(gateway, STR("admin"));
	struct conf_node *only = admin && admin->kind == CONF_NODE_LIST ? admin->child : NULL;

	if (only && only->next) {
		return kong_fault(k, v,
				  "the file has several Admin APIs: set their `listen` there");
	}
	if (only && only->kind == CONF_NODE_MAP) {
		config_set(only, listen);
		return ERR_OK;
	}
	admin = kong_node(k, CONF_NODE_LIST, "admin", v);
	if (listen->child) {
		only = kong_node(k, CONF_NODE_MAP, "", v);
		config_append(only, listen);
		config_append(admin, only);
	}
	kong_put(k, root, "gateway.admin", admin);
	return ERR_OK;
}

/* ---- which of them ---- */

struct listener {
	const char *name, *prefix; /* of the settings */
	const char *path;	   /* of our key */
	const char *dflt;	   /* where certificates count when no address is said */
};

static const struct listener listeners[] = {
	{"proxy_listen", "", "gateway.listen", ":8000, :8443 http2 ssl"},
	{"admin_listen", "admin_", "gateway.admin", "127.0.0.1:8001, 127.0.0.1:8444 http2 ssl"},
	{"status_listen", "status_", "status.listen", NULL},
};

static bool is_in_file(const struct conf_node *root, const struct listener *l)
{
	struct str rest = str_c(l->path), section = STR_NULL;

	(void)str_split(&rest, '.', &section);
	return !conf_is_null(conf_get(conf_get(root, section), rest));
}

/* The first setting of TLS that there is for them. */
static const struct kong_value *tls_said(struct kong *k, const struct listener *l)
{
	static const char *const names[] = {"ssl_cert", "ssl_protocols", "ssl_cipher_suite",
					    "ssl_session_tickets"};
	const struct kong_value *v = NULL;

	if (*l->prefix) {
		return kong_get(k, str_cstr(k->arena, str_fmt(k->arena, "%sssl_cert", l->prefix)));
	}
	for (size_t i = 0; i < ARRAY_LEN(names) && !v; i++) {
		v = kong_get(k, names[i]);
	}
	return v;
}

/* What is said of TLS without an address is about Kong's own ones. */
static const struct kong_value *default_addresses(struct kong *k, const struct conf_node *root,
						  const struct listener *l)
{
	const struct kong_value *said = tls_said(k, l);
	struct kong_value *v;

	if (!said || !l->dflt) {
		return NULL;
	}
	if (is_in_file(root, l)) {
		kong_warn(k, said, "has no effect without %s: the file has the addresses", l->name);
		return NULL;
	}
	v = ARENA_NEW(k->arena, struct kong_value);
	*v = *said;
	v->text = str_c(l->dflt);
	return v;
}

static enum err apply(struct kong *k, struct conf_node *root, const struct listener *l)
{
	const struct kong_value *v = kong_get(k, l->name);
	struct conf_node *list;

	v = v ? v : default_addresses(k, root, l);
	if (!v) {
		return ERR_OK;
	}
	TRY(make_list(k, l->prefix, v, &list));
	if (str_eq(str_c(l->prefix), STR("admin_"))) {
		return put_admin(k, root, list, v);
	}
	kong_put(k, root, l->path, list);
	return ERR_OK;
}

enum err kong_apply_listeners(struct kong *k, struct conf_node *root)
{
	for (size_t i = 0; i < ARRAY_LEN(listeners); i++) {
		TRY(apply(k, root, &listeners[i]));
	}
	warn_of_suite(k);
	return ERR_OK;
}
