/* All REST routes of all roles, from their tables, and the endpoints of the data plane. */
#include "app/cli/cli.h"
#include "identity/issuer.h"
#include "relay/management.h"
#include "relay/statistics.h"

#include <stdio.h>

struct route {
	const char *role, *method, *path, *access, *doc;
};

/* What has no rest_table: data planes, and the Admin API, which is made of the entities. */
static const struct route other_routes[] = {
	{"relay", "*", "/relay/{tenant}/{target}/{url}", "-", "Relays a request and its answer."},
	{"relay", "*", "/queue/{tenant}/{target}/{url}", "-", "Relays a request, answers 202."},
	{"relay", "*", "/trace/{tenant}/{target}/{url}", "-", "Relays, with tracing headers."},
	{"relay", "GET", "/.well-known/relayserver-configuration", "-", "Discovery document."},
	{"relay", "POST", "/acknowledge/{originId}/{requestId}", "-", "Acknowledges a request."},
	{"relay", "GET", "/body/request/{requestId}", "token", "Body of a request."},
	{"relay", "POST", "/body/response/{requestId}", "token", "Body of a response."},
	{"relay", "POST", "/connector/negotiate", "token", "Negotiates a hub connection."},
	{"relay", "GET", "/connector", "token", "Opens a hub connection, or polls."},
	{"relay", "POST", "/connector", "token", "Sends on a hub connection."},
	{"relay", "DELETE", "/connector", "token", "Ends a polling hub connection."},
	{"gateway", "*", "/", "-", "Whatever the routes of the gateway match."},
	{"admin", "*", "/", "key", "Admin API of the gateway, if api_keys are set with one."},
	{"admin", "GET", "/endpoints", "key", "All endpoints of the Admin API."},
	{"admin", "GET", "/config", "key", "The kong.yml in use; POST puts another in its place."},
	{"status", "GET", "/health/live", "-", "200 while the process works."},
	{"status", "GET", "/health/ready", "-", "200 while it can do its job."},
	{"status", "GET", "/metrics", "-", "Prometheus metrics."},
	{"status", "GET", "/status", "-", "Of the gateway: connections, memory and database."},
	{"status", "GET", "/status/ready", "-", "200 while the gateway can do its job."},
	{"status", "GET", "/upstreams/{upstream}/health", "-", "Health of an upstream."},
};

static const struct option options[] = {
	{"json", NULL, "print JSON", offsetof(struct cli_options, json), false},
};

typedef void route_fn(const struct route *r, void *arg);

static const char *access_name(enum rest_access access)
{
	switch (access) {
	case REST_OPEN:
		return "-";
	case REST_READ:
		return "read";
	case REST_WRITE:
		return "write";
	}
	return "-";
}

static void each_route(route_fn *fn, void *arg)
{
	const struct rest_table *const tables[] = {&issuer_table, &management_table,
						   &statistics_table};

	for (size_t i = 0; i < ARRAY_LEN(other_routes); i++) {
		fn(&other_routes[i], arg);
	}
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		for (size_t k = 0; k < tables[i]->n; k++) {
			const struct rest_route *r = &tables[i]->routes[k];

			fn(&(struct route){tables[i]->role, r->method, r->path,
					   access_name(r->access), r->doc},
			   arg);
		}
	}
}

static void put(struct json_writer *w, const char *key, const char *value)
{
	json_key(w, str_c(key));
	json_put_str(w, str_c(value));
}

static void write_route(const struct route *r, void *arg)
{
	struct json_writer *w = arg;

	json_begin_object(w);
	put(w, "role", r->role);
	put(w, "method", r->method);
	put(w, "path", r->path);
	put(w, "access", r->access);
	put(w, "doc", r->doc);
	json_end_object(w);
}

static void add_route(const struct route *r, void *arg)
{
	cli_table_add(arg, (struct str[]){str_c(r->role), str_c(r->method), str_c(r->path),
					  str_c(r->access), str_c(r->doc)});
}

static void print_json(void)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	json_begin_array(&w);
	each_route(write_route, &w);
	json_end_array(&w);
	cli_print_json(&b);
	buf_free(&b);
}

static void print_table(void)
{
	static const char *const heads[] = {"ROLE", "METHOD", "PATH", "ACCESS", "WHAT"};
	struct cli_table t;
	struct arena a;

	arena_init(&a, 0);
	cli_table_init(&t, &a, heads, ARRAY_LEN(heads));
	each_route(add_route, &t);
	cli_table_print(&t, "");
	arena_fini(&a);
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	const struct cli_options *o = opts;

	(void)cmd;
	(void)args;
	(void)n_args;
	if (o->json) {
		print_json();
	} else {
		print_table();
	}
	return EXIT_DONE;
}

const struct command routes_command = {
	.name = "routes",
	.doc = "List the endpoints of all roles and the access that they ask for.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct cli_options),
	.run = run,
};
