/* The same work as in json.c, done by jansson. */
#include "base/buf.h"

#include <jansson.h>

void read_jansson(struct str text);
void echo_jansson(struct str text);

void read_jansson(struct str text)
{
	json_t *v = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);

	ASSERT(v);
	json_decref(v);
}

static int on_dump(const char *p, size_t n, void *out)
{
	buf_append((struct buf *)out, p, n);
	return 0;
}

void echo_jansson(struct str text)
{
	static struct buf out;
	json_t *v = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);

	ASSERT(v);
	buf_clear(&out);
	ASSERT(json_dump_callback(v, on_dump, &out, JSON_COMPACT) == 0);
	json_decref(v);
}
