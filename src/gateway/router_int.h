/*
 * router_int - what the router's files share: its tables, and its regexes
 *
 * Each rule becomes one entry for each pair of a host and a path. Entries of one host
 * pattern hang in one radix tree over their paths; a regex hangs at the literal text that
 * it begins with. Rank is the place in the order of priorities, 0 first, so that matching
 * compares one number.
 */
#pragma once
#include "gateway/router.h"

#include "base/map.h"

/* A host name has no more (RFC 1035); what is longer matches no pattern. */
#define ROUTER_HOST_MAX 255

/* --- router_regex.c ------------------------------------------------------------------ */

enum regex_kind {
	REGEX_PATH,   /* anchored at the start */
	REGEX_HEADER, /* anywhere, ignoring case */
};

/* Counted: rebuilt routers share what is compiled. */
struct regex;

struct regex *regex_new(struct str pattern, enum regex_kind kind, struct fault *f);
struct regex *regex_ref(struct regex *re);
void regex_unref(struct regex **re);
/* Lives as long as the regex; KEY_PATH or KEY_HEADER, then the pattern. */
#define KEY_PATH 'p'
#define KEY_HEADER 'h'
struct str regex_key(const struct regex *re);
/* The same before there is one; any byte may stand in a pattern. */
struct str regex_key_new(struct arena *a, struct str pattern, enum regex_kind kind);

enum regex_result {
	REGEX_NO,
	REGEX_YES,
	REGEX_GAVE_UP,
};

/* What the regexes of one match may cost together, of the thread's own time. */
#define REGEX_BUDGET_NS 10000000u
/* Takes from the budget, all of it when it gives up. Without any it gives up at once. */
enum regex_result regex_match(const struct regex *re, struct str subject, uint64_t *budget_ns);
/* Right after a REGEX_YES of the same thread; gives the length of all that matched. */
size_t regex_captures(const struct regex *re, struct arena *a, struct str subject,
		      struct router_match *out);
/* Text that whatever matches must begin with; "" when that is hard to say. */
struct str regex_literal(struct arena *a, struct str pattern);

/* --- tables -------------------------------------------------------------------------- */

enum {
	CHECK_PORT = 1 << 0,
	CHECK_METHOD = 1 << 1,
	CHECK_METHOD_TEXT = 1 << 2, /* some method without a bit */
	CHECK_HEADERS = 1 << 3,
	CHECK_SNIS = 1 << 4,
};

struct router_entry {
	uint32_t rank;
	uint32_t rule;
	uint16_t checks;
	uint16_t port;
	uint16_t methods;    /* 1 << enum http_method */
	struct regex *regex; /* NULL: a prefix */
};

/* What fits stands in the node itself, so that a level of the tree costs one cache line. */
#define ROUTER_NODE_INLINE 16

#define ROUTER_NO_RANK UINT32_MAX

/*
 * `label` follows the byte that led here; then come the entries, then the children. What is most
 * usual, one prefix without checks, stands in the node, which a walk has read anyway.
 */
struct router_node {
	uint8_t bytes[ROUTER_NODE_INLINE]; /* of up to so many children */
	char text[ROUTER_NODE_INLINE];	   /* of the label, if so short */
	union {
		uint32_t label; /* offset in router.labels, if longer */
		uint32_t rule;	/* of the one entry, where sole_rank tells one */
	};
	uint32_t label_n;
	uint32_t children; /* the first; they lie side by side */
	uint32_t n_children;
	uint32_t entries; /* first prefixes, then regexes; each in order of rank */
	uint32_t n_prefixes;
	uint32_t n_regexes;
	uint32_t sole_rank; /* a cache line in all */
};

enum host_class {
	HOST_EXACT,
	HOST_SUFFIX, /* "*.a.b" */
	HOST_PREFIX, /* "a.*" */
	HOST_CLASSES,
};

struct router_host {
	struct str text; /* folded, without "*"; p NULL = free slot */
	uint32_t hash;
	uint32_t root;
};

struct router_hosts {
	struct router_host *slots;
	uint32_t mask;
	uint32_t n;
	uint8_t lengths[ROUTER_HOST_MAX + 1]; /* whether a pattern has so many bytes */
};

/* Immutable after router_new. */
struct router {
	struct arena arena;
	const struct router_rule *const *rules;
	size_t n_rules;
	struct router_hosts hosts[HOST_CLASSES];
	struct router_node *nodes; /* [0] is the root of rules without host */
	void *nodes_block;
	uint8_t *bytes; /* of each node, the byte that leads to it */
	uint32_t n_nodes;
	char *labels;
	struct router_entry *entries;
	size_t n_entries;
	struct regex ***header_regexes; /* of a rule, by value; NULL: the value is plain */
	struct map regexes;		/* all, by regex_key */
	uint64_t *priorities;		/* by rank */
	const struct router *below;	/* borrowed; NULL: this is all */
	const uint64_t *gone;		/* a bit for each rule of `below` */
};

/* The place of a folded host in the table: its own or the free one. */
struct router_host *router_host_slot(const struct router_hosts *t, struct str text, uint32_t hash);
uint32_t router_host_hash(struct str text);
/*
 * "a.b:80" gives "a.b" folded into `to`, without a dot at its end, and 80. `has_port` says
 * whether a port was there. False when it is too long.
 */
bool router_host_split(struct str host, char to[ROUTER_HOST_MAX], struct str *out_name,
		       bool *has_port, uint16_t *out_port);
