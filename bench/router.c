/*
 * router - nanoseconds per match and milliseconds per build, by number of routes
 *
 * A thousand different requests, drawn at random from those that match a rule, so that
 * large tables do not stay in the nearest cache. All times are those of the processor.
 */
#include "gateway/router.h"
#include "base/mem.h"
#include "gateway/path.h"

#include <stdio.h>
#include <time.h>

#define REQUESTS 1024
#define ROUNDS 400

struct set {
	struct arena arena;
	const struct router_rule **rules;
	size_t n;
	struct router_input *requests;
};

typedef void shape_fn(struct arena *a, size_t i, struct router_rule *r, struct router_input *in);

/* Of this thread: the same on a busy machine. */
static uint64_t cpu_ns(void)
{
	struct timespec t;

	ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static struct router_strs one(struct arena *a, struct str s)
{
	struct str *v = ARENA_NEW(a, struct str);

	*v = s;
	return (struct router_strs){v, 1};
}

static void by_path(struct arena *a, size_t i, struct router_rule *r, struct router_input *in)
{
	r->paths = one(a, str_fmt(a, "/api/v%zu/service-%zu/items", i % 4, i));
	in->path = str_fmt(a, "%.*s/4711", STR_ARG(r->paths.v[0]));
}

static void by_host(struct arena *a, size_t i, struct router_rule *r, struct router_input *in)
{
	r->hosts = one(a, str_fmt(a, "tenant-%zu.example.com", i));
	r->paths = one(a, STR("/api"));
	in->host = r->hosts.v[0];
	in->path = STR("/api/items/4711");
}

static void by_wildcard(struct arena *a, size_t i, struct router_rule *r, struct router_input *in)
{
	r->hosts = one(a, str_fmt(a, "*.tenant-%zu.example.com", i));
	in->host = str_fmt(a, "www%.*s", STR_ARG(str_skip(r->hosts.v[0], 1)));
	in->path = STR("/api/items/4711");
}

static void by_method(struct arena *a, size_t i, struct router_rule *r, struct router_input *in)
{
	by_path(a, i / 4 * 4, r, in);
	r->methods = one(a, (struct str[]){STR_INIT("GET"), STR_INIT("PUT"), STR_INIT("POST"),
					   STR_INIT("DELETE")}[i % 4]);
	in->method = r->methods.v[0];
}

static void by_regex(struct arena *a, size_t i, struct router_rule *r, struct router_input *in)
{
	r->paths = one(a, str_fmt(a, "~/api/service-%zu/(?<item>\\d+)$", i));
	in->path = str_fmt(a, "/api/service-%zu/4711", i);
}

static void set_init(struct set *s, size_t n, shape_fn *shape)
{
	struct router_input *all = mem_zalloc(sizeof(*all) * n);
	uint64_t seed = 1;

	arena_init(&s->arena, 0);
	s->n = n;
	s->rules = ARENA_NEW_ARRAY(&s->arena, const struct router_rule *, n);
	s->requests = ARENA_NEW_ARRAY(&s->arena, struct router_input, REQUESTS);
	for (size_t i = 0; i < n; i++) {
		struct router_rule *r = ARENA_NEW(&s->arena, struct router_rule);

		memcpy(r->id.b, &i, sizeof(i));
		r->created_at = (int64_t)(i * 7919 % n);
		all[i] = (struct router_input){.method = STR("GET"), .host = STR("h"), .port = 80};
		shape(&s->arena, i, r, &all[i]);
		s->rules[i] = r;
	}
	/* Copied, since a real request was just parsed and lies near. */
	for (size_t i = 0; i < REQUESTS; i++) {
		struct router_input *in = &s->requests[i];

		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		*in = all[(seed >> 33) % n];
		in->host = str_dup(&s->arena, in->host);
		in->path = str_dup(&s->arena, in->path);
	}
	mem_free(all);
}

static double match_ns(const struct set *s, const struct router *r)
{
	uint64_t start = cpu_ns();
	struct arena a;

	arena_init(&a, 0);
	for (int k = 0; k < ROUNDS; k++) {
		for (size_t i = 0; i < REQUESTS; i++) {
			struct router_match m;

			ASSERT(router_match(r, &a, &s->requests[i], &m));
			if (m.by_regex) {
				arena_rewind(&a, 4096);
			}
		}
	}
	arena_fini(&a);
	return (double)(cpu_ns() - start) / ROUNDS / REQUESTS;
}

static void bench(const char *name, size_t n, shape_fn *shape)
{
	struct set s;
	struct router *r = NULL, *next = NULL;
	uint64_t start, built, renewed;

	set_init(&s, n, shape);
	start = cpu_ns();
	ASSERT(router_new(s.rules, n, &r, NULL) == ERR_OK);
	built = cpu_ns();
	ASSERT(router_renew(r, s.rules, n, &next, NULL) == ERR_OK);
	renewed = cpu_ns();
	router_free(&r);
	printf("%-10s %7zu routes %8.1f ns/match %9.2f ms/build %9.2f ms/renew\n", name, n,
	       match_ns(&s, next), (double)(built - start) / 1e6, (double)(renewed - built) / 1e6);
	router_free(&next);
	arena_fini(&s.arena);
}

static void bench_normalize(const char *name, struct str raw)
{
	uint64_t start = cpu_ns();
	struct arena a;

	arena_init(&a, 0);
	for (int i = 0; i < ROUNDS * REQUESTS; i++) {
		struct str out;

		ASSERT(path_normalize(&a, raw, &out));
		out = path_escape(&a, out);
		if (a.used_bytes) {
			arena_rewind(&a, 4096);
		}
	}
	printf("%-24s %8.1f ns\n", name, (double)(cpu_ns() - start) / ROUNDS / REQUESTS);
	arena_fini(&a);
}

int main(void)
{
	static const struct {
		const char *name;
		shape_fn *shape;
		size_t most;
	} shapes[] = {
		{"path", by_path, 100000},	   {"host", by_host, 100000},
		{"wildcard", by_wildcard, 100000}, {"method", by_method, 100000},
		{"regex", by_regex, 10000},
	};

	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		for (size_t n = 1; n <= shapes[i].most; n *= 10) {
			bench(shapes[i].name, n, shapes[i].shape);
		}
	}
	bench_normalize("normalize, 25 bytes", STR("/api/v1/service-1/items/4"));
	bench_normalize("normalize, 61 bytes",
			STR("/api/v1/service-1/items/4711/parts/0815/history/entries/latest"));
	bench_normalize("normalize, decoded", STR("/api/%7Eme//items/../a%20b/c%2fd"));
	return 0;
}
