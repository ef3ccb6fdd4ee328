#include "app/commands.h"

const struct command *const commands[] = {
	&serve_command,
	&connect_command,
	&tenant_add_command,
	&tenant_list_command,
	&tenant_show_command,
	&tenant_update_command,
	&tenant_remove_command,
	&tenant_secret_add_command,
	&tenant_secret_list_command,
	&tenant_secret_remove_command,
	&stats_requests_command,
	&stats_connections_command,
	&stats_origins_command,
	&stats_summary_command,
	&token_command,
	&gateway_load_command,
	&gateway_dump_command,
	&gateway_diff_command,
	&gateway_validate_command,
	&routes_command,
	&config_check_command,
	&config_show_command,
	&config_reference_command,
	&migrate_command,
	&version_command,
};

const size_t n_commands = ARRAY_LEN(commands);
