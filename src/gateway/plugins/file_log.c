/*
 * file-log - a line of JSON for each request, appended to a file
 *
 * The record is written straight into the buffer of the loop (file_sink), without a copy.
 */
#include "gateway/log_record.h"
#include "gateway/plugins/fields.h"
#include "gateway/plugins/file_sink.h"
#include "gateway/plugins/log_fields.h"

struct config {
	struct str path;
	bool reopen;
	const struct json *custom_fields;
	/* compiled */
	struct file_sink *sink;
	struct str constants;
};

static const struct schema_field fields[] = {
	{.name = "path",
	 FIELD(STRING, STR, path),
	 .flags = SCHEMA_REQUIRED,
	 .match = "^[^*&%\\\\`]+$",
	 .match_err = "not a valid filename",
	 .doc = "The file; it is made if it is not there, its folder is not."},
	{.name = "reopen",
	 FIELD(BOOLEAN, BOOL, reopen),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Opens the file anew for each batch, so that it can be rotated by renaming it."},
	LOG_FIELDS_CUSTOM,
};

static const struct schema schema = {SCHEMA_OF("file-log", fields)};

static enum file_sink_mode mode_of(const struct config *k)
{
	return k->reopen ? FILE_SINK_REOPEN : FILE_SINK_KEEP;
}

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;

	(void)h;
	TRY(log_fields_compile(p->arena, k->custom_fields, &k->constants, f));
	k->sink = file_sink_open(p->state, k->path, mode_of(k));
	return ERR_OK;
}

static void on_release(struct plugin_host *h, struct plugin_instance *p)
{
	struct config *k = p->config;

	(void)h;
	if (k->sink) {
		file_sink_close(k->sink, mode_of(k));
		k->sink = NULL;
	}
}

static void on_log(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	struct loop *l = call_loop(c);
	struct buf *line = file_sink_begin_line(k->sink, l);

	if (line) {
		log_record_write(c, line);
		log_fields_add(line, k->constants);
		file_sink_end_line(k->sink, l);
	}
}

static void *state_new(struct plugin_host *h)
{
	return file_sinks_new(h->loops);
}

static void state_free(void *state)
{
	struct file_sinks *s = state;

	file_sinks_free(&s);
}

static void reopen(void *state)
{
	file_sinks_reopen(state);
}

static void write_metrics(void *state, struct buf *out)
{
	buf_puts(out, "# HELP posthouse_file_log_dropped_total Lines that could not be written\n"
		      "# TYPE posthouse_file_log_dropped_total counter\n");
	buf_printf(out, "posthouse_file_log_dropped_total %llu\n",
		   (unsigned long long)file_sinks_dropped(state));
}

static const char example[] =
	"    curl -X POST localhost:8001/plugins -d name=file-log \\\n"
	"      -d config.path=/var/log/posthouse/gateway.log -d config.reopen=true\n"
	"\n"
	"    jq -c '[.response.status, .latencies.proxy, .request.uri]' "
	"/var/log/posthouse/gateway.log\n"
	"\n"
	"Lines come in batches, at most 100 ms late. A disk that is full or slow, or a pipe that\n"
	"nobody reads (`/dev/stdout`), never holds up a request: up to 8 MiB of lines wait for "
	"each\n"
	"path; those on top of it, and those that a full disk does not take, are dropped, the log "
	"says\n"
	"so, and `posthouse_file_log_dropped_total` counts them. A line that a full disk took only "
	"half\n"
	"of is ended when there is room again, in front of the next. A gateway that ends writes "
	"what\n"
	"waits; for a pipe that takes no more it waits two seconds at most.\n"
	"\n"
	"SIGHUP opens all files anew, also where `reopen` is false: what `postrotate` of logrotate "
	"is\n"
	"for (`systemctl kill --kill-whom=main -s HUP posthouse`). Where several plugins write to "
	"one\n"
	"path, one of them with `reopen` is enough.\n";

const struct plugin plugin_file_log = {
	.name = "file-log",
	.priority = 9,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Appends a line of JSON for each request to a file.",
	.example = example,
	.compile = compile,
	.release = on_release,
	.log = on_log,
	.state_new = state_new,
	.state_free = state_free,
	.reopen = reopen,
	.metrics = write_metrics,
};
