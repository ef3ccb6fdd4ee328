/*
 * A kong.conf to a tree of ours, which must then be one that the tables can judge and
 * `config show` can write. References to vaults read the environment and nothing else.
 */
#include "app/config_kong.h"
#include "app/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void judge(struct arena *a, const struct conf_node *root)
{
	const struct config_tables tables = settings_tables();
	struct gateway_config gateway;
	struct fault f = {0};
	struct buf shown = {0};

	for (size_t i = 0; i < tables.n; i++) {
		if (str_eq(str_c(tables.v[i]->name), STR("gateway")) &&
		    config_section(a, root, tables.v[i], &gateway, &f) != ERR_OK) {
			ASSERT(f.code == ERR_INVALID && f.text[0]);
		}
	}
	config_show(root, tables, &shown);
	buf_free(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct config_warning *warnings = NULL;
	struct conf_node root = {.kind = CONF_NODE_MAP};
	struct fault f = {0};
	struct arena a;

	arena_init(&a, 0);
	struct kong *k = kong_new(&a, &warnings, &f);

	if (kong_read_file(k, str_of(data, n), STR("kong.conf")) == ERR_OK &&
	    kong_apply(k, &root) == ERR_OK) {
		judge(&a, &root);
	} else {
		ASSERT(f.code == ERR_INVALID && f.text[0]);
	}
	arena_fini(&a);
	return 0;
}
