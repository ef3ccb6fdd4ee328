#include "config_fixture.h"

static void shows_what_is_in_effect(void **state)
{
	struct arena a;
	struct conf_node *root;
	struct buf out = {0};

	(void)state;
	arena_init(&a, 0);
	assert_ok(
		config_parse(&a,
			     STR("database: postgres://user:pa:ss@db/x\n"
				 "relay:\n  secret: hunter2\n  hosts: [a, \"b c\", 'null']\n"
				 "  listen: [\"127.0.0.1:1\", {address: x, tls: {cert: c, Key: k},"
				 " ApiToken: t, url: \"http://u:p@h\"}]\n"
				 "portal-api: {port: 1}\n"),
			     STR("test"), &root, NULL));
	struct conf_node *relay = root->child->next;
	struct conf_node *last = relay->child;

	while (last->next) {
		last = last->next;
	}
	last->next = ARENA_NEW(&a, struct conf_node);
	last->next->key = STR("request_expiration");
	last->next->text = STR("3s");
	last->next->source = STR("POSTHOUSE_RELAY__REQUEST_EXPIRATION");
	config_show(root, tables, &out);
	assert_str(buf_str(&out),
		   STR("database: \"postgres://user:***@db/x\"\n"
		       "relay:\n"
		       "  request_expiration: 3s  # POSTHOUSE_RELAY__REQUEST_EXPIRATION\n"
		       "  hosts: [a, \"b c\", \"null\"]\n"
		       "  secret: \"***\"\n"
		       "  on: true  # default\n"
		       "  body_max: 50MiB  # default\n"
		       "  listen: [\"127.0.0.1:1\", {address: x, tls: {cert: c, Key: \"***\"}, "
		       "ApiToken: \"***\", url: \"http://u:***@h\"}]\n"
		       "  mode: fast  # default\n"
		       "portal-api:\n"
		       "  port: 1\n"));
	buf_free(&out);
	arena_fini(&a);
}

static void can_be_loaded_again(void **state)
{
	struct arena a;
	struct conf_node *root;
	struct conf_node *again;
	struct buf out = {0};
	struct buf out_again = {0};

	(void)state;
	arena_init(&a, 0);
	assert_ok(
		config_parse(&a,
			     STR("database: \"a: b # \\\"c\\\" \\u00fc\\n\"\n"
				 "relay:\n  hosts: ['- x', '', '~', '{', 'a,b', '@x', '*x', '&y']\n"
				 "  listen: [null, [], {}, {'a b': '? x'}]\n  mode: 'safe'\n"),
			     STR("test"), &root, NULL));
	config_show(root, tables, &out);
	assert_ok(config_parse(&a, buf_str(&out), STR("again"), &again, NULL));
	config_show(again, tables, &out_again);
	assert_int_equal(str_find(buf_str(&out), STR("portal-api")), -1); /* needs a port */

	struct relay relay;

	assert_ok(config_section(&a, again, &relay_section, &relay, NULL));
	assert_int_equal(relay.hosts.n, 8);
	assert_str(relay.hosts.v[6], STR("*x"));
	assert_str(conf_text(conf_get(again, STR("database"))), STR("a: b # \"c\" \xc3\xbc\n"));
	buf_free(&out);
	buf_free(&out_again);
	arena_fini(&a);
}

static void reference(void **state)
{
	struct buf out = {0};

	(void)state;
	config_reference(tables, &out);
	assert_str(buf_str(&out),
		   STR("# Configuration reference\n"
		       "\n## Top level\n\nValid everywhere.\n\n"
		       "| Key | Value | Default | Reload | Meaning |\n|---|---|---|---|---|\n"
		       "| `database` | text | `sqlite:posthouse.db` | | Where data lives. |\n"
		       "\n## relay\n\nThe relay.\n\n"
		       "| Key | Value | Default | Reload | Meaning |\n|---|---|---|---|---|\n"
		       "| `request_expiration` | duration, at least 1s | `2m` | yes | "
		       "How long a request may take. |\n"
		       "| `hosts` | list |  | | Names a\\|b. |\n"
		       "| `secret` | secret |  | | Shared secret. |\n"
		       "| `on` | true or false | `true` | |  |\n"
		       "| `body_max` | size, 1 to 1GiB | `50MiB` | |  |\n"
		       "| `listen` | structure | `127.0.0.1:5000` | |  |\n"
		       "| `mode` | one of `fast`, `safe` | `fast` | |  |\n"
		       "\n## portal-api\n\n"
		       "| Key | Value | Default | Reload | Meaning |\n|---|---|---|---|---|\n"
		       "| `port` | whole number, 1 to 65535 | required | |  |\n"));
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_what_is_in_effect),
		cmocka_unit_test(can_be_loaded_again),
		cmocka_unit_test(reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
