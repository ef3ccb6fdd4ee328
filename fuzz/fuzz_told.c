/*
 * Trusted networks, one a line, and behind an empty line the X-Forwarded-For of a trusted peer.
 * Whoever writes to the left of it must not change whom it tells of.
 */
#include "net/addr.h"

#include "base/arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define NETS_MAX 8

static void check_net(const struct addr_net *net)
{
	char text[ADDR_TEXT_MAX];
	struct addr_net again;

	ASSERT(addr_net_has(net, &net->base));
	(void)addr_format_ip(&net->base, text);
	ASSERT(addr_net_parse(str_c(text), &again) == ERR_OK);
	ASSERT(addr_net_has(&again, &net->base));
}

static void check_list(struct arena *a, struct addr_nets nets, struct str list, bool recursive)
{
	static const char spoof[] = "203.0.113.7, ";
	struct str longer = str_fmt(a, "%s%.*s", spoof, STR_ARG(list));
	char text[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX];
	struct addr told, second;
	bool found = addr_told(list, nets, recursive, &told);

	if (!found) {
		return;
	}
	(void)addr_format_ip(&told, text);
	ASSERT(addr_from_ip(str_c(text), 0, &second) == ERR_OK);
	if (recursive && addr_nets_have(nets, &told)) {
		return; /* all of the list is trusted, so what stands left of it counts */
	}
	ASSERT(addr_told(longer, nets, recursive, &second));
	(void)addr_format_ip(&second, other);
	ASSERT(strcmp(text, other) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str rest = str_of(data, n), line;
	struct addr_net v[NETS_MAX];
	struct addr_nets nets = {v, 0};
	struct arena a;

	if (memchr(data, 0, n)) {
		return 0; /* no header holds it */
	}
	arena_init(&a, 0);
	while (str_split(&rest, '\n', &line) && line.n > 0) {
		if (nets.n < NETS_MAX && addr_net_parse(line, &v[nets.n]) == ERR_OK) {
			check_net(&v[nets.n++]);
		}
	}
	check_list(&a, nets, rest, false);
	check_list(&a, nets, rest, true);
	arena_fini(&a);
	return 0;
}
