/* Where entities live: PostgreSQL as `database`, or a declarative configuration. */
#include "app/config_kong_int.h"

#include "base/enc.h"

/* ---- PostgreSQL ---- */

static struct str text_of(struct kong *k, const char *name, struct str dflt)
{
	const struct kong_value *v = kong_get(k, name);

	return v ? v->text : dflt;
}

static enum err read_number(struct kong *k, const char *name, uint64_t max, uint64_t *out)
{
	const struct kong_value *v = kong_get(k, name);

	if (v && (!str_to_u64(v->text, out) || *out > max)) {
		return kong_fault(k, v, "\"%.*s\" is no number up to %llu",
				  STR_ARG(str_slice(v->text, 0, 60)), (unsigned long long)max);
	}
	return ERR_OK;
}

/* "&sslmode=require"; the first one begins with '?'. */
static void put_parameter(struct buf *url, const char *name, struct str value)
{
	buf_putc(url, str_index(buf_str(url), '?') < 0 ? '?' : '&');
	buf_put(url, str_c(name));
	buf_putc(url, '=');
	percent_encode(url, value);
}

static void put_authority(struct kong *k, struct buf *url, uint64_t port)
{
	struct str host = text_of(k, "pg_host", STR("127.0.0.1"));
	bool is_ip6 = str_index(host, ':') >= 0 && host.p[0] != '[';

	percent_encode(url, text_of(k, "pg_user", STR("kong")));
	if (kong_get(k, "pg_password")) {
		buf_putc(url, ':');
		percent_encode(url, kong_get(k, "pg_password")->text);
	}
	buf_putc(url, '@');
	if (is_ip6) {
		buf_printf(url, "[%.*s]", STR_ARG(host));
	} else if (host.p[0] == '[') {
		buf_put(url, host);
	} else {
		percent_encode(url, host); /* a name, or the folder of a socket */
	}
	buf_printf(url, ":%llu/", (unsigned long long)port);
	percent_encode(url, text_of(k, "pg_database", STR("kong")));
}

/* The first file of CAs; "system" is what Debian calls so. */
static struct str trusted_file(struct kong *k)
{
	const struct kong_value *v = kong_get(k, "lua_ssl_trusted_certificate");
	struct str rest = v ? v->text : STR_NULL, first = STR_NULL;

	(void)str_split(&rest, ',', &first);
	first = str_trim(first);
	return first.n > 0 && !str_eq(first, STR("system"))
		       ? first
		       : STR("/etc/ssl/certs/ca-certificates.crt");
}

static enum err put_tls(struct kong *k, struct buf *url)
{
	bool is_on = false, verify = false;

	TRY(kong_bool(k, "pg_ssl", &is_on));
	TRY(kong_bool(k, "pg_ssl_verify", &verify));
	if (!is_on) {
		put_parameter(url, "sslmode", STR("disable"));
		return ERR_OK;
	}
	put_parameter(url, "sslmode", verify ? STR("verify-full") : STR("require"));
	if (verify) {
		put_parameter(url, "sslrootcert", trusted_file(k));
	}
	if (kong_get(k, "pg_ssl_cert") && kong_get(k, "pg_ssl_cert_key")) {
		put_parameter(url, "sslcert", kong_get(k, "pg_ssl_cert")->text);
		put_parameter(url, "sslkey", kong_get(k, "pg_ssl_cert_key")->text);
	}
	return ERR_OK;
}

/* What ends a quoted name, or an option, would begin another. */
static enum err put_schema(struct kong *k, struct buf *url, const struct kong_value *v)
{
	for (size_t i = 0; i < v->text.n; i++) {
		if (strchr("\"\\ \t", v->text.p[i])) {
			return kong_fault(k, v, "no name of a schema");
		}
	}
	put_parameter(url, "options",
		      str_fmt(k->arena, "-csearch_path=\"%.*s\"", STR_ARG(v->text)));
	return ERR_OK;
}

static enum err make_url(struct kong *k, struct buf *url)
{
	const struct kong_value *schema = kong_get(k, "pg_schema");
	uint64_t port = 5432, timeout_ms = 0;

	TRY(read_number(k, "pg_port", 65535, &port));
	TRY(read_number(k, "pg_timeout", INT32_MAX, &timeout_ms));
	buf_puts(url, "postgres://");
	put_authority(k, url, port);
	TRY(put_tls(k, url));
	if (timeout_ms > 0) {
		uint64_t s = (timeout_ms + 999) / 1000;

		put_parameter(url, "connect_timeout",
			      str_fmt(k->arena, "%llu", (unsigned long long)s));
	}
	return schema ? put_schema(k, url, schema) : ERR_OK;
}

static enum err put_url(struct kong *k, struct conf_node *root, const struct kong_value *v)
{
	struct buf url = {0};
	enum err e = make_url(k, &url);

	if (e == ERR_OK) {
		kong_put(k, root, "database",
			 kong_scalar(k, "", str_dup(k->arena, buf_str(&url)), v));
	}
	buf_free(&url);
	return e;
}

/* The first of the settings that say of themselves that there is a PostgreSQL. */
static const struct kong_value *postgres_said(struct kong *k)
{
	static const char *const names[] = {"pg_host", "pg_user", "pg_password", "pg_database"};
	const struct kong_value *v = kong_get(k, "database");

	for (size_t i = 0; i < ARRAY_LEN(names) && !v; i++) {
		v = kong_get(k, names[i]);
	}
	return v;
}

/* ---- declarative ---- */

/* A path in a kong.conf starts at its folder. */
static struct str path_of(struct kong *k, const struct kong_value *v)
{
	const struct conf_node at = {.source = v->source, .line = v->line};
	struct str dir = conf_dir(&at);

	return v->text.p[0] == '/' ? v->text
				   : str_fmt(k->arena, "%.*s%.*s", STR_ARG(dir), STR_ARG(v->text));
}

static void put_null(struct kong *k, struct conf_node *root, const char *path,
		     const struct kong_value *v)
{
	kong_put(k, root, path, kong_scalar(k, "", STR_NULL, v));
}

static enum err put_declarative(struct kong *k, struct conf_node *root,
				const struct kong_value *database)
{
	const struct kong_value *file = kong_get(k, "declarative_config");
	const struct kong_value *text = kong_get(k, "declarative_config_string");
	const struct conf_node *gateway = conf_get(root, STR("gateway"));

	if (file && text) {
		return kong_fault(k, text,
				  "only one of declarative_config and declarative_config_string "
				  "may be given");
	}
	if (file) {
		put_null(k, root, "gateway.declarative_text", file);
		kong_put(k, root, "gateway.declarative",
			 kong_scalar(k, "", path_of(k, file), file));
	} else if (text) {
		put_null(k, root, "gateway.declarative", text);
		kong_put(k, root, "gateway.declarative_text", kong_scalar(k, "", text->text, text));
	} else if (conf_is_null(conf_get(gateway, STR("declarative"))) &&
		   conf_is_null(conf_get(gateway, STR("declarative_text")))) {
		kong_put(k, root, "gateway.declarative_text",
			 kong_scalar(k, "", STR(""), database));
	}
	return ERR_OK;
}

/* What the file says of a declarative configuration gives way, too. */
static void drop_declarative(struct kong *k, struct conf_node *root, const struct kong_value *v)
{
	static const char *const names[] = {"declarative_config", "declarative_config_string"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (kong_get(k, names[i])) {
			kong_warn(k, kong_get(k, names[i]),
				  "has no effect: only with database = off");
		}
	}
	put_null(k, root, "gateway.declarative", v);
	put_null(k, root, "gateway.declarative_text", v);
}

/* ---- */

/* Beyond the database nothing asks for it. */
static void warn_of_trust(struct kong *k)
{
	const struct kong_value *v = kong_get(k, "lua_ssl_trusted_certificate");

	if (v && !str_eq(v->text, STR("system"))) {
		kong_warn(k, v,
			  "has no effect on services: these are checked against their "
			  "ca_certificates, else against the system's");
	}
}

enum err kong_apply_database(struct kong *k, struct conf_node *root)
{
	const struct kong_value *v = kong_get(k, "database");
	bool is_off = v && str_eq(v->text, STR("off"));
	bool is_postgres = !is_off && postgres_said(k);

	warn_of_trust(k);
	if (v && !is_off && !str_eq(v->text, STR("postgres"))) {
		return kong_fault(k, v,
				  "\"%.*s\" is not supported: postgres, or off with a "
				  "declarative_config",
				  STR_ARG(str_slice(v->text, 0, 60)));
	}
	if (is_postgres) {
		drop_declarative(k, root, postgres_said(k));
		return put_url(k, root, postgres_said(k));
	}
	if (is_off || kong_get(k, "declarative_config") ||
	    kong_get(k, "declarative_config_string")) {
		return put_declarative(k, root, v);
	}
	return ERR_OK;
}
