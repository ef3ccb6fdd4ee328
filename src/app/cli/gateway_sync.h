/*
 * gateway_sync - what the commands around kong.yml share: the file, what there is, the way between
 *
 * Ownership  all lives in the command's arena.
 */
#pragma once
#include "app/cli/cli.h"
#include "gateway/declarative_plan.h"
#include "gateway/entities.h"
#include "gateway/yaml_text.h"

struct gateway_sync_options {
	struct cli_options common;
	struct option_value select_tags;
};

#define GATEWAY_SELECT_TAG_OPTION(options_type)                                                    \
	{                                                                                          \
		"select-tag", "TAG",                                                               \
			"mind only entities with this tag, and give it to those of the file",      \
			offsetof(options_type, select_tags), true                                  \
	}

struct gateway_sync {
	struct cli *cli;
	struct entities *entities;
	struct entity_call call;
	struct declarative now, wanted;
	const struct json *select_tags; /* of the options and of the file; NULL = none */
	struct declarative_plan plan;
};

/*
 * Reads and checks a file. All that is wrong goes to stderr, a line each; the fault then only
 * counts.
 */
enum err gateway_file_read(struct arena *a, struct str path, const struct declarative_options *o,
			   struct declarative *out, struct fault *f) MUST_USE;

/* What the database has. Call gateway_sync_end also when it failed. */
enum err gateway_sync_begin(struct cli *c, struct gateway_sync *out) MUST_USE;
/* The file, and what would have to be done. */
enum err gateway_sync_plan(struct gateway_sync *s, struct str path,
			   const struct option_value *select_tags) MUST_USE;
/* In one transaction. */
enum err gateway_sync_apply(struct gateway_sync *s) MUST_USE;
void gateway_sync_end(struct gateway_sync *s);

/* The steps for people; nothing when there are none. */
void gateway_sync_describe(const struct gateway_sync *s);
/* {"created": 1, …}, or a line. */
void gateway_sync_print_counts(const struct gateway_sync *s, const char *prefix);
