/*
 * YAML text to tree to a table of all types; then what `config show` makes of it.
 * References ({env: }, {file: }) are not followed: they reach outside.
 */
#include "app/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct role {
	struct str name, secret;
	bool on;
	int64_t port, wait_ms, size;
	int mode;
	struct conf_strs hosts;
	const struct conf_node *targets;
};

static const char *const modes[] = {"text", "json", NULL};
#define K(n, t, m, ...)                                                                            \
	{                                                                                          \
		n, t, offsetof(struct role, m), __VA_ARGS__                                        \
	}
static const struct conf_key keys[] = {
	K("name", CONF_STR, name, NULL),
	K("secret", CONF_SECRET, secret, NULL),
	K("on", CONF_BOOL, on, "true"),
	K("port", CONF_INT, port, "5000", 1, 65535),
	K("wait", CONF_DURATION, wait_ms, "2m", 1000, 0),
	K("size", CONF_SIZE, size, "16KiB", 1024, 1048576),
	K("mode", CONF_ENUM, mode, "json", .choices = modes),
	K("hosts", CONF_STRS, hosts, "a, b"),
	K("targets", CONF_NODE, targets, NULL),
};
#undef K
static const struct conf_section relay = {"relay", "", keys, ARRAY_LEN(keys)};
static const struct conf_section top = {"", "", keys, ARRAY_LEN(keys)};
static const struct conf_section *const sections[] = {&top, &relay};

static void apply(struct arena *a, const struct conf_node *root, const struct conf_section *s)
{
	struct role role;
	struct fault f = {0};

	if (config_section(a, root, s, &role, &f) != ERR_OK) {
		ASSERT(f.code == ERR_INVALID && f.text[0]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena a;
	struct conf_node *root;
	struct fault f = {0};
	struct buf shown = {0};

	arena_init(&a, 0);
	if (config_parse(&a, str_of(data, n), STR("fuzz.yaml"), &root, &f) == ERR_OK) {
		apply(&a, root, &top);
		apply(&a, root, &relay);
		config_show(root, (struct config_tables){sections, ARRAY_LEN(sections)}, &shown);
	} else {
		ASSERT(f.code == ERR_INVALID && f.text[0]);
	}
	buf_free(&shown);
	arena_fini(&a);
	return 0;
}
