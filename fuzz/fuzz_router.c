/*
 * Rules and requests from lines, the answer compared with that of router_dumb.h.
 *
 * "M words", "H", "P", "S" and "X name values" add to the rule at hand (methods, hosts,
 * paths, snis, a header), "R number" its regex_priority, an empty line begins the next;
 * "? method host path sni" asks. Words stand between blanks.
 */
#include "router_dumb.h"

#include "base/utf8.h"

#define RULES 24
#define WORDS 6
#define NAME_MAX_LEN 253 /* RFC 1035 2.3.4, as text */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct rules {
	struct arena *arena;
	const struct router_rule *v[RULES];
	struct router_rule *last;
	size_t n;
};

static struct router_rule *rule_add(struct rules *all)
{
	struct router_rule *r = ARENA_NEW(all->arena, struct router_rule);

	r->id.b[0] = (uint8_t)(all->n * 91);
	r->id.b[1] = (uint8_t)all->n;
	all->v[all->n++] = r;
	all->last = r;
	return r;
}

static struct router_strs words(struct arena *a, struct str line)
{
	struct str *v = ARENA_NEW_ARRAY(a, struct str, WORDS), word;
	size_t n = 0;

	while (n < WORDS && str_split(&line, ' ', &word)) {
		if (word.n > 0) {
			v[n++] = word;
		}
	}
	return (struct router_strs){v, n};
}

static struct str word_at(struct router_strs w, size_t i)
{
	return i < w.n ? w.v[i] : STR_NULL;
}

/* The plain matcher reads no IPv6 and no odd ports, and names of any length. */
static bool is_plain_host(struct str host)
{
	ptrdiff_t colon = str_index(host, ':');
	uint64_t port;

	return host.n <= NAME_MAX_LEN && str_index(host, '[') < 0 &&
	       (colon < 0 || (colon > 0 && str_to_u64(str_skip(host, (size_t)colon + 1), &port) &&
			      port < 65536));
}

static void rule_header(struct arena *a, struct router_rule *r, struct router_strs w)
{
	struct router_header *h;

	if (w.n < 2 || r->n_headers > 0) {
		return;
	}
	h = ARENA_NEW(a, struct router_header);
	*h = (struct router_header){w.v[0], {w.v + 1, w.n - 1}};
	r->headers = h;
	r->n_headers = 1;
}

static void rule_line(struct rules *all, char what, struct router_strs w)
{
	struct router_rule *r = all->last ? all->last : rule_add(all);

	switch (what) {
	case 'M':
		r->methods = w;
		break;
	case 'H':
		for (size_t i = 0; i < w.n; i++) {
			w.n = is_plain_host(w.v[i]) ? w.n : 0;
		}
		r->hosts = w;
		break;
	case 'P':
		r->paths = w;
		break;
	case 'S':
		r->snis = w;
		break;
	case 'X':
		rule_header(all->arena, r, w);
		break;
	case 'R':
		(void)str_to_i64(word_at(w, 0), &r->regex_priority);
		r->regex_priority %= 1000;
		break;
	default:
		break;
	}
}

static void ask(const struct rules *all, const struct router *r, struct arena *a,
		struct router_strs w)
{
	struct http_header header = {STR("x"), word_at(w, 4)};
	struct http_headers headers = {&header, 1, 1};
	struct router_input in = {.method = word_at(w, 0),
				  .host = word_at(w, 1),
				  .path = word_at(w, 2),
				  .sni = word_at(w, 3),
				  .port = 80,
				  .tls = w.n > 3,
				  .headers = &headers};
	struct router_match got, plain = {0};
	bool found;

	/* Paths are normalized before they are matched. */
	if (!is_plain_host(in.host) || !str_starts(in.path, STR("/"))) {
		return;
	}
	found = router_match(r, a, &in, &got);
	/* About bytes that are no UTF-8, PCRE2's compiled code and its interpreter disagree. */
	if (got.gave_up || !utf8_is_valid(in.path) || !utf8_is_valid(header.value)) {
		return;
	}
	ASSERT(found == dumb_match(all->v, all->n, &in, &plain));
	ASSERT(!found || (got.rule == plain.rule && got.matched == plain.matched &&
			  got.by_regex == plain.by_regex));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena a;
	struct str rest = str_of(data, MIN(n, 2048)), line;
	struct router_strs asked[WORDS];
	struct rules all = {.arena = &a};
	struct router *r = NULL;
	size_t n_asked = 0;

	arena_init(&a, 0);
	while (str_split(&rest, '\n', &line) && all.n < RULES) {
		struct router_strs w = words(&a, str_skip(line, 1));

		if (line.n == 0) {
			(void)rule_add(&all);
		} else if (line.p[0] != '?') {
			rule_line(&all, line.p[0], w);
		} else if (n_asked < WORDS) {
			asked[n_asked++] = w;
		}
	}
	if (router_new(all.v, all.n, &r, NULL) == ERR_OK) {
		for (size_t i = 0; i < n_asked; i++) {
			ask(&all, r, &a, asked[i]);
		}
	}
	router_free(&r);
	arena_fini(&a);
	return 0;
}
