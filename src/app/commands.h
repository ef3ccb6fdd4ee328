/*
 * commands - every subcommand, in the order of `posthouse --help`
 */
#pragma once
#include "app/command.h"

extern const struct command serve_command;
extern const struct command connect_command;
extern const struct command tenant_add_command;
extern const struct command tenant_list_command;
extern const struct command tenant_show_command;
extern const struct command tenant_update_command;
extern const struct command tenant_remove_command;
extern const struct command tenant_secret_add_command;
extern const struct command tenant_secret_list_command;
extern const struct command tenant_secret_remove_command;
extern const struct command stats_requests_command;
extern const struct command stats_connections_command;
extern const struct command stats_origins_command;
extern const struct command stats_summary_command;
extern const struct command token_command;
extern const struct command routes_command;
extern const struct command config_check_command;
extern const struct command config_show_command;
extern const struct command config_reference_command;
extern const struct command gateway_load_command;
extern const struct command gateway_dump_command;
extern const struct command gateway_diff_command;
extern const struct command gateway_validate_command;
extern const struct command migrate_command;
extern const struct command version_command;
