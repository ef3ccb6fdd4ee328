#include "relay/front.h"

#include "base/enc.h"
#include "http/uri.h"

/* Takes one segment with the '/' before it off the front of `*path`. */
static struct str take_segment(struct str *path)
{
	struct str rest = str_skip(*path, 1);
	ptrdiff_t slash = str_index(rest, '/');
	struct str segment = slash < 0 ? rest : str_slice(rest, 0, (size_t)slash);

	*path = str_skip(rest, segment.n);
	return segment;
}

static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
			return true;
		}
	}
	return false;
}

static enum err decode(struct arena *a, struct str raw, struct str *out)
{
	struct buf b = {0};
	enum err e = ERR_OK;

	if (str_index(raw, '%') < 0) {
		*out = raw;
	} else if ((e = percent_decode(&b, raw)) == ERR_OK) {
		*out = str_dup(a, buf_str(&b));
	}
	buf_free(&b);
	return e == ERR_OK && !has_control(*out) ? ERR_OK : ERR_INVALID;
}

/* `path` is "/tenant/target/rest", `whole` goes on with the query. */
static enum err parse_relay(struct arena *a, struct str path, struct str whole, struct front *out)
{
	struct str tenant = take_segment(&path);
	struct str target = take_segment(&path);
	const char *end = whole.p + whole.n;
	/* Without the slash before it; "/relay/T/x?q" has none. */
	const char *rest = path.n > 0 ? path.p + 1 : path.p;

	TRY(decode(a, tenant, &out->tenant));
	TRY(decode(a, target, &out->target));
	out->url = str_of(rest, (size_t)(end - rest));
	return uri_rest_is_safe(out->url) ? ERR_OK : ERR_INVALID;
}

static enum front_kind mode_of(struct str segment)
{
	if (str_eq_nocase(segment, STR("relay"))) {
		return FRONT_RELAY;
	}
	if (str_eq_nocase(segment, STR("queue"))) {
		return FRONT_QUEUE;
	}
	if (str_eq_nocase(segment, STR("trace"))) {
		return FRONT_TRACE;
	}
	return FRONT_NONE;
}

static enum front_kind fixed_path(struct str path)
{
	static const struct {
		struct str path;
		enum front_kind kind;
	} table[] = {
		{STR_INIT("/connector"), FRONT_CONNECTOR},
		{STR_INIT("/connector/negotiate"), FRONT_NEGOTIATE},
		{STR_INIT("/.well-known/relayserver-configuration"), FRONT_DISCOVERY},
		{STR_INIT("/health/ready"), FRONT_HEALTH_READY},
		{STR_INIT("/health/check"), FRONT_HEALTH_CHECK},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (str_eq_nocase(path, table[i].path)) {
			return table[i].kind;
		}
	}
	return FRONT_NONE;
}

/* Routes with GUIDs; FRONT_NONE when a GUID is none or more follows. */
static enum front_kind guid_path(struct str first, struct str path, struct front *out)
{
	struct str a = take_segment(&path);
	struct str b = take_segment(&path);

	if (path.n > 0 || guid_parse(b, &out->request) != ERR_OK) {
		return FRONT_NONE;
	}
	if (str_eq_nocase(first, STR("acknowledge"))) {
		return guid_parse(a, &out->origin) == ERR_OK ? FRONT_ACKNOWLEDGE : FRONT_NONE;
	}
	if (!str_eq_nocase(first, STR("body"))) {
		return FRONT_NONE;
	}
	if (str_eq_nocase(a, STR("request"))) {
		return FRONT_BODY_REQUEST;
	}
	return str_eq_nocase(a, STR("response")) ? FRONT_BODY_RESPONSE : FRONT_NONE;
}

enum err front_parse(struct arena *a, struct str target, struct front *out)
{
	ptrdiff_t query = str_index(target, '?');
	struct str path = query < 0 ? target : str_slice(target, 0, (size_t)query);
	struct str rest = path;

	*out = (struct front){.kind = FRONT_NONE};
	if (path.n == 0 || path.p[0] != '/') {
		return ERR_OK;
	}
	struct str first = take_segment(&rest);

	out->kind = mode_of(first);
	if (out->kind != FRONT_NONE) {
		return parse_relay(a, rest, target, out);
	}
	out->kind = fixed_path(path);
	if (out->kind == FRONT_NONE && rest.n > 0) {
		out->kind = guid_path(first, rest, out);
	}
	return ERR_OK;
}
