#include "app/command.h"
#include "app/server.h"
#include "app/takeover.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/signals.h"
#include "net/notify.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define DRAIN_LOOK_MS 20
#define HURRY_MS 2000 /* for the end of who was asked twice */
/* With an heir no client needs to notice: so long an idle connection waits for its last request. */
#define HEIR_IDLE_MS 1000

struct serve_options {
	struct str config, data;
};

static const struct option options[] = {
	{"config", "FILE|URL",
	 "Configuration in YAML or JSON (posthouse config reference), or a kong.conf.",
	 offsetof(struct serve_options, config), false},
	{"data", "DIR", "Directory for the database and stored bodies.",
	 offsetof(struct serve_options, data), false},
};

static enum log_format log_format(const struct settings *s)
{
	static const enum log_format formats[] = {LOG_FORMAT_JSON, LOG_FORMAT_TEXT, LOG_FORMAT_JSON,
						  LOG_FORMAT_CLEF};

	if (s->top.log_format == 0 && isatty(STDERR_FILENO)) {
		return LOG_FORMAT_TEXT;
	}
	return formats[s->top.log_format];
}

/* Each client and connector is a descriptor. */
static void raise_file_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &lim);
	}
}

static void say_ready(const struct server *s)
{
	struct buf line = {0};
	char state[64];

	server_addresses(s, &line);
	printf("ready %.*s\n", STR_ARG(buf_str(&line)));
	(void)fflush(stdout);
	buf_free(&line);
	(void)snprintf(state, sizeof(state), "READY=1\nMAINPID=%d", (int)getpid());
	notify_service_manager(str_c(state));
}

static void tell_warnings(const struct settings *s)
{
	for (const struct config_warning *w = s->warnings; w; w = w->next) {
		log_warn("app", "the configuration asks for something else than it gets",
			 LOG_STR("setting", w->text));
	}
}

static void reload(struct server *s, const struct settings_source *source)
{
	struct settings *next = NULL;
	struct fault f = {0};

	if (settings_load(source, &next, &f) != ERR_OK || settings_check(next, &f) != ERR_OK ||
	    server_reload(s, next, &f) != ERR_OK) {
		log_error("app", "configuration not reloaded: the old one stays", LOG_FAULT(&f));
	} else {
		tell_warnings(next);
		log_info("app", "configuration reloaded");
	}
	settings_unref(&next);
}

static enum err start_heir(struct server *s, struct takeover *t, struct fault *f)
{
	struct buf saved = {0};
	enum err e = server_save(s, &saved);

	if (e != ERR_OK) {
		(void)fault_set(f, e, "cannot save what is in force");
	} else {
		e = takeover_start(t, buf_str(&saved), f);
	}
	buf_free(&saved);
	return e;
}

static void hand_over(struct server *s, struct takeover *t)
{
	struct fault f = {0};

	if (start_heir(s, t, &f) == ERR_OK) {
		log_info("app", "another process is to take over", LOG_INT("pid", t->heir));
		return;
	}
	log_error("app", "no other process takes over", LOG_FAULT(&f));
	if (t->heir == 0) {
		server_stay(s);
	}
}

static void look_for_heir(struct server *s, struct takeover *t)
{
	struct fault f = {0};

	if (takeover_failed(t, &f)) {
		server_stay(s);
		log_error("app", "the process that was to take over failed: this one stays",
			  LOG_FAULT(&f));
	}
}

/*
 * `heir`: another process listens where we did, and is the service now. False: somebody asked
 * twice and will not wait.
 */
static bool drain(struct server *s, const struct takeover *t, bool heir)
{
	int64_t timeout_ms = server_drain_timeout_ms(s);
	uint64_t until = clock_mono_ms() + (uint64_t)timeout_ms;

	log_info("app", "draining", LOG_INT("timeout_ms", timeout_ms));
	if (!heir) {
		notify_service_manager(STR("STOPPING=1"));
	}
	server_drain(s, heir ? HEIR_IDLE_MS : 0);
	while (!server_drain_on(s) && clock_mono_ms() < until) {
		pid_t from;
		int signo = signals_wait_from(DRAIN_LOOK_MS, &from);

		if ((signo == SIGTERM || signo == SIGINT) && !takeover_is_heir(t, from)) {
			return false;
		}
	}
	return true;
}

/* Until SIGTERM. True: the heir is ready and sent it. */
static bool serve_on(struct server *s, const struct settings_source *source, struct takeover *t)
{
	pid_t from;

	for (;;) {
		switch (signals_wait_from(-1, &from)) {
		case SIGHUP:
			server_reopen(s); /* whatever the configuration says */
			reload(s, source);
			break;
		case SIGUSR2:
			hand_over(s, t);
			break;
		case SIGCHLD:
			look_for_heir(s, t);
			break;
		case SIGTERM:
		case SIGINT:
			return takeover_is_heir(t, from);
		default:
			break;
		}
	}
}

static enum err start(struct settings *settings, struct takeover *t, struct server **out,
		      struct fault *f)
{
	struct buf saved = {0};
	enum err e = takeover_saved(t, &saved, f);

	if (e == ERR_OK) {
		e = server_start(settings, buf_str(&saved), out, f);
	}
	buf_free(&saved);
	return e;
}

static int serve(const struct settings_source *source, struct settings *settings,
		 struct takeover *t)
{
	struct server *server = NULL;
	struct fault f = {0};
	bool heir;

	if (start(settings, t, &server, &f) != ERR_OK) {
		return command_fault(&f);
	}
	say_ready(server);
	takeover_ready(t);
	heir = serve_on(server, source, t);
	if (!heir) {
		takeover_stop(t);
	}
	signals_release(drain(server, t, heir) ? 0 : HURRY_MS);
	server_stop(&server);
	return EXIT_DONE;
}

static int run(const struct command *c, void *opts, struct str *args, size_t n_args)
{
	struct serve_options *o = opts;
	struct settings_source source = {o->config, o->data, args, n_args};
	struct settings *settings = NULL;
	struct takeover takeover;
	struct fault f = {0};
	int status;

	(void)c;
	signals_block();
	takeover_begin(&takeover);
	if (settings_load(&source, &settings, &f) != ERR_OK ||
	    settings_check(settings, &f) != ERR_OK) {
		(void)command_fault(&f);
		settings_unref(&settings);
		return EXIT_USAGE;
	}
	raise_file_limit();
	log_start((enum log_level)settings->top.log_level, log_format(settings));
	tell_warnings(settings);
	status = serve(&source, settings, &takeover);
	settings_unref(&settings);
	log_stop();
	return status;
}

const struct command serve_command = {
	.name = "serve",
	.usage = "[ROLE …]",
	.doc = "Run the server: all roles, those of the configuration, or those named.",
	.more = "Roles: relay, identity, management, statistics, gateway.\n"
		"Prints one line \"ready\" with the address of each role when all of them listen.\n"
		"SIGTERM ends running requests in peace, then stops, a second one at once; SIGHUP\n"
		"reads the configuration again and opens files of logs anew; SIGUSR2 starts the "
		"program\n"
		"anew, which takes over without a refused connection.\nWithout a configuration "
		"everything runs on SQLite "
		"below ./posthouse-data.\n"
		"POSTHOUSE_… variables override the file (posthouse config show); of the gateway "
		"also\nthe KONG_… variables that Kong would read.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct serve_options),
	.args_max = 16,
	.run = run,
};
