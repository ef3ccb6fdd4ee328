#include "gateway/plugins/auth.h"

#include "base/enc.h"
#include "base/mem.h"

bool auth_is_done(const struct gw_call *c, struct str anonymous)
{
	return anonymous.n > 0 && call_credential(c) != NULL;
}

static enum plugin_verdict go_anonymous(struct gw_call *c, struct str name)
{
	const struct gw_consumer *consumer = call_find_consumer(c, name);

	if (!consumer) {
		call_error(c, 500,
			   str_fmt(call_arena(c),
				   "anonymous consumer %.*s is configured but doesn't exist",
				   STR_ARG(name)));
		return PLUGIN_ANSWERED;
	}
	call_authenticate_anonymous(c, consumer);
	return PLUGIN_NEXT;
}

enum plugin_verdict auth_fail(struct gw_call *c, struct str anonymous, struct str message,
			      struct str challenge)
{
	if (anonymous.n > 0) {
		return go_anonymous(c, anonymous);
	}
	call_add_answer_header(c, STR("WWW-Authenticate"), challenge);
	call_error(c, 401, message);
	return PLUGIN_ANSWERED;
}

struct str auth_challenge(struct arena *a, const char *scheme, struct str realm)
{
	struct buf b = {0};
	struct str out;

	if (!realm.p) {
		return str_c(scheme);
	}
	buf_printf(&b, "%s realm=\"", scheme);
	for (size_t i = 0; i < realm.n; i++) {
		if (realm.p[i] == '"' || realm.p[i] == '\\') {
			buf_putc(&b, '\\');
		}
		buf_putc(&b, realm.p[i]);
	}
	buf_putc(&b, '"');
	out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return out;
}

bool auth_read_basic(struct arena *a, struct str value, struct auth_login *out)
{
	struct buf b = {0};
	struct str text = STR_NULL;
	ptrdiff_t colon;

	if (!str_starts_nocase(value, STR("basic "))) {
		return false;
	}
	if (base64_decode(&b, str_trim(str_skip(value, 6))) == ERR_OK) {
		text = str_dup(a, buf_str(&b));
	}
	if (b.p) {
		mem_wipe(b.p, b.cap);
	}
	buf_free(&b);
	colon = str_index(text, ':');
	if (colon < 0) {
		return false;
	}
	out->username = str_slice(text, 0, (size_t)colon);
	out->password = str_skip(text, (size_t)colon + 1);
	return out->username.n > 0;
}
