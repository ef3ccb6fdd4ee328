#include "app/commands.h"
#include "app/config_int.h"
#include "app/fetch.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "connector/connector.h"
#include "http/client.h"
#include "loop/signals.h"
#include "net/dns.h"
#include "net/notify.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define LOOK_MS 20
/* After the last request, for the goodbyes. */
#define CLOSE_MS 3000

struct connect_options {
	struct str config, server, tenant, secret, health_file;
	struct option_value targets;
};

#define AT(member) offsetof(struct connect_options, member)
static const struct option options[] = {
	{"config", "FILE|URL", "Configuration in YAML or JSON: section connect, or RelayConnector.",
	 AT(config), false},
	{"server", "URL", "Base URL of the relay server.", AT(server), false},
	{"tenant", "NAME", "Name of the tenant.", AT(tenant), false},
	{"secret", "SECRET", "Its secret; better POSTHOUSE_CONNECT__SECRET in the environment.",
	 AT(secret), false},
	{"target", "ID=URL", "A service to make reachable.", AT(targets), true},
	{"health-file", "PATH", "File that exists while connected.", AT(health_file), false},
};
#undef AT

/* ---- configuration ---- */

struct source {
	const struct connect_options *o;
	const struct str *words;
	size_t n_words;
};

struct loaded {
	struct arena arena;
	struct connect_config config;
};

static void set_option(struct arena *a, struct conf_node *root, const char *key, struct str value)
{
	if (value.n > 0) {
		connect_config_set(a, root, str_c(key), value, STR("command line"));
	}
}

static enum err set_options(struct arena *a, struct conf_node *root,
			    const struct connect_options *o, struct fault *f)
{
	set_option(a, root, "server", o->server);
	set_option(a, root, "tenant", o->tenant);
	set_option(a, root, "secret", o->secret);
	set_option(a, root, "health_file", o->health_file);
	for (size_t i = 0; i < o->targets.n; i++) {
		struct str t = o->targets.v[i];
		ptrdiff_t equals = str_index(t, '=');

		if (equals <= 0) {
			return fault_set(f, ERR_INVALID, "--target %.*s: must be ID=URL",
					 STR_ARG(str_slice(t, 0, 100)));
		}
		connect_config_set_target(a, root, str_slice(t, 0, (size_t)equals),
					  str_skip(t, (size_t)equals + 1), STR("command line"));
	}
	return ERR_OK;
}

/* The original's names first, then ours, then the command line: later wins. */
static enum err read_config(const struct source *s, struct arena *a, struct connect_config *out,
			    struct fault *f)
{
	static const struct conf_section *const sections[] = {&connect_conf};
	const struct config_tables tables = {sections, ARRAY_LEN(sections)};
	const char *const *env = (const char *const *)environ;
	const struct connect_original original = {env, s->words, s->n_words};
	struct config_source from = {.path_or_url = s->o->config, .fetch = fetch_text};
	struct conf_node *root;
	bool any;

	TRY(config_read(a, &from, &root, f));
	TRY(connect_config_import(a, root, &original, &any, f));
	TRY(config_env_apply(a, env, tables, root, f));
	TRY(set_options(a, root, s->o, f));
	return connect_config_read(a, root, out, f);
}

static void loaded_free(struct loaded **lp)
{
	struct loaded *l = *lp;

	*lp = NULL;
	if (l) {
		connect_config_fini(&l->config);
		arena_fini(&l->arena);
		mem_free(l);
	}
}

static enum err load(const struct source *s, struct loaded **out, struct fault *f)
{
	struct loaded *l = MEM_NEW(struct loaded);
	enum err e;

	arena_init(&l->arena, 0);
	e = read_config(s, &l->arena, &l->config, f);
	if (e != ERR_OK) {
		loaded_free(&l);
		return e;
	}
	*out = l;
	return ERR_OK;
}

static enum log_format log_format(const struct connect_config *c)
{
	static const enum log_format formats[] = {LOG_FORMAT_JSON, LOG_FORMAT_TEXT, LOG_FORMAT_JSON,
						  LOG_FORMAT_CLEF};

	if (c->log_format == 0 && isatty(STDERR_FILENO)) {
		return LOG_FORMAT_TEXT;
	}
	return formats[c->log_format];
}

/* ---- the running connectors, one a loop ---- */

struct agent {
	/* constant while loops run */
	const struct connect_config *config;
	const char *health_file; /* NULL = none */
	const char *health_next; /* written, then renamed */
	struct loops loops;
	struct connector **v;
	/* guarded by mtx */
	pthread_mutex_t mtx;
	unsigned connected;
	bool was_ready;
	/* any thread */
	atomic_bool ended;
};

static void write_health(const struct agent *a)
{
	static const char text[] = "connected\n";
	int fd = a->health_file
			 ? open(a->health_next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
			 : -1;

	if (fd >= 0) {
		bool ok = write(fd, text, sizeof(text) - 1) == (ssize_t)(sizeof(text) - 1);

		ok = close(fd) == 0 && ok && rename(a->health_next, a->health_file) == 0;
		if (ok) {
			return;
		}
	}
	if (a->health_file) {
		log_warn("connector", "cannot write the health file",
			 LOG_CSTR("path", a->health_file));
	}
}

static void remove_health(const struct agent *a)
{
	if (a->health_file) {
		(void)unlink(a->health_file);
	}
}

static void notify_status(const struct agent *a)
{
	struct buf b = {0};

	buf_printf(&b, "STATUS=%u of %lld connections to %.*s", a->connected,
		   (long long)a->config->connections, STR_ARG(a->config->server));
	notify_service_manager(buf_str(&b));
	buf_free(&b);
}

static void on_connected(void *arg, const char *transport)
{
	struct agent *a = arg;

	(void)pthread_mutex_lock(&a->mtx);
	if (++a->connected == 1) {
		write_health(a);
	}
	printf("ready server=%.*s tenant=%.*s transport=%s connections=%u\n",
	       STR_ARG(a->config->server), STR_ARG(a->config->tenant), transport, a->connected);
	(void)fflush(stdout);
	if (!a->was_ready) {
		a->was_ready = true;
		notify_service_manager(STR("READY=1"));
	}
	notify_status(a);
	(void)pthread_mutex_unlock(&a->mtx);
}

static void on_disconnected(void *arg)
{
	struct agent *a = arg;

	(void)pthread_mutex_lock(&a->mtx);
	if (--a->connected == 0) {
		remove_health(a);
	}
	notify_status(a);
	(void)pthread_mutex_unlock(&a->mtx);
}

/* Wakes the main thread, which waits for signals. */
static void on_ended(void *arg)
{
	struct agent *a = arg;

	atomic_store(&a->ended, true);
	(void)kill(getpid(), SIGTERM);
}

/* ---- calls onto the loops ---- */

struct start {
	struct agent *agent;
	unsigned connections;
};

static void start_on(struct loop *l, void *arg)
{
	const struct start *s = arg;
	struct agent *a = s->agent;
	const struct connector_events events = {on_connected, on_disconnected, on_ended, a};

	a->v[loop_index(l)] = connector_new(l, a->config, s->connections, &events);
}

static void drain_on(struct loop *l, void *arg)
{
	struct agent *a = arg;

	connector_drain(a->v[loop_index(l)]);
}

static void close_on(struct loop *l, void *arg)
{
	struct agent *a = arg;

	connector_close(a->v[loop_index(l)]);
}

struct question {
	const struct agent *agent;
	bool (*ask)(const struct connector *c);
	bool all;
};

static void ask_on(struct loop *l, void *arg)
{
	struct question *q = arg;

	q->all = q->all && q->ask(q->agent->v[loop_index(l)]);
}

static bool all_are(const struct agent *a, bool (*ask)(const struct connector *c))
{
	struct question q = {a, ask, true};

	for (unsigned i = 0; i < a->loops.n && q.all; i++) {
		loop_call(a->loops.v[i], ask_on, &q);
	}
	return q.all;
}

struct swap {
	const struct agent *agent;
	struct target_set *targets;
};

static void swap_on(struct loop *l, void *arg)
{
	const struct swap *s = arg;

	connector_set_targets(s->agent->v[loop_index(l)], s->targets);
}

static void each(struct agent *a, void (*fn)(struct loop *l, void *arg), void *arg)
{
	for (unsigned i = 0; i < a->loops.n; i++) {
		loop_call(a->loops.v[i], fn, arg);
	}
}

/* ---- life ---- */

static enum err agent_start(struct agent *a, struct loaded *l, struct fault *f)
{
	const struct connect_config *c = &l->config;
	unsigned loops = (unsigned)MIN(c->loops, c->connections);
	struct start s = {.agent = a};

	a->config = c;
	(void)pthread_mutex_init(&a->mtx, NULL);
	if (c->health_file.n > 0) {
		a->health_file = str_cstr(&l->arena, c->health_file);
		a->health_next = str_cstr(&l->arena,
					  str_fmt(&l->arena, "%.*s.next", STR_ARG(c->health_file)));
		remove_health(a);
	}
	a->v = MEM_NEW_ARRAY(struct connector *, loops);
	TRY(loops_start(&a->loops, loops, f));
	for (unsigned i = 0; i < loops; i++) {
		s.connections = (unsigned)c->connections / loops +
				(i < (unsigned)c->connections % loops ? 1 : 0);
		loop_call(a->loops.v[i], start_on, &s);
	}
	return ERR_OK;
}

static bool wait_until_all_are(struct agent *a, bool (*ask)(const struct connector *c),
			       int64_t timeout_ms)
{
	uint64_t until = clock_mono_ms() + (uint64_t)timeout_ms;

	while (!all_are(a, ask)) {
		int signo = clock_mono_ms() < until ? signals_wait(LOOK_MS) : SIGTERM;

		if (signo == SIGTERM || signo == SIGINT) {
			return false;
		}
	}
	return true;
}

static void agent_stop(struct agent *a)
{
	notify_service_manager(STR("STOPPING=1"));
	each(a, drain_on, a);
	(void)wait_until_all_are(a, connector_is_idle, a->config->drain_timeout_ms);
	each(a, close_on, a);
	(void)wait_until_all_are(a, connector_is_closed, CLOSE_MS);
	loops_join(&a->loops);
	for (unsigned i = 0; i < a->loops.n; i++) {
		connector_free(&a->v[i]);
		dns_loop_fini(a->loops.v[i]);
	}
	loops_free(&a->loops);
	mem_free(a->v);
	remove_health(a);
	(void)pthread_mutex_destroy(&a->mtx);
}

static void reload(struct agent *a, const struct source *source)
{
	struct loaded *next = NULL;
	struct fault f = {0};

	if (load(source, &next, &f) != ERR_OK) {
		log_error("connector", "configuration not reloaded: the old one stays",
			  LOG_FAULT(&f));
		return;
	}
	struct swap s = {a, next->config.targets};

	each(a, swap_on, &s);
	log_set_level((enum log_level)next->config.log_level);
	log_info("connector", "targets reloaded",
		 LOG_INT("targets", target_set_count(next->config.targets)));
	loaded_free(&next);
}

static int serve(struct loaded *l, const struct source *source)
{
	struct agent a = {0};
	struct fault f = {0};
	int signo;

	if (agent_start(&a, l, &f) != ERR_OK) {
		return command_fault(&f);
	}
	do {
		signo = signals_wait(-1);
		if (signo == SIGHUP) {
			reload(&a, source);
		}
	} while (signo != SIGTERM && signo != SIGINT);
	agent_stop(&a);
	return atomic_load(&a.ended) ? EXIT_FAILED : EXIT_DONE;
}

static void raise_file_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &lim);
	}
}

static int run(const struct command *c, void *opts, struct str *args, size_t n_args)
{
	struct source source = {opts, args, n_args};
	struct loaded *l = NULL;
	struct fault f = {0};
	int status;

	(void)c;
	signals_block();
	if (load(&source, &l, &f) != ERR_OK) {
		(void)command_fault(&f);
		return EXIT_USAGE;
	}
	raise_file_limit();
	log_start((enum log_level)l->config.log_level, log_format(&l->config));
	status = serve(l, &source);
	loaded_free(&l);
	log_stop();
	return status;
}

const struct command connect_command = {
	.name = "connect",
	.usage = "[RelayConnector:KEY=VALUE …]",
	.doc = "Make services on this network reachable through a relay server.",
	.more = "Prints a line \"ready\" at every connection made. SIGHUP reads the targets "
		"again,\n"
		"SIGTERM ends running requests in peace, then stops.\n\n"
		"  posthouse connect --server http://relay:5000 --tenant branch1 \\\n"
		"      --target erp=http://10.0.0.5:8080/\n",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct connect_options),
	.args_max = 32,
	.run = run,
};
