/*
 * router_regex - PCRE2 behind the router, see router_int.h
 *
 * Patterns come from the administrator and subjects from anyone, so a match may take a
 * bounded number of steps and a bounded stack. Just-in-time code where the machine lets
 * us, else PCRE2's interpreter, under the same limits.
 *
 * What a match needs (offsets, stack) belongs to the thread and is kept for its life.
 */
#include "gateway/router_int.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/chars.h"

#include <pthread.h>
#include <stdatomic.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* What is written with care takes a few steps; so many are not measured. */
#define FREE_STEPS 64
#define STEPS_MAX 200000 /* of one regex */
#define MORE_MIN 4	 /* than the time before */
#define MORE_MAX 64
#define HEAP_LIMIT_KIB 1024
#define STACK_MIN (32 << 10)
#define STACK_MAX (512 << 10)
#define PAIRS_MIN 32

struct regex {
	atomic_uint refs;
	pcre2_code *code;
	bool anchored;
	uint32_t n_groups; /* with [0], all that matched */
	struct str *names; /* by group */
	struct str key;
	struct arena arena;
};

struct scratch {
	pcre2_match_data *data;
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
	uint32_t n_pairs;
};

static _Thread_local struct scratch *scratch;
static pthread_key_t scratch_key; /* only to free it when its thread ends */
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static atomic_uint_fast64_t limits_hit;

static void scratch_free(void *p)
{
	struct scratch *s = p;

	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->context);
	pcre2_jit_stack_free(s->stack);
	mem_free(s);
}

static void scratch_key_new(void)
{
	ASSERT(pthread_key_create(&scratch_key, scratch_free) == 0);
}

static struct scratch *scratch_get(uint32_t n_pairs)
{
	struct scratch *s = scratch;

	if (!s) {
		s = scratch = MEM_NEW(struct scratch);
		ASSERT(pthread_once(&scratch_once, scratch_key_new) == 0);
		ASSERT(pthread_setspecific(scratch_key, s) == 0);
		s->context = pcre2_match_context_create(NULL);
		ASSERT(s->context);
		pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
		/* NULL is fine: then 32 KiB of the thread's own stack are taken. */
		s->stack = pcre2_jit_stack_create(STACK_MIN, STACK_MAX, NULL);
		pcre2_jit_stack_assign(s->context, NULL, s->stack);
	}
	if (s->n_pairs < n_pairs) {
		pcre2_match_data_free(s->data);
		s->n_pairs = MAX(n_pairs, PAIRS_MIN);
		s->data = pcre2_match_data_create(s->n_pairs, NULL);
		ASSERT(s->data);
	}
	return s;
}

static enum err invalid(struct fault *f, struct str pattern, int code)
{
	PCRE2_UCHAR text[160];

	pcre2_get_error_message(code, text, sizeof(text));
	return fault_set(f, ERR_INVALID, "invalid regex: '%.*s' (PCRE returned: %s)",
			 STR_ARG(pattern), (const char *)text);
}

static pcre2_code *compile(struct str pattern, enum regex_kind kind, struct fault *f)
{
	/*
	 * "$" is the end and not also before a last line feed. Bytes that are no UTF-8 match
	 * nothing, but do no harm.
	 */
	uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY |
			   PCRE2_NEVER_BACKSLASH_C |
			   (kind == REGEX_PATH ? PCRE2_ANCHORED : PCRE2_CASELESS);
	int code;
	PCRE2_SIZE at;
	pcre2_code *re = pcre2_compile((PCRE2_SPTR)(pattern.p ? pattern.p : ""), pattern.n, options,
				       &code, &at, NULL);

	if (!re) {
		(void)invalid(f, pattern, code);
	}
	return re;
}

static void read_info(struct regex *re)
{
	uint32_t count = 0, size = 0, last = 0, options = 0;
	PCRE2_SPTR table = NULL;

	pcre2_pattern_info(re->code, PCRE2_INFO_ALLOPTIONS, &options);
	pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &last);
	pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &count);
	pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
	re->anchored = options & PCRE2_ANCHORED;
	re->n_groups = last + 1;
	re->names = ARENA_NEW_ARRAY(&re->arena, struct str, re->n_groups);
	for (uint32_t i = 0; i < count; i++, table += size) {
		uint32_t group = (uint32_t)table[0] << 8 | table[1];

		re->names[group] = str_c((const char *)table + 2);
	}
}

struct str regex_key_new(struct arena *a, struct str pattern, enum regex_kind kind)
{
	char *p = arena_alloc(a, pattern.n + 1);

	p[0] = kind == REGEX_PATH ? KEY_PATH : KEY_HEADER;
	if (pattern.n > 0) {
		memcpy(p + 1, pattern.p, pattern.n);
	}
	return str_of(p, pattern.n + 1);
}

struct regex *regex_new(struct str pattern, enum regex_kind kind, struct fault *f)
{
	pcre2_code *code = compile(pattern, kind, f);
	struct regex *re;

	if (!code) {
		return NULL;
	}
	/* Fails where writing code is forbidden; the interpreter then does it. */
	(void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	re = MEM_NEW(struct regex);
	atomic_init(&re->refs, 1);
	arena_init(&re->arena, 0);
	re->code = code;
	re->key = regex_key_new(&re->arena, pattern, kind);
	read_info(re);
	return re;
}

struct regex *regex_ref(struct regex *re)
{
	atomic_fetch_add_explicit(&re->refs, 1, memory_order_relaxed);
	return re;
}

void regex_unref(struct regex **re)
{
	struct regex *old = *re;

	*re = NULL;
	if (old && atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) == 1) {
		pcre2_code_free(old->code);
		arena_fini(&old->arena);
		mem_free(old);
	}
}

struct str regex_key(const struct regex *re)
{
	return re->key;
}

/*
 * Of a step for nothing. It may look at all that is left of a long subject; and without an anchor
 * PCRE2 counts from each place anew.
 */
static uint32_t free_steps(const struct regex *re, size_t n)
{
	size_t cost = (1 + n / 512) * (re->anchored ? 1 : 1 + n / 64);

	return cost < FREE_STEPS ? (uint32_t)(FREE_STEPS / cost) : 1;
}

static int run(const struct regex *re, struct str subject, uint32_t steps)
{
	struct scratch *s = scratch_get(re->n_groups);

	pcre2_set_match_limit(s->context, steps);
	return pcre2_match(re->code, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0, 0,
			   s->data, s->context);
}

/* How much more of them to try next: an eighth of what is left, were it of the same kind. */
static uint32_t steps_more(uint64_t budget_ns, uint64_t cost_ns)
{
	uint64_t more = budget_ns / 8 / MAX(cost_ns, (uint64_t)1);

	return (uint32_t)MIN(MAX(more, (uint64_t)MORE_MIN), (uint64_t)MORE_MAX);
}

/*
 * Steps differ a thousandfold in what they cost, so their time is what counts, of this thread
 * alone. It is known afterwards only: with few steps first, then with more and more, as long as
 * there is time for them.
 */
static int run_within(const struct regex *re, struct str subject, uint64_t *budget_ns)
{
	uint32_t steps = free_steps(re, subject.n), more = MORE_MAX;
	int n = run(re, subject, steps);
	uint64_t since, cost = 0;

	if (n != PCRE2_ERROR_MATCHLIMIT) {
		return n;
	}
	since = clock_thread_cpu_ns();
	while (n == PCRE2_ERROR_MATCHLIMIT && steps < STEPS_MAX && cost * more <= *budget_ns) {
		uint64_t now;

		steps = MIN(steps * more, (uint32_t)STEPS_MAX);
		n = run(re, subject, steps);
		now = clock_thread_cpu_ns();
		cost = now - since;
		since = now;
		/* 0 says that one gave up: who ended with the last of it did not. */
		*budget_ns = *budget_ns > cost ? *budget_ns - cost : 1;
		more = steps_more(*budget_ns, cost);
	}
	return n;
}

enum regex_result regex_match(const struct regex *re, struct str subject, uint64_t *budget_ns)
{
	int n;

	if (*budget_ns == 0) {
		return REGEX_GAVE_UP;
	}
	n = run_within(re, subject, budget_ns);
	if (n >= 0) {
		/* PCRE2's interpreter takes the end of bad UTF-8 for another start. */
		return re->key.p[0] == KEY_PATH && pcre2_get_startchar(scratch->data) != 0
			       ? REGEX_NO
			       : REGEX_YES;
	}
	if (n == PCRE2_ERROR_NOMATCH) {
		return REGEX_NO;
	}
	*budget_ns = 0;
	atomic_fetch_add_explicit(&limits_hit, 1, memory_order_relaxed);
	return REGEX_GAVE_UP;
}

uint64_t router_regex_limits(void)
{
	return atomic_load_explicit(&limits_hit, memory_order_relaxed);
}

size_t regex_captures(const struct regex *re, struct arena *a, struct str subject,
		      struct router_match *out)
{
	const PCRE2_SIZE *v = pcre2_get_ovector_pointer(scratch->data);
	const char *p = subject.p ? subject.p : "";
	struct router_capture *captures = ARENA_NEW_ARRAY(a, struct router_capture, re->n_groups);

	for (size_t i = 0; i < re->n_groups; i++) {
		size_t from = v[2 * i], to = v[2 * i + 1];

		captures[i].name = re->names[i];
		if (from != PCRE2_UNSET && from <= to && to <= subject.n) {
			captures[i].value = str_of(p + from, to - from);
		}
	}
	out->captures = captures;
	out->n_captures = re->n_groups;
	return v[1];
}

enum err router_check_regex(struct str pattern, struct fault *f)
{
	pcre2_code *code = compile(pattern, REGEX_PATH, f);

	pcre2_code_free(code);
	return code ? ERR_OK : ERR_INVALID;
}

static char char_at(struct str s, size_t i)
{
	return i < s.n ? s.p[i] : '\0';
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* What could hide a parenthesis or a '|' from a plain count. */
static bool defies_counting(struct str pattern, size_t i)
{
	char c = pattern.p[i], next = char_at(pattern, i + 1);

	return c == '[' || c == '#' || (c == '\\' && (next == 'Q' || next == 'c')) ||
	       (c == '(' && (next == '*' || (next == '?' && char_at(pattern, i + 2) == 'C')));
}

/*
 * Whether the pattern may have a '|' outside all groups, so that its beginning need not be
 * matched. Says yes where an answer would take a real parser.
 */
static bool may_branch(struct str pattern)
{
	size_t depth = 0;

	if (str_index(pattern, '|') < 0) {
		return false;
	}
	for (size_t i = 0; i < pattern.n; i++) {
		char c = pattern.p[i];

		if (defies_counting(pattern, i) || (depth == 0 && (c == '|' || c == ')'))) {
			return true;
		}
		depth += c == '(' ? 1u : 0u;
		depth -= c == ')' ? 1u : 0u;
		i += c == '\\' ? 1u : 0u;
	}
	return false;
}

/* A character that stands for itself, its place behind it; false at anything else. */
static bool take_literal(struct str pattern, size_t *i, char *out)
{
	bool escaped = pattern.p[*i] == '\\';
	char c = char_at(pattern, *i + escaped);

	if ((uint8_t)c <= ' ' || (uint8_t)c >= 0x7f ||
	    (escaped ? is_alnum(c) : strchr("^$.[|()?*+{}#", c) != NULL)) {
		return false;
	}
	*out = c;
	*i += 1u + escaped;
	return true;
}

/* Whether what stands before `i` may be missing, or may follow something that we skip. */
static bool is_optional(struct str pattern, size_t i)
{
	char c = char_at(pattern, i), next = char_at(pattern, i + 1);

	return c == '?' || c == '*' || c == '{' || (c == '\\' && (next == 'E' || next == 'Q')) ||
	       (c == '(' && next == '?' && char_at(pattern, i + 2) == '#');
}

struct str regex_literal(struct arena *a, struct str pattern)
{
	char *text = arena_alloc(a, pattern.n + 1), c;
	size_t n = 0;

	if (may_branch(pattern)) {
		return STR_NULL;
	}
	for (size_t i = 0; i < pattern.n && take_literal(pattern, &i, &c);) {
		if (is_optional(pattern, i)) {
			break;
		}
		text[n++] = c;
	}
	return str_of(text, n);
}
