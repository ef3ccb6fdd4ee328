/*
 * dns - c-ares driven by a loop, see dns.h
 *
 * A loop's resolver owns one c-ares channel, a fixed set of watches (one for each
 * socket that c-ares has open) and the queries that are under way. c-ares expects
 * level-triggered readiness while the loop's is edge-triggered, so an edge only
 * schedules on_pump, and poll(2) says what is ready: lookups are rare beside the
 * requests that reuse their connections.
 *
 * c-ares cannot cancel one query: a canceled one stays until its answer or its
 * timeout comes, and is then dropped. Queries are bounded for that reason too.
 */
#include "net/dns.h"

#include "base/mem.h"
#include "net/dns_int.h"

#include <ares.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#define SOCKETS_MAX 16
#define QUERIES_MAX 1024
#define HOST_MAX 255
#define SERVERS_MAX 1024
#define CLASS_IN 1

struct watch {
	struct io io;
	struct resolver *resolver;
	bool want_read, want_write;
};

struct resolver {
	struct loop *loop;
	ares_channel channel;
	struct dns_cache *cache; /* NULL until it is asked for */
	struct watch watches[SOCKETS_MAX];
	struct timer timer;
	struct later pump;
	struct list queries;
	struct list raws;
	unsigned n_queries; /* of both */
};

struct dns_query {
	struct list_node node;
	struct resolver *resolver;
	dns_fn *fn; /* NULL = canceled */
	void *arg;
	bool asking; /* within dns_lookup, which drops it if it is answered there */
};

/* A question whose answer is handed on as it came. */
struct raw_query {
	struct list_node node;
	struct resolver *resolver;
	dns_raw_fn *fn; /* NULL = nobody waits any more */
	void *arg;
};

static void schedule(struct resolver *r);

/* ---- sockets ---- */

static void on_pump(struct later *w);

static void on_ready(struct io *io, unsigned events)
{
	struct watch *w = container_of(io, struct watch, io);

	(void)events;
	loop_later(w->resolver->loop, &w->resolver->pump, on_pump);
}

static struct watch *watch_of(struct resolver *r, int fd)
{
	for (unsigned i = 0; i < SOCKETS_MAX; i++) {
		if (r->watches[i].io.fd == fd) {
			return &r->watches[i];
		}
	}
	return NULL;
}

/* c-ares says what it waits for on a socket; neither = it is about to close it. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = arg;
	struct watch *w = watch_of(r, fd);

	if (!readable && !writable) {
		if (w) {
			io_remove(r->loop, &w->io);
		}
		return;
	}
	if (!w) {
		w = watch_of(r, -1);
		if (!w || io_add(r->loop, &w->io, fd, on_ready) != ERR_OK) {
			return; /* its query times out and is tried elsewhere */
		}
	}
	w->want_read = readable;
	w->want_write = writable;
	loop_next_turn(r->loop, &r->pump, on_pump);
}

static unsigned gather(struct resolver *r, struct pollfd out[SOCKETS_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < SOCKETS_MAX; i++) {
		const struct watch *w = &r->watches[i];

		if (w->io.fd >= 0) {
			out[n++] = (struct pollfd){
				.fd = w->io.fd,
				.events = (short)((w->want_read ? POLLIN : 0) |
						  (w->want_write ? POLLOUT : 0)),
			};
		}
	}
	return n;
}

/* Serves every ready socket once; comes back next turn when any was ready. */
static void on_pump(struct later *w)
{
	struct resolver *r = container_of(w, struct resolver, pump);
	struct pollfd fds[SOCKETS_MAX];
	unsigned n = gather(r, fds);

	if (n == 0 || poll(fds, n, 0) <= 0) {
		schedule(r);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		short got = fds[i].revents;

		if (got && watch_of(r, fds[i].fd)) {
			bool failed = got & (POLLERR | POLLHUP | POLLNVAL);

			ares_process_fd(r->channel,
					got & POLLIN || failed ? fds[i].fd : ARES_SOCKET_BAD,
					got & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
		}
	}
	loop_next_turn(r->loop, &r->pump, on_pump);
	schedule(r);
}

/* ---- time ---- */

static void on_time(struct timer *t)
{
	struct resolver *r = container_of(t, struct resolver, timer);

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	schedule(r);
}

/* Comes back when c-ares has to give up on a server or a query. */
static void schedule(struct resolver *r)
{
	struct timeval tv;

	if (ares_timeout(r->channel, NULL, &tv)) {
		timer_start(r->loop, &r->timer,
			    (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1, on_time);
	} else {
		timer_pause(&r->timer);
	}
}

/* ---- queries ---- */

static enum err result_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return ERR_OK;
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
	case ARES_EBADNAME:
		return ERR_NOT_FOUND;
	case ARES_ETIMEOUT:
		return ERR_TIMEOUT;
	default:
		return ERR_UNAVAILABLE;
	}
}

static void copy_addrs(const struct ares_addrinfo *info, struct dns_answer *out)
{
	for (struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next) {
		if (out->n == DNS_ADDRS_MAX) {
			return;
		}
		if (n->ai_family != AF_INET && n->ai_family != AF_INET6) {
			continue;
		}
		struct addr *a = &out->addrs[out->n++];

		*a = (struct addr){.len = n->ai_addrlen};
		memcpy(&a->sa, n->ai_addr, MIN((size_t)n->ai_addrlen, sizeof(a->sa)));
	}
}

static void query_drop(struct dns_query *q)
{
	list_remove(&q->node);
	q->resolver->n_queries--;
	mem_free(q);
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct dns_query *q = arg;
	struct dns_answer answer = {.result = result_of(status)};

	(void)timeouts;
	if (info) {
		copy_addrs(info, &answer);
		ares_freeaddrinfo(info);
	}
	if (answer.result == ERR_OK && answer.n == 0) {
		answer.result = ERR_NOT_FOUND;
	}
	dns_fn *fn = q->fn;
	void *fn_arg = q->arg;

	if (q->asking) {
		q->fn = NULL;
	} else {
		query_drop(q);
	}
	if (fn) {
		fn(fn_arg, &answer);
	}
}

static void refuse(enum err why, dns_fn *fn, void *arg)
{
	struct dns_answer answer = {.result = why};

	fn(arg, &answer);
}

/* ---- the resolver ---- */

static void init_library(void)
{
	ASSERT(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
}

static enum err open_channel(struct resolver *r, const char *lookups, const struct dns_options *d)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct ares_options o = {
		.timeout = (int)d->timeout_ms,
		.tries = (int)d->tries,
		.lookups = (char *)(uintptr_t)lookups,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = r,
	};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;

	(void)pthread_once(&once, init_library);
	return ares_init_options(&r->channel, &o, mask) == ARES_SUCCESS ? ERR_OK : ERR_UNAVAILABLE;
}

static struct resolver *resolver_new(struct loop *l, const char *lookups,
				     const struct dns_options *d)
{
	struct resolver *r = MEM_NEW(struct resolver);

	r->loop = l;
	list_init(&r->queries);
	list_init(&r->raws);
	for (unsigned i = 0; i < SOCKETS_MAX; i++) {
		r->watches[i] = (struct watch){.io.fd = -1, .resolver = r};
	}
	if (open_channel(r, lookups, d) != ERR_OK) {
		mem_free(r);
		return NULL;
	}
	loop_set_local(l, LOOP_LOCAL_DNS, r);
	return r;
}

static struct resolver *resolver_of(struct loop *l)
{
	struct resolver *r = loop_local(l, LOOP_LOCAL_DNS);

	return r ? r : resolver_new(l, "fb", &dns_options_default);
}

void dns_loop_fini(struct loop *l)
{
	struct resolver *r = loop_local(l, LOOP_LOCAL_DNS);

	if (!r) {
		return;
	}
	LIST_EACH (&r->queries, it) {
		container_of(it, struct dns_query, node)->fn = NULL;
	}
	LIST_EACH (&r->raws, it) {
		container_of(it, struct raw_query, node)->fn = NULL;
	}
	dns_cache_free(&r->cache);
	ares_destroy(r->channel); /* answers all with ARES_EDESTRUCTION, closes its sockets */
	timer_stop(l, &r->timer);
	later_cancel(&r->pump);
	loop_set_local(l, LOOP_LOCAL_DNS, NULL);
	mem_free(r);
}

enum err dns_use_servers(struct loop *l, const char *csv)
{
	struct resolver *r;

	dns_loop_fini(l);
	r = resolver_new(l, "b", &dns_options_default);
	if (!r || ares_set_servers_ports_csv(r->channel, csv) != ARES_SUCCESS) {
		return ERR_INVALID;
	}
	return ERR_OK;
}

enum err dns_configure(struct loop *l, const struct dns_options *o)
{
	char csv[SERVERS_MAX];
	struct resolver *r;

	dns_loop_fini(l);
	r = resolver_new(l, o->hosts_file.n > 0 ? "fb" : "b", o);
	if (!r) {
		return ERR_UNAVAILABLE;
	}
	r->cache = dns_cache_new(l, o);
	if (o->servers.n == 0) {
		return ERR_OK;
	}
	if (o->servers.n >= sizeof(csv)) {
		return ERR_INVALID;
	}
	memcpy(csv, o->servers.p, o->servers.n);
	csv[o->servers.n] = 0;
	return ares_set_servers_ports_csv(r->channel, csv) == ARES_SUCCESS ? ERR_OK : ERR_INVALID;
}

struct dns_cache *dns_cache_of(struct loop *l)
{
	struct resolver *r = resolver_of(l);

	if (r && !r->cache) {
		r->cache = dns_cache_new(l, &dns_options_default);
	}
	return r ? r->cache : NULL;
}

/* ---- raw answers ---- */

static void on_raw(void *arg, int status, int timeouts, unsigned char *p, int n)
{
	struct raw_query *q = arg;
	dns_raw_fn *fn = q->fn;
	void *fn_arg = q->arg;

	(void)timeouts;
	list_remove(&q->node);
	q->resolver->n_queries--;
	mem_free(q);
	if (fn) {
		fn(fn_arg, result_of(status), p, p && n > 0 ? (size_t)n : 0);
	}
}

void dns_ask_raw(struct loop *l, struct str name, enum dns_type type, dns_raw_fn *fn, void *arg)
{
	struct resolver *r = resolver_of(l);
	char text[HOST_MAX + 1];
	struct raw_query *q;

	if (name.n == 0 || name.n > HOST_MAX || memchr(name.p, 0, name.n)) {
		fn(arg, ERR_NOT_FOUND, NULL, 0);
		return;
	}
	if (!r || r->n_queries >= QUERIES_MAX) {
		fn(arg, ERR_UNAVAILABLE, NULL, 0);
		return;
	}
	memcpy(text, name.p, name.n);
	text[name.n] = 0;
	q = MEM_NEW(struct raw_query);
	*q = (struct raw_query){.resolver = r, .fn = fn, .arg = arg};
	list_push(&r->raws, &q->node);
	r->n_queries++;
	ares_search(r->channel, text, CLASS_IN, (int)type, on_raw, q);
	if (loop_local(l, LOOP_LOCAL_DNS) == r) {
		schedule(r);
	}
}

/* ---- the interface ---- */

static struct dns_query *ask(struct resolver *r, const char *host, uint16_t port, dns_fn *fn,
			     void *arg)
{
	struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct dns_query *q = MEM_NEW(struct dns_query);
	char service[8];

	*q = (struct dns_query){.resolver = r, .fn = fn, .arg = arg, .asking = true};
	list_push(&r->queries, &q->node);
	r->n_queries++;
	hints.ai_flags = ARES_AI_NUMERICSERV;
	(void)snprintf(service, sizeof(service), "%u", port);
	ares_getaddrinfo(r->channel, host, service, &hints, on_answer, q);
	if (!q->fn) {
		query_drop(q);
		return NULL;
	}
	q->asking = false;
	schedule(r);
	return q;
}

struct dns_query *dns_lookup(struct loop *l, struct str host, uint16_t port, dns_fn *fn, void *arg)
{
	struct dns_answer literal = {.result = ERR_OK, .n = 1};
	char name[HOST_MAX + 1];
	struct resolver *r;

	if (addr_from_ip(host, port, &literal.addrs[0]) == ERR_OK) {
		fn(arg, &literal);
		return NULL;
	}
	if (host.n == 0 || host.n > HOST_MAX || memchr(host.p, 0, host.n)) {
		refuse(ERR_NOT_FOUND, fn, arg);
		return NULL;
	}
	r = resolver_of(l);
	if (!r || r->n_queries >= QUERIES_MAX) {
		refuse(ERR_UNAVAILABLE, fn, arg);
		return NULL;
	}
	memcpy(name, host.p, host.n);
	name[host.n] = 0;
	return ask(r, name, port, fn, arg);
}

void dns_cancel(struct dns_query *q)
{
	if (q) {
		q->fn = NULL;
	}
}
