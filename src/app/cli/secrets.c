#include "app/cli/secrets.h"

#include "base/clock.h"
#include "identity/secret.h"

#include <stdio.h>

static enum err read_line(struct cli *c, struct str *out)
{
	char line[SECRET_LEN_MAX + 2];

	if (!fgets(line, sizeof(line), stdin)) {
		return fault_set(&c->fault, ERR_INVALID, "no secret came on the standard input");
	}
	struct str s = str_c(line);
	while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r')) {
		s.n--;
	}
	*out = str_dup(&c->arena, s);
	return ERR_OK;
}

enum err secrets_make(struct cli *c, struct str given, struct str *out,
		      struct client_secret *out_stored)
{
	struct client_secret stored = {.id = guid_new(), .created_ms = clock_wall_ms()};

	if (str_eq(given, STR("-"))) {
		TRY(read_line(c, &given));
	}
	if (given.p) {
		TRY(secret_check_chosen(given, &c->fault));
		stored.value = secret_hash_chosen(&c->arena, given);
	} else {
		given = secret_new(&c->arena);
		stored.value = secret_hash_random(&c->arena, given);
	}
	*out = given;
	*out_stored = stored;
	return ERR_OK;
}
