/*
 * fuzz_enc - what base reads of a peer's text: base64, percent, form, guid, times
 *
 * Beyond not crashing: whatever a decoder accepts, its encoder must bring back.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/guid.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef void encode_fn(struct buf *out, struct str in);
typedef enum err decode_fn(struct buf *out, struct str in);

static void round_trip(struct str plain, encode_fn *encode, decode_fn *decode)
{
	struct buf coded = {0}, back = {0};

	encode(&coded, plain);
	ASSERT(decode(&back, buf_str(&coded)) == ERR_OK);
	ASSERT(str_eq(buf_str(&back), plain));
	buf_free(&coded);
	buf_free(&back);
}

/* `canonical`: there is one encoding of each plain text only. */
static void decode_then_encode(struct str coded, encode_fn *encode, decode_fn *decode,
			       bool canonical)
{
	struct buf plain = {0}, again = {0};

	if (decode(&plain, coded) == ERR_OK) {
		encode(&again, buf_str(&plain));
		ASSERT(!canonical || str_eq(buf_str(&again), coded));
	} else {
		ASSERT(plain.n == 0);
	}
	buf_free(&plain);
	buf_free(&again);
}

static void encodings(struct str s)
{
	round_trip(s, base64_encode, base64_decode);
	round_trip(s, base64url_encode, base64url_decode);
	round_trip(s, percent_encode, percent_decode);
	round_trip(s, form_encode, form_decode);
	decode_then_encode(s, base64_encode, base64_decode, true);
	decode_then_encode(s, base64url_encode, base64url_decode, !str_ends(s, STR("=")));
	decode_then_encode(s, percent_encode, percent_decode, false);
	decode_then_encode(s, form_encode, form_decode, false);
}

static void hex(struct str s)
{
	struct buf out = {0};
	char *bytes = buf_reserve(&out, s.n / 2);
	struct buf again = {0};

	if (hex_decode(s, bytes, s.n / 2) == ERR_OK) {
		hex_encode(&again, str_of(bytes, s.n / 2));
		ASSERT(str_eq_nocase(buf_str(&again), s));
	}
	buf_free(&out);
	buf_free(&again);
}

static void form_value(struct str s)
{
	struct arena a;
	struct str out;

	arena_init(&a, 0);
	if (form_get(&a, s, STR("a"), &out) == ERR_OK) {
		ASSERT(out.n <= s.n);
	}
	if (form_get_nocase(&a, s, STR("access_token"), &out) == ERR_OK) {
		ASSERT(out.n <= s.n);
	}
	arena_fini(&a);
}

static void guids(struct str s)
{
	struct guid g, again;
	char d[GUID_D_LEN];

	if (guid_parse(s, &g) == ERR_OK) {
		guid_d(&g, d);
		ASSERT(guid_parse(str_of(d, sizeof(d)), &again) == ERR_OK);
		ASSERT(guid_eq(&g, &again));
	}
}

static void times(struct str s)
{
	char iso[CLOCK_ISO_LEN + 1], span[TIMESPAN_LEN_MAX];
	int64_t ms, again;
	struct arena a;

	arena_init(&a, 0);
	if (timespan_parse(s, &ms) == ERR_OK) {
		ASSERT(timespan_parse(str_of(span, timespan_format(ms, span)), &again) == ERR_OK);
		ASSERT(ms == again);
	}
	if (clock_iso_parse(s, &ms) == ERR_OK) {
		clock_iso(ms, iso);
		ASSERT(clock_iso_parse(str_c(iso), &again) == ERR_OK);
		/* An offset may lead out of the four digits of a year. */
		ASSERT(ms == again || iso[0] == '9' || str_starts(str_c(iso), STR("0000")));
	}
	if (duration_parse(s, &ms) == ERR_OK) {
		ASSERT(duration_parse(duration_format(&a, ms), &again) == ERR_OK && ms == again);
	}
	if (size_parse(s, &ms) == ERR_OK) {
		ASSERT(size_parse(size_format(&a, ms), &again) == ERR_OK && ms == again);
	}
	arena_fini(&a);
}

/* Fed in two parts the verdict must be the same. */
static void utf8(struct str s)
{
	struct utf8_state state = {0};
	bool whole = utf8_is_valid(s);
	bool parts = utf8_feed(&state, str_slice(s, 0, s.n / 2)) &&
		     utf8_feed(&state, str_skip(s, s.n / 2)) && utf8_is_complete(&state);
	struct str rest = s;
	size_t n = 0;

	ASSERT(whole == parts);
	while (rest.n > 0 && (n = utf8_next(rest)) > 0) {
		rest = str_skip(rest, n);
	}
	ASSERT(whole == (rest.n == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str s = str_of(data, n);

	encodings(s);
	hex(s);
	form_value(s);
	guids(s);
	times(s);
	utf8(s);
	return 0;
}
