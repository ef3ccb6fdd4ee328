/*
 * serve_http - the HTTP server without a role of its own, see http_role.h
 *
 * For tests that want a real HTTP client, or a hand that writes frames, on the
 * other side. Prints the port, serves until its standard input ends, drains.
 */
#include "http/http_role.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void fini_loop(struct loop *l, void *arg)
{
	(void)arg;
	http_server_loop_fini(l);
}

int main(int argc, char **argv)
{
	struct http_limits lim = http_limits_default;
	struct loops loops = {0};
	struct fault f = {0};
	struct http_server *s;
	char c;

	if (argc > 1) { /* every timeout, in ms */
		lim.head_timeout_ms = lim.idle_timeout_ms = lim.body_timeout_ms =
			lim.write_timeout_ms = (uint32_t)strtoul(argv[1], NULL, 10);
	}
	memset(page, 'x', sizeof(page));
	ASSERT(loops_start(&loops, 2, &f) == ERR_OK);
	s = http_server_new(&lim, http_role_dispatch, NULL);
	ASSERT(http_server_listen(
		       s, &loops,
		       &(struct http_listen){.address = STR("127.0.0.1:0"), .http2 = true},
		       &f) == ERR_OK);
	http_server_accept(s);
	(void)printf("%u\n", addr_port(http_server_addr(s, 0)));
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0) {
	}
	http_server_drain(s, 0);
	for (int i = 0; i < 300 && http_server_active(s) > 0; i++) {
		(void)usleep(10000);
	}
	http_server_free(&s);
	for (unsigned i = 0; i < loops.n; i++) {
		loop_call(loops.v[i], fini_loop, NULL);
	}
	loops_join(&loops);
	loops_free(&loops);
	return 0;
}
