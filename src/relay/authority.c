#include "relay/authority.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/client.h"

enum { FETCH_TIMEOUT_MS = 10000 };

struct authority {
	struct relay_loop *rl;
	struct key_source source;
	struct http_fetch *fetch;
	struct timer timer;
	struct trust *told; /* what the loops have; only compared */
	bool stopped;
};

struct miss_msg {
	struct msg msg;
	struct authority *authority;
};

enum err authority_new(struct relay_loop *rl, struct str url, struct authority **out,
		       struct fault *f)
{
	struct authority *a = MEM_NEW(struct authority);
	enum err e = key_source_init(&a->source, url, f);

	if (e != ERR_OK) {
		mem_free(a);
		return e;
	}
	a->rl = rl;
	*out = a;
	return ERR_OK;
}

static void step(struct authority *a);

static void on_timer(struct timer *t)
{
	step(container_of(t, struct authority, timer));
}

static void wait_for_due(struct authority *a)
{
	int64_t now = (int64_t)clock_mono_ms();
	int64_t due = key_source_due(&a->source);

	if (due != INT64_MAX) {
		timer_start(a->rl->loop, &a->timer, due > now ? (uint64_t)(due - now) : 1,
			    on_timer);
	}
}

static void on_fetched(void *arg, const struct http_fetch_result *r)
{
	struct authority *a = arg;
	struct fault f = {0};
	int64_t now = (int64_t)clock_mono_ms();

	a->fetch = NULL;
	if (r->err != ERR_OK || r->status != 200) {
		log_warn("relay", "authority cannot be reached",
			 LOG_STR("authority", a->source.authority),
			 LOG_CSTR("reason", err_name(r->err)), LOG_INT("status", r->status));
		key_source_fail(&a->source, now);
	} else if (key_source_feed(&a->source, r->body, now, &f) != ERR_OK) {
		log_warn("relay", "authority answers nonsense",
			 LOG_STR("authority", a->source.authority), LOG_FAULT(&f));
	}
	struct trust *t = key_source_trust(&a->source);

	if (t && t != a->told) {
		a->told = t;
		relay_set_trust(a->rl->relay, t);
	}
	step(a);
}

static void fetch(struct authority *a, struct str url, size_t max)
{
	struct http_call_spec spec = {.method = STR("GET"), .timeout_ms = FETCH_TIMEOUT_MS};

	if (uri_parse(url, &spec.uri, NULL) != ERR_OK) {
		key_source_fail(&a->source, (int64_t)clock_mono_ms());
		wait_for_due(a);
		return;
	}
	a->fetch = http_fetch_start(http_client_of(a->rl->loop), &spec, max, on_fetched, a);
}

/* Fetches what is due, or sleeps until something is. */
static void step(struct authority *a)
{
	struct str url;

	if (a->stopped || a->fetch) {
		return;
	}
	switch (key_source_next(&a->source, (int64_t)clock_mono_ms(), &url)) {
	case KEY_FETCH_NOTHING:
		wait_for_due(a);
		break;
	case KEY_FETCH_METADATA:
		fetch(a, url, TRUST_METADATA_MAX);
		break;
	case KEY_FETCH_KEYS:
		fetch(a, url, JWKS_TEXT_MAX);
		break;
	}
}

void authority_start(struct authority *a)
{
	step(a);
}

void authority_stop(struct authority *a)
{
	a->stopped = true;
	timer_stop(a->rl->loop, &a->timer);
	if (a->fetch) {
		http_fetch_cancel(a->fetch);
		a->fetch = NULL;
	}
}

void authority_free(struct authority **a)
{
	if (*a) {
		key_source_fini(&(*a)->source);
		mem_free(*a);
		*a = NULL;
	}
}

static void on_miss(struct msg *m, struct loop *l)
{
	struct miss_msg *miss = container_of(m, struct miss_msg, msg);

	(void)l;
	step(miss->authority);
	mem_free(miss);
}

static void on_miss_dropped(struct msg *m)
{
	mem_free(container_of(m, struct miss_msg, msg));
}

void authority_miss(struct authority *a)
{
	if (!a || !key_source_miss(&a->source)) {
		return;
	}
	struct miss_msg *miss = MEM_NEW(struct miss_msg);

	*miss = (struct miss_msg){{NULL, on_miss, on_miss_dropped}, a};
	loop_post(a->rl->loop, &miss->msg);
}
