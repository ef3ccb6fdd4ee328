/*
 * plugins - the list of what is built; each has its file in plugins/
 */
#include "gateway/plugin.h"

extern const struct plugin plugin_acl;
extern const struct plugin plugin_basic_auth;
extern const struct plugin plugin_correlation_id;
extern const struct plugin plugin_cors;
extern const struct plugin plugin_file_log;
extern const struct plugin plugin_http_log;
extern const struct plugin plugin_ip_restriction;
extern const struct plugin plugin_key_auth;
extern const struct plugin plugin_prometheus;
extern const struct plugin plugin_rate_limiting;
extern const struct plugin plugin_redirect;
extern const struct plugin plugin_request_size_limiting;
extern const struct plugin plugin_request_termination;
extern const struct plugin plugin_request_transformer;
extern const struct plugin plugin_response_transformer;

/* Highest priority first. */
const struct plugin *const plugins[] = {
	&plugin_correlation_id,
	&plugin_cors,
	&plugin_key_auth,
	&plugin_basic_auth,
	&plugin_ip_restriction,
	&plugin_request_size_limiting,
	&plugin_acl,
	&plugin_rate_limiting,
	&plugin_request_transformer,
	&plugin_response_transformer,
	&plugin_redirect,
	&plugin_prometheus,
	&plugin_http_log,
	&plugin_file_log,
	&plugin_request_termination,
};
const size_t n_plugins = ARRAY_LEN(plugins);

const struct plugin *plugin_find(struct str name)
{
	for (size_t i = 0; i < n_plugins; i++) {
		if (str_eq(name, str_c(plugins[i]->name))) {
			return plugins[i];
		}
	}
	return NULL;
}

/* The bundled ones of Kong 3.10. */
static const char *const elsewhere[] = {
	"acl",
	"acme",
	"ai-prompt-decorator",
	"ai-prompt-guard",
	"ai-prompt-template",
	"ai-proxy",
	"ai-request-transformer",
	"ai-response-transformer",
	"aws-lambda",
	"azure-functions",
	"basic-auth",
	"bot-detection",
	"correlation-id",
	"cors",
	"datadog",
	"file-log",
	"grpc-gateway",
	"grpc-web",
	"hmac-auth",
	"http-log",
	"ip-restriction",
	"jwt",
	"key-auth",
	"ldap-auth",
	"loggly",
	"oauth2",
	"opentelemetry",
	"post-function",
	"pre-function",
	"prometheus",
	"proxy-cache",
	"rate-limiting",
	"redirect",
	"request-size-limiting",
	"request-termination",
	"request-transformer",
	"response-ratelimiting",
	"response-transformer",
	"session",
	"standard-webhooks",
	"statsd",
	"syslog",
	"tcp-log",
	"udp-log",
	"zipkin",
};

bool plugin_is_known_elsewhere(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++) {
		if (str_eq(name, str_c(elsewhere[i]))) {
			return plugin_find(name) == NULL;
		}
	}
	return false;
}
