/* The PROXY header: a cut one waits or fails as the whole one does; addresses can be shown. */
#include "net/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_of(data, size);
	struct proxy_header h, again;
	size_t used = 0, used_again = 0;
	char text[ADDR_TEXT_MAX];
	enum err e = proxy_header_parse(in, &h, &used);

	if (e != ERR_OK) {
		ASSERT(e == ERR_AGAIN || e == ERR_PROTO);
		return 0;
	}
	ASSERT(used > 0 && used <= size && used <= PROXY_HEADER_MAX);
	ASSERT(proxy_header_parse(str_slice(in, 0, used), &again, &used_again) == ERR_OK);
	ASSERT(used == used_again && h.is_local == again.is_local);
	ASSERT(proxy_header_parse(str_slice(in, 0, used - 1), &again, &used_again) == ERR_AGAIN);
	if (!h.is_local) {
		ASSERT(addr_format(&h.source, text) > 0 && addr_format(&h.destination, text) > 0);
	}
	return 0;
}
