#include "unit.h"

#include "gateway/router.h"
#include "router_dumb.h"

#define SOME 5

/* A rule in words; lists end at NULL. */
struct spec {
	const char *methods[SOME], *hosts[SOME], *paths[SOME], *snis[SOME];
	struct {
		const char *name, *values[SOME];
	} headers[SOME];
	int64_t regex_priority, created_at;
	uint8_t id;
};

struct world {
	struct arena arena;
	const struct router_rule *rules[64];
	struct spec specs[64];
	size_t n;
	struct router *router;
	/* The same rules in two layers; `origin` has the index of each in `rules`. */
	const struct router_rule *below_rules[64], *over_rules[64];
	size_t n_below, n_over, origin[128];
	uint64_t gone[ROUTER_GONE_WORDS(64)];
	struct router *below, *layered;
};

static struct router_strs strs(struct arena *a, const char *const *v)
{
	struct str *s = ARENA_NEW_ARRAY(a, struct str, SOME);
	size_t n = 0;

	for (; n < SOME && v[n]; n++) {
		s[n] = str_c(v[n]);
	}
	return (struct router_strs){s, n};
}

static const struct router_rule *rule_of(struct arena *a, const struct spec *s)
{
	struct router_rule *r = ARENA_NEW(a, struct router_rule);
	struct router_header *h = ARENA_NEW_ARRAY(a, struct router_header, SOME);

	r->methods = strs(a, s->methods);
	r->hosts = strs(a, s->hosts);
	r->paths = strs(a, s->paths);
	r->snis = strs(a, s->snis);
	r->headers = h;
	for (; r->n_headers < SOME && s->headers[r->n_headers].name; r->n_headers++) {
		h[r->n_headers].name = str_c(s->headers[r->n_headers].name);
		h[r->n_headers].values = strs(a, s->headers[r->n_headers].values);
	}
	r->regex_priority = s->regex_priority;
	r->created_at = s->created_at;
	r->id.b[15] = s->id;
	return r;
}

static void world_init(struct world *w, const struct spec *specs, size_t n)
{
	struct fault f = {0};

	memset(w, 0, sizeof(*w));
	arena_init(&w->arena, 0);
	for (; w->n < n; w->n++) {
		w->specs[w->n] = specs[w->n];
		w->rules[w->n] = rule_of(&w->arena, &specs[w->n]);
	}
	assert_ok(router_new(w->rules, n, &w->router, &f));
}

static void world_fini(struct world *w)
{
	router_free(&w->layered);
	router_free(&w->below);
	router_free(&w->router);
	arena_fini(&w->arena);
}

/* "METHOD host path", then headers. */
static struct router_input input(const char *method, const char *host, const char *path)
{
	return (struct router_input){
		.method = str_c(method), .host = str_c(host), .path = str_c(path), .port = 8000};
}

/* The index of the rule, -1 for none; as the plain matcher says too. */
static int ask(struct world *w, const struct router_input *in)
{
	struct router_match m, plain = {0};
	bool found = router_match(w->router, &w->arena, in, &m);

	assert_int_equal(found, dumb_match(w->rules, w->n, in, &plain));
	if (found) {
		assert_int_equal(m.rule, plain.rule);
		assert_int_equal(m.matched, plain.matched);
		assert_int_equal(m.by_regex, plain.by_regex);
		assert_int_equal(m.n_captures > 0, m.by_regex);
	}
	assert_false(m.gave_up);
	if (w->layered) {
		assert_int_equal(found, router_match(w->layered, &w->arena, in, &m));
		assert_false(m.gave_up);
	}
	if (w->layered && found) {
		assert_int_equal(w->origin[m.rule], plain.rule);
		assert_int_equal(m.matched, plain.matched);
		assert_int_equal(m.by_regex, plain.by_regex);
		return (int)plain.rule;
	}
	return found ? (int)m.rule : -1;
}

static int ask_for(struct world *w, const char *method, const char *host, const char *path)
{
	struct router_input in = input(method, host, path);

	return ask(w, &in);
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

/* From lowest to highest priority. All fit "GET a.b.c /a/b/c" with x: 1, y: 2. */
static const struct spec ladder[] = {
	{.methods = {"GET"}},
	{.paths = {"/"}},
	{.paths = {"/a"}},
	{.paths = {"/a/b"}},
	{.paths = {"/a/b/c"}},
	{.paths = {"~/a/b"}, .regex_priority = -5},
	{.paths = {"~/.*"}},
	{.paths = {"~/a"}, .regex_priority = 1},
	{.paths = {"~/[a-z]"}, .regex_priority = 100},
	{.headers = {{"x", {"1"}}}},
	{.headers = {{"x", {"1"}}, {"y", {"2"}}}},
	{.hosts = {"a.b.c"}},
	{.methods = {"GET"}, .hosts = {"*.c"}},
	{.hosts = {"*.b.c"}, .paths = {"/"}},
	{.hosts = {"*.b.c", "a.b.c"}, .paths = {"/a/b"}},
	{.hosts = {"a.*"}, .paths = {"~/a/b"}},
	{.paths = {"/"}, .headers = {{"X", {"0", "1"}}}},
	{.hosts = {"a.b.c"}, .paths = {"/"}},
	{.hosts = {"a.b.c"}, .paths = {"/a"}},
	{.hosts = {"a.b.c:8000"}, .paths = {"/a/"}},
	{.methods = {"GET"}, .hosts = {"*.b.c"}, .paths = {"/a/b/c"}},
	{.methods = {"GET"}, .hosts = {"a.b.c"}, .paths = {"/a"}},
	{.methods = {"GET"}, .hosts = {"a.b.c"}, .paths = {"/"}, .headers = {{"y", {"2"}}}},
	{.methods = {"GET"},
	 .hosts = {"a.b.c"},
	 .paths = {"/"},
	 .headers = {{"y", {"~*^2$"}}},
	 .snis = {"a.b.c"}},
};

static void priorities_in_any_order(void **state)
{
	struct http_header headers[] = {{STR("X"), STR("1")}, {STR("Y"), STR("2")}};
	struct http_headers all = {headers, 2, 2};
	struct router_input in = input("GET", "a.b.c", "/a/b/c");
	uint64_t seed = 24;

	(void)state;
	in.headers = &all;
	for (int round = 0; round < 40; round++) {
		struct spec specs[ARRAY_LEN(ladder)];

		memcpy(specs, ladder, sizeof(ladder));
		for (size_t i = 0; i < ARRAY_LEN(ladder); i++) {
			specs[i].id = (uint8_t)i;
		}
		for (size_t i = ARRAY_LEN(specs) - 1; i > 0; i--) {
			size_t k = next_random(&seed) % (i + 1);
			struct spec x = specs[i];

			specs[i] = specs[k];
			specs[k] = x;
		}
		/* Takes the best away, again and again: each time the next must win. */
		for (size_t n = ARRAY_LEN(specs); n > 0; n--) {
			struct world w;
			int best;

			world_init(&w, specs, n);
			best = ask(&w, &in);
			assert_true(best >= 0);
			assert_int_equal(specs[best].id, n - 1);
			world_fini(&w);
			specs[best] = specs[n - 1];
		}
	}
}

static void ties_go_to_the_older_then_the_lower_id(void **state)
{
	static const struct spec specs[] = {
		{.paths = {"/a", "/x"}, .created_at = 5, .id = 1},
		{.paths = {"/a"}, .created_at = 4, .id = 9},
		{.paths = {"/a"}, .created_at = 4, .id = 8},
		{.paths = {"~/r(?<one>.)"}, .created_at = 4, .id = 7},
		{.paths = {"~/(r)"}, .created_at = 3, .id = 7},
	};
	struct world w;

	(void)state;
	world_init(&w, specs, ARRAY_LEN(specs));
	assert_int_equal(ask_for(&w, "GET", "h", "/a"), 2);
	assert_int_equal(ask_for(&w, "GET", "h", "/x"), 0);
	assert_int_equal(ask_for(&w, "GET", "h", "/rr"), 4);
	world_fini(&w);
}

/* Each length of prefix, and the regexes, of one rule stand on their own. */
static void paths_of_a_rule_are_grouped(void **state)
{
	static const struct spec specs[] = {
		{.paths = {"/a", "/a/b/c/d", "~/z"}, .id = 1},
		{.paths = {"/a/b"}, .id = 2},
		{.paths = {"~/[yz]"}, .regex_priority = 1, .id = 3},
	};
	struct world w;

	(void)state;
	world_init(&w, specs, ARRAY_LEN(specs));
	assert_int_equal(ask_for(&w, "GET", "h", "/a/x"), 0);
	assert_int_equal(ask_for(&w, "GET", "h", "/a/b/c"), 1);
	assert_int_equal(ask_for(&w, "GET", "h", "/a/b/c/d/e"), 0);
	assert_int_equal(ask_for(&w, "GET", "h", "/z"), 2);
	assert_int_equal(ask_for(&w, "GET", "h", "/"), -1);
	world_fini(&w);
}

static void prefixes_know_no_segments(void **state)
{
	static const struct spec specs[] = {{.paths = {"/foo", "/foo/bar/"}}};
	struct world w;

	(void)state;
	world_init(&w, specs, ARRAY_LEN(specs));
	assert_int_equal(ask_for(&w, "GET", "h", "/foobar"), 0);
	assert_int_equal(ask_for(&w, "GET", "h", "/foo/bar/x"), 0);
	assert_int_equal(ask_for(&w, "GET", "h", "/fo"), -1);
	assert_int_equal(ask_for(&w, "GET", "h", "/Foo"), -1);
	assert_int_equal(ask_for(&w, "GET", "h", ""), -1);
	world_fini(&w);
}

static void hosts(void **state)
{
	static const struct spec specs[] = {
		{.hosts = {"example.com"}},
		{.hosts = {"*.example.com"}},
		{.hosts = {"example.*"}},
		{.hosts = {"port.com:9000"}},
		{.hosts = {"*.port.com:8000"}},
		{.hosts = {"UPPER.com"}},
		{.hosts = {"*.deep.example.com"}, .paths = {"/"}},
	};
	static const struct {
		const char *host;
		int want;
	} cases[] = {
		{"example.com", 0},	   {"EXAMPLE.com", 0},	    {"example.com.", 0},
		{"example.com:1234", 0},   {"example.com:", 0},	    {"a.example.com", 1},
		{"a.b.example.com:80", 1}, {".example.com", -1},    {"aexample.com", -1},
		{"example.org", 2},	   {"example.co.uk:9", 2},  {"example.", -1},
		{"example", -1},	   {"port.com", -1},	    {"port.com:9000", 3},
		{"port.com:8000", -1},	   {"a.port.com", 4},	    {"a.port.com:8000", 4},
		{"a.port.com:9000", -1},   {"upper.com", 5},	    {"", -1},
		{"x.deep.example.com", 6}, {"deep.example.com", 1},
	};
	struct world w;

	(void)state;
	world_init(&w, specs, ARRAY_LEN(specs));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(ask_for(&w, "GET", cases[i].host, "/"), cases[i].want);
	}
	world_fini(&w);
}

static void odd_hosts_match_nothing(void **state)
{
	static const struct spec specs[] = {
		{.hosts = {"a.com", "[::1]", "[::2]:80", "*.com:99999", "b.com:x"}}};
	static const struct {
		const char *host;
		bool want;
	} cases[] = {
		{"[::1]", true},	{"[::1]:5", true},  {"[::2]:80", true},
		{"[::2]:81", false},	{"a.com:x", false}, {"a.com:1:2", false},
		{"a.com:65536", false}, {"x.com", false},   {"::1", false},
		{"[::1", false},	{":80", false},	    {"b.com", false},
	};
	struct router_match m;
	char longest[300];
	struct router_input in;
	struct world w;

	(void)state;
	world_init(&w, specs, ARRAY_LEN(specs));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		in = input("GET", cases[i].host, "/");
		assert_int_equal(router_match(w.router, &w.arena, &in, &m), cases[i].want);
	}
	memset(longest, 'a', sizeof(longest));
	for (size_t n = 250; n < sizeof(longest); n++) {
		in.host = str_of(longest, n);
		assert_false(router_match(w.router, &w.arena, &in, &m));
	}
	world_fini(&w);
}

static void methods_and_headers(void **state)
{
	static const struct spec specs[] = {
		{.methods = {"GET", "PURGE"}, .paths = {"/m"}},
		{.headers = {{"x-v", {"One", "2"}}}},
		{.headers = {{"x-v", {"~*^v[0-9]+$"}}, {"X-W", {"w"}}}},
		{.headers = {{"x-v", {"~*beta"}}}},
	};
	static const struct {
		struct http_header headers[3];
		int want;
	} cases[] = {
		{{{STR_INIT("X-V"), STR_INIT("one")}}, 1},
		{{{STR_INIT("X-V"), STR_INIT("zero")}, {STR_INIT("x-v"), STR_INIT("2")}}, 1},
		{{{STR_INIT("X-V"), STR_INIT("V12")}, {STR_INIT("x-w"), STR_INIT("W")}}, 2},
		{{{STR_INIT("X-V"), STR_INIT("V12")}}, -1},
		{{{STR_INIT("X-V"), STR_INIT("the BETA one")}}, 3},
		{{{STR_INIT("X_V"), STR_INIT("one")}}, -1},
		{{{STR_INIT("x-w"), STR_INIT("w")}}, -1},
		{{{STR_INIT("X-V"), STR_INIT("")}}, -1},
	};
	struct world w;

	(void)state;
	world_init(&w, specs, ARRAY_LEN(specs));
	assert_int_equal(ask_for(&w, "GET", "h", "/m"), 0);
	assert_int_equal(ask_for(&w, "PURGE", "h", "/m"), 0);
	assert_int_equal(ask_for(&w, "PURGE2", "h", "/m"), -1);
	assert_int_equal(ask_for(&w, "get", "h", "/m"), -1);
	assert_int_equal(ask_for(&w, "POST", "h", "/m"), -1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct router_input in = input("GET", "h", "/");
		struct http_header copy[3];
		struct http_headers all = {copy, 3, 3};

		memcpy(copy, cases[i].headers, sizeof(copy));
		in.headers = &all;
		assert_int_equal(ask(&w, &in), cases[i].want);
	}
	world_fini(&w);
}

static void snis_count_with_tls_only(void **state)
{
	static const struct spec specs[] = {{.snis = {"a.com.", "*.b.com"}}};
	static const struct {
		const char *sni;
		bool tls;
		int want;
	} cases[] = {
		{"", false, 0},	      {"", true, -1},	   {"a.com", true, 0},	{"A.com.", true, 0},
		{"x.b.com", true, 0}, {"b.com", true, -1}, {"c.com", false, 0},
	};
	struct world w;

	(void)state;
	world_init(&w, specs, ARRAY_LEN(specs));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct router_input in = input("GET", "h", "/");

		in.sni = str_c(cases[i].sni);
		in.tls = cases[i].tls;
		assert_int_equal(ask(&w, &in), cases[i].want);
	}
	world_fini(&w);
}

static void captures(void **state)
{
	static const struct spec specs[] = {
		{.paths = {"~/u/(?<user>[^/]+)(/opt)?/(?P<item>\\d+)(x)?", "~/plain"}}};
	struct router_input in = input("GET", "h", "/u/anna/42/rest");
	struct router_match m;
	struct world w;

	(void)state;
	world_init(&w, specs, ARRAY_LEN(specs));
	assert_true(router_match(w.router, &w.arena, &in, &m));
	assert_true(m.by_regex);
	assert_int_equal(m.matched, 10);
	assert_int_equal(m.n_captures, 5);
	assert_str(m.captures[0].value, STR("/u/anna/42"));
	assert_null(m.captures[0].name.p);
	assert_str(m.captures[1].name, STR("user"));
	assert_str(m.captures[1].value, STR("anna"));
	assert_null(m.captures[2].name.p);
	assert_null(m.captures[2].value.p);
	assert_str(m.captures[3].name, STR("item"));
	assert_str(m.captures[3].value, STR("42"));
	assert_null(m.captures[4].value.p);
	in.path = STR("/plain/x");
	assert_true(router_match(w.router, &w.arena, &in, &m));
	assert_int_equal(m.n_captures, 1);
	assert_str(m.captures[0].value, STR("/plain"));
	world_fini(&w);
}

/* What a regex begins with is looked up, and must not be taken for more than it is. */
static void beginnings_of_regexes(void **state)
{
	static const struct {
		const char *regex, *path;
		bool want;
	} cases[] = {
		{"~/a/b", "/a/b", true},
		{"~/ab?c", "/ac", true},
		{"~/ab*", "/a", true},
		{"~/ab{0}c", "/ac", true},
		{"~/ab+", "/abb", true},
		{"~/ab+", "/a", false},
		{"~/a\\.b", "/a.b", true},
		{"~/a\\.b", "/axb", false},
		{"~/a\\.?b", "/ab", true},
		{"~/a\\d", "/a1", true},
		{"~/a|/b", "/b", true},
		{"~/(a|b)/c", "/b/c", true},
		{"~/x(a|b)|/y", "/y", true},
		{"~/x[(]|/y", "/y", true},
		{"~/x\\c(|/y", "/y", true},
		{"~/x\\Q(\\E|/y", "/y", true},
		{"~/x(?#()|/y", "/y", true},
		{"~/ab(?#c)?c", "/ac", true},
		{"~/ab\\E?c", "/ac", true},
		{"~/ab\\Q\\E*c", "/ac", true},
		{"~(?i)/AB", "/ab", true},
		{"~/a(?i)B", "/ab", true},
		{"~^/a$", "/a", true},
		{"~/a$", "/ab", false},
		{"~/a\\Kb", "/ab", true},
		{"~/caf\xC3\xA9?x", "/cafx", true},
		{"~/caf.x", "/caf\xC3\xA9x", true},
		{"~/\\p{L}+$", "/\xC3\xA9", true},
		{"~", "/", true},
		{"~/(?=b)b", "/b", true},
		{"~/b", "/a\xFF/b", false},
		{"~(/b)", "/a\xFF/b", false},
		{"~(*NO_JIT)(/b)", "/a\xFF/b", false},
		{"~(*NO_JIT)(/b)", "\xFF/b", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct spec s = {.paths = {cases[i].regex}};
		struct world w;

		world_init(&w, &s, 1);
		assert_int_equal(ask_for(&w, "GET", "h", cases[i].path), cases[i].want ? 0 : -1);
		world_fini(&w);
	}
}

static void many_regexes_on_the_way(void **state)
{
	struct spec specs[60] = {0};
	char text[60][70], path[80] = "/";
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		path[i + 1] = 'a';
		text[i][0] = '~';
		memcpy(text[i] + 1, path, i + 2);
		memcpy(text[i] + i + 3, "(b|a)$", 7);
		specs[i].paths[0] = text[i];
		specs[i].id = (uint8_t)i;
	}
	world_init(&w, specs, ARRAY_LEN(specs));
	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		struct router_input in = input("GET", "h", path);

		in.path.n = i + 3;
		assert_int_equal(ask(&w, &in), i < 59 ? (int)i : -1);
	}
	world_fini(&w);
}

static void bad_regexes_are_named(void **state)
{
	static const struct spec specs[] = {{.paths = {"/a"}, .id = 1},
					    {.paths = {"~/a["}, .id = 0x2a}};
	static const struct spec header = {.headers = {{"x", {"~*("}}}};
	struct arena a;
	const struct router_rule *rules[2];
	struct router *r = NULL;
	struct fault f = {0};

	(void)state;
	arena_init(&a, 0);
	rules[0] = rule_of(&a, &specs[0]);
	rules[1] = rule_of(&a, &specs[1]);
	assert_err(router_new(rules, 2, &r, &f), ERR_INVALID);
	assert_null(r);
	assert_string_equal(f.text, "route 00000000-0000-0000-0000-00000000002a: invalid regex: "
				    "'/a[' (PCRE returned: missing terminating ] for character "
				    "class)");
	rules[1] = rule_of(&a, &header);
	f = (struct fault){0};
	assert_err(router_new(rules, 2, &r, &f), ERR_INVALID);
	assert_non_null(strstr(f.text, "'(' (PCRE returned: missing closing parenthesis)"));
	f = (struct fault){0};
	assert_err(router_check_regex(STR("/(?<a"), &f), ERR_INVALID);
	assert_non_null(strstr(f.text, "invalid regex: '/(?<a' (PCRE returned: "));
	assert_ok(router_check_regex(STR("/(?<a>.)(?P<b>.)"), &f));
	arena_fini(&a);
}

static void a_regex_gives_up_in_time(void **state)
{
	static const struct spec specs[] = {{.paths = {"~/(x+x+)+[yz]"}}, {.paths = {"/"}}};
	struct router_input in = input("GET", "h", "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	uint64_t before = router_regex_limits();
	struct router_match m;
	struct world w;

	(void)state;
	world_init(&w, specs, ARRAY_LEN(specs));
	assert_true(router_match(w.router, &w.arena, &in, &m));
	assert_int_equal(m.rule, 1);
	assert_true(m.gave_up);
	assert_int_equal(router_regex_limits(), before + 1);
	in.path = STR("/xxy");
	assert_true(router_match(w.router, &w.arena, &in, &m));
	assert_int_equal(m.rule, 0);
	assert_false(m.gave_up);
	world_fini(&w);
}

/* So many rules with `pattern` as path, or as value of the header "x-v", and one for all paths. */
static void world_of_many(struct world *w, size_t n, const char *pattern, const char *value)
{
	struct spec specs[64] = {0};

	for (size_t i = 0; i < n; i++) {
		specs[i].paths[0] = pattern;
		specs[i].headers[0].name = value ? "x-v" : NULL;
		specs[i].headers[0].values[0] = value;
		specs[i].id = (uint8_t)i;
	}
	specs[n].paths[0] = "/";
	world_init(w, specs, n + 1);
}

/* True: a regex gave up, as the counter says too. The match itself is the rule for all paths. */
static bool gives_up(struct world *w, const char *path, const char *value)
{
	struct router_input in = input("GET", "h", path);
	struct http_header header = {STR("x-v"), str_c(value)};
	struct http_headers headers = {.v = &header, .n = 1};
	uint64_t before = router_regex_limits();
	struct router_match m;

	in.headers = &headers;
	assert_true(router_match(w->router, &w->arena, &in, &m));
	assert_int_equal(m.rule, w->n - 1);
	assert_int_equal(router_regex_limits() - before, m.gave_up);
	return m.gave_up;
}

/* Takes some 160,000 steps to see that it does not match, half a millisecond. */
#define COSTLY "(\\w+-?)+/end$"
#define COSTLY_TEXT "aaaaaaaaaaaaaaaa!/end"

static void behind_a_regex_that_gave_up_none_is_tried(void **state)
{
	struct world w;

	(void)state;
	world_of_many(&w, 40, "~/(x+x+)+[yz]", NULL);
	assert_true(gives_up(&w, "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", ""));
	assert_false(gives_up(&w, "/xx", ""));
	world_fini(&w);
}

static void the_regexes_of_a_match_share_their_time(void **state)
{
	struct world w;

	(void)state;
	world_of_many(&w, 1, "~/" COSTLY, NULL);
	assert_false(gives_up(&w, "/" COSTLY_TEXT, ""));
	world_fini(&w);
	world_of_many(&w, 60, "~/" COSTLY, NULL);
	assert_true(gives_up(&w, "/" COSTLY_TEXT, ""));
	assert_false(gives_up(&w, "/a!", ""));
	world_fini(&w);
	world_of_many(&w, 60, "/p", "~*^" COSTLY);
	assert_true(gives_up(&w, "/p", COSTLY_TEXT));
	assert_false(gives_up(&w, "/p", "a!"));
	world_fini(&w);
	world_of_many(&w, 30, "~/" COSTLY, "~*^" COSTLY "|!");
	assert_true(gives_up(&w, "/" COSTLY_TEXT, COSTLY_TEXT));
	world_fini(&w);
}

static void layers_share_their_time(void **state)
{
	static const struct spec change = {.paths = {"~/" COSTLY}, .regex_priority = -1};
	struct router_input in = input("GET", "h", "/" COSTLY_TEXT);
	const struct router_rule *over;
	struct router_match m;
	struct world w;

	(void)state;
	world_of_many(&w, 60, "~/" COSTLY, NULL);
	over = rule_of(&w.arena, &change);
	assert_ok(router_over(&(struct router_layer){w.router, w.gone, NULL}, &over, 1, &w.layered,
			      NULL));
	assert_true(router_match(w.layered, &w.arena, &in, &m));
	assert_true(m.gave_up);
	world_fini(&w);
}

static void a_long_path_is_searched_to_its_end(void **state)
{
	static const struct spec specs[] = {{.paths = {"~/(.*?)-(?<id>\\d+)$"}}};
	static char path[8000];
	struct world w;

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	memcpy(path + sizeof(path) - 4, "-17", 3);
	world_init(&w, specs, 1);
	assert_int_equal(ask_for(&w, "GET", "h", path), 0);
	world_fini(&w);
}

/* What goes back over all of a text is cheap, however long that is. */
static void long_texts_are_no_attack(void **state)
{
	static char path[7500], cookie[7000];
	struct world w;

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	memset(cookie, 'a', sizeof(cookie) - 1);
	world_of_many(&w, 10, "~/.*/item$", NULL);
	assert_false(gives_up(&w, path, ""));
	world_fini(&w);
	world_of_many(&w, 10, "/p", "~*(^|.*; ?)beta=true(;|$)");
	assert_false(gives_up(&w, "/p", cookie));
	world_fini(&w);
}

static void prefixes_allocate_nothing(void **state)
{
	struct router_input in = input("GET", "a.b.c", "/a/b/c");
	struct arena a;
	struct router_match m;
	struct world w;

	(void)state;
	world_init(&w, ladder, ARRAY_LEN(ladder));
	arena_init(&a, 0);
	assert_true(router_match(w.router, &a, &in, &m));
	assert_false(m.by_regex);
	assert_int_equal(a.used_bytes, 0);
	arena_fini(&a);
	world_fini(&w);
}

static void regexes_outlive_their_router(void **state)
{
	static const struct spec specs[] = {{.paths = {"~/(?<a>.)x"}, .id = 1},
					    {.paths = {"~/(?<b>.)y"}, .id = 2}};
	struct router_input in = input("GET", "h", "/zx");
	struct router *next = NULL;
	struct router_match m;
	struct world w;

	(void)state;
	world_init(&w, specs, ARRAY_LEN(specs));
	assert_ok(router_renew(w.router, w.rules, 1, &next, NULL));
	router_free(&w.router);
	assert_true(router_match(next, &w.arena, &in, &m));
	assert_str(m.captures[1].name, STR("a"));
	in.path = STR("/zy");
	assert_false(router_match(next, &w.arena, &in, &m));
	router_free(&next);
	world_fini(&w);
}

static void no_rules_no_match(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL, 0);
	assert_int_equal(ask_for(&w, "GET", "h", "/"), -1);
	world_fini(&w);
}

/* --- against the plain matcher ------------------------------------------------------- */

static const char *const some_methods[] = {"GET", "POST", "PURGE", "X"};
static const char *const some_hosts[] = {"a",	"a.b",	 "b.a.b",  "*.b",    "*.a.b",
					 "a.*", "a.b.*", "a.b:80", "*.b:81", "a.*:80",
					 "B.A", "*",	 "c.d.",   "*.d"};
static const char *const some_paths[] = {"/",	   "/a",      "/a/",	      "/a/b",	  "/ab",
					 "/abc/d", "/b",      "/b/a",	      "/a/b/c",	  "~/a",
					 "~/a/?b", "~/(a|b)", "~/a|/b",	      "~/[ab]+$", "~/a(b)",
					 "~/.*c",  "~/b/a",   "~/a/b/(?<x>.)"};
static const char *const some_snis[] = {"a", "*.b", "a.*", "a.b."};
static const char *const some_values[] = {"1", "2", "~*^[a-c]$", "~*1", "One"};
static const char *const asked_hosts[] = {"a",	  "a.b", "b.a.b", "A.B:80", "x.b:81", "a.x:80",
					  "b.a.", "q",	 "",	  "a.b.c",  "c.d",    "e.d."};
static const char *const asked_paths[] = {"/",	    "/a",    "/a/",   "/a/b", "/ab/c", "/abc/d/e",
					  "/b/a/c", "/a/bc", "/aabb", "/c",   "/a/b/c"};
static const char *const asked_values[] = {"1", "2", "b", "21", "ONE", "none"};

#define PICK(list, seed) ((list)[next_random(seed) % ARRAY_LEN(list)])

static void pick_some(uint64_t *seed, const char **to, const char *const *from, size_t n)
{
	size_t count = next_random(seed) % 8;

	for (size_t i = 0; i < (count < 4 ? count : 0); i++) {
		to[i] = from[next_random(seed) % n];
	}
}

static struct spec random_spec(uint64_t *seed)
{
	struct spec s = {.regex_priority = next_random(seed) % 3,
			 .created_at = next_random(seed) % 3};

	pick_some(seed, s.methods, some_methods, ARRAY_LEN(some_methods));
	pick_some(seed, s.hosts, some_hosts, ARRAY_LEN(some_hosts));
	pick_some(seed, s.paths, some_paths, ARRAY_LEN(some_paths));
	pick_some(seed, s.snis, some_snis, ARRAY_LEN(some_snis));
	for (size_t i = 0; i < 2 && next_random(seed) % 4 == 0; i++) {
		s.headers[i].name = i ? "x" : "Y";
		s.headers[i].values[0] = PICK(some_values, seed);
		s.headers[i].values[1] = PICK(some_values, seed);
	}
	return s;
}

static void random_requests(struct world *w, uint64_t *seed)
{
	for (int i = 0; i < 60; i++) {
		struct router_input in = input(PICK(some_methods, seed), PICK(asked_hosts, seed),
					       PICK(asked_paths, seed));
		struct http_header headers[] = {{STR("X"), str_c(PICK(asked_values, seed))},
						{STR("y"), str_c(PICK(asked_values, seed))}};
		struct http_headers all = {headers, next_random(seed) % 3, 2};

		in.headers = &all;
		in.tls = next_random(seed) % 2;
		in.sni = str_c(PICK(asked_hosts, seed));
		in.port = (uint16_t)(80 + next_random(seed) % 2);
		(void)ask(w, &in);
	}
}

static void random_rules(struct world *w, uint64_t *seed)
{
	struct spec specs[60];
	size_t n = 1 + next_random(seed) % ARRAY_LEN(specs);

	for (size_t i = 0; i < n; i++) {
		specs[i] = random_spec(seed);
		specs[i].id = (uint8_t)(n - i);
	}
	world_init(w, specs, n);
}

static void as_the_plain_matcher_says(void **state)
{
	uint64_t seed = 42;

	(void)state;
	for (int round = 0; round < 150; round++) {
		struct world w;

		random_rules(&w, &seed);
		random_requests(&w, &seed);
		world_fini(&w);
	}
}

/* Some rules stand below as they are, some in another version that is gone, some do not. */
static void split_in_layers(struct world *w, uint64_t *seed)
{
	struct fault f = {0};
	size_t over[64];

	for (size_t i = 0; i < w->n; i++) {
		unsigned how = next_random(seed) % 4;
		struct spec other = random_spec(seed);

		other.id = w->specs[i].id;
		if (how > 0) {
			w->origin[w->n_below] = i;
			w->below_rules[w->n_below++] =
				how == 1 ? rule_of(&w->arena, &other) : w->rules[i];
		}
		if (how == 1) {
			w->gone[(w->n_below - 1) / 64] |= UINT64_C(1) << (w->n_below - 1) % 64;
		}
		if (how <= 1) {
			over[w->n_over] = i;
			w->over_rules[w->n_over++] = w->rules[i];
		}
	}
	memcpy(w->origin + w->n_below, over, sizeof(*over) * w->n_over);
	assert_ok(router_new(w->below_rules, w->n_below, &w->below, &f));
	assert_ok(router_over(&(struct router_layer){w->below, w->gone, w->below}, w->over_rules,
			      w->n_over, &w->layered, &f));
}

static void layers_match_as_one(void **state)
{
	uint64_t seed = 4711;

	(void)state;
	for (int round = 0; round < 150; round++) {
		struct world w;

		random_rules(&w, &seed);
		split_in_layers(&w, &seed);
		random_requests(&w, &seed);
		world_fini(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(priorities_in_any_order),
		cmocka_unit_test(ties_go_to_the_older_then_the_lower_id),
		cmocka_unit_test(paths_of_a_rule_are_grouped),
		cmocka_unit_test(prefixes_know_no_segments),
		cmocka_unit_test(hosts),
		cmocka_unit_test(odd_hosts_match_nothing),
		cmocka_unit_test(methods_and_headers),
		cmocka_unit_test(snis_count_with_tls_only),
		cmocka_unit_test(captures),
		cmocka_unit_test(beginnings_of_regexes),
		cmocka_unit_test(many_regexes_on_the_way),
		cmocka_unit_test(bad_regexes_are_named),
		cmocka_unit_test(a_regex_gives_up_in_time),
		cmocka_unit_test(behind_a_regex_that_gave_up_none_is_tried),
		cmocka_unit_test(the_regexes_of_a_match_share_their_time),
		cmocka_unit_test(layers_share_their_time),
		cmocka_unit_test(a_long_path_is_searched_to_its_end),
		cmocka_unit_test(long_texts_are_no_attack),
		cmocka_unit_test(prefixes_allocate_nothing),
		cmocka_unit_test(regexes_outlive_their_router),
		cmocka_unit_test(no_rules_no_match),
		cmocka_unit_test(as_the_plain_matcher_says),
		cmocka_unit_test(layers_match_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
