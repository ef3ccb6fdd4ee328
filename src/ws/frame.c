#include "ws/frame.h"

#include "base/enc.h"
#include "base/rand.h"
#include "tls/crypto.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define FIN 0x80
#define RESERVED 0x70
#define MASKED 0x80
#define CONTROL 0x08
#define CONTROL_BYTES_MAX 125
#define LENGTH_16 126
#define LENGTH_64 127
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */

static bool is_opcode(unsigned op)
{
	return op <= WS_BINARY || (op >= WS_CLOSE && op <= WS_PONG);
}

static uint64_t get_big_endian(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		v = v << 8 | p[i];
	}
	return v;
}

static void put_big_endian(uint8_t *p, size_t n, uint64_t v)
{
	for (size_t i = n; i > 0; i--) {
		p[i - 1] = (uint8_t)v;
		v >>= 8;
	}
}

/* Bytes of the length field after the first two; the shortest form must be used. */
static size_t length_bytes(uint64_t n)
{
	return n < LENGTH_16 ? 0 : n <= UINT16_MAX ? 2 : 8;
}

/* What the first two bytes alone can get wrong. */
static bool is_head_sound(const uint8_t *p, enum ws_role role)
{
	bool masked = (p[1] & MASKED) != 0;
	bool control = (p[0] & CONTROL) != 0;

	if ((p[0] & RESERVED) != 0 || !is_opcode(p[0] & 0x0f) || masked != (role == WS_SERVER)) {
		return false;
	}
	return !control || ((p[0] & FIN) != 0 && (p[1] & 0x7f) <= CONTROL_BYTES_MAX);
}

enum err ws_frame_parse(struct str in, enum ws_role role, struct ws_frame *out)
{
	const uint8_t *p = (const uint8_t *)in.p;
	struct ws_frame f = {0};
	size_t at = 2, more;

	if (in.n < 2) {
		return ERR_AGAIN;
	}
	if (!is_head_sound(p, role)) {
		return ERR_PROTO;
	}
	f.opcode = (enum ws_opcode)(p[0] & 0x0f);
	f.fin = (p[0] & FIN) != 0;
	f.masked = (p[1] & MASKED) != 0;
	f.n = p[1] & 0x7f;
	more = f.n == LENGTH_16 ? 2 : f.n == LENGTH_64 ? 8 : 0;
	if (in.n < at + more) {
		return ERR_AGAIN;
	}
	if (more > 0) {
		f.n = get_big_endian(p + at, more);
		if (length_bytes(f.n) != more || f.n > INT64_MAX) {
			return ERR_PROTO;
		}
		at += more;
	}
	if (f.masked) {
		if (in.n < at + 4) {
			return ERR_AGAIN;
		}
		memcpy(f.mask, p + at, 4);
		at += 4;
	}
	f.head_len = at;
	*out = f;
	return ERR_OK;
}

void ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], size_t offset)
{
	uint8_t key[4];
	uint64_t word, wide;
	size_t i = 0;

	for (size_t k = 0; k < 4; k++) {
		key[k] = mask[(offset + k) & 3];
	}
	memcpy(&wide, key, 4);
	memcpy((char *)&wide + 4, key, 4);
#ifdef __SSE2__
	for (const __m128i keys = _mm_set1_epi64x((long long)wide); i + 16 <= n; i += 16) {
		__m128i *at = (__m128i *)(void *)(p + i);

		_mm_storeu_si128(at, _mm_xor_si128(_mm_loadu_si128(at), keys));
	}
#endif
	for (; i + 8 <= n; i += 8) {
		memcpy(&word, p + i, 8);
		word ^= wide;
		memcpy(p + i, &word, 8);
	}
	for (; i < n; i++) {
		p[i] ^= key[i & 3];
	}
}

static size_t head_len(enum ws_role role, uint64_t n)
{
	return 2 + length_bytes(n) + (role == WS_CLIENT ? 4 : 0);
}

/* Writes head_len() bytes; the mask, if any, is the last four of them. */
static void put_head(uint8_t *p, enum ws_role role, enum ws_opcode op, uint64_t n,
		     const uint8_t mask[4])
{
	size_t more = length_bytes(n);

	p[0] = (uint8_t)(FIN | op);
	p[1] = (uint8_t)(more == 0 ? n : more == 2 ? LENGTH_16 : LENGTH_64);
	put_big_endian(p + 2, more, n);
	if (role == WS_CLIENT) {
		p[1] |= MASKED;
		memcpy(p + 2 + more, mask, 4);
	}
}

static void new_mask(enum ws_role role, uint8_t out[4])
{
	if (role == WS_CLIENT) {
		rand_bytes(out, 4);
	}
}

void ws_frame_write(struct buf *out, enum ws_role role, enum ws_opcode op, struct str payload)
{
	size_t head = head_len(role, payload.n);
	uint8_t mask[4] = {0};
	uint8_t *at = (uint8_t *)buf_reserve(out, head + payload.n);

	new_mask(role, mask);
	put_head(at, role, op, payload.n, mask);
	if (payload.n > 0) {
		memcpy(at + head, payload.p, payload.n);
	}
	if (role == WS_CLIENT) {
		ws_mask(at + head, payload.n, mask, 0);
	}
	buf_commit(out, head + payload.n);
}

void ws_frame_write_head(struct buf *out, enum ws_opcode op, uint64_t n)
{
	size_t head = head_len(WS_SERVER, n);

	put_head((uint8_t *)buf_reserve(out, head), WS_SERVER, op, n, NULL);
	buf_commit(out, head);
}

size_t ws_frame_begin(struct buf *out)
{
	size_t mark = out->n;

	(void)buf_reserve(out, WS_HEAD_MAX);
	buf_commit(out, WS_HEAD_MAX);
	return mark;
}

/* Takes `gap` bytes at `mark` out of the buffer, moving the shorter side. */
static void close_gap(struct buf *out, size_t mark, size_t gap)
{
	char *p = buf_head(out);
	size_t after = out->n - mark - gap;

	if (mark <= after) {
		memmove(p + gap, p, mark);
		buf_consume(out, gap);
	} else {
		memmove(p + mark, p + mark + gap, after);
		out->n -= gap;
	}
}

void ws_frame_finish(struct buf *out, size_t mark, enum ws_role role, enum ws_opcode op)
{
	size_t n, head;
	uint8_t mask[4] = {0};
	uint8_t *payload;

	ASSERT(mark <= out->n && out->n - mark >= WS_HEAD_MAX);
	n = out->n - mark - WS_HEAD_MAX;
	head = head_len(role, n);
	payload = (uint8_t *)buf_head(out) + mark + WS_HEAD_MAX;
	new_mask(role, mask);
	put_head(payload - head, role, op, n, mask);
	if (role == WS_CLIENT) {
		ws_mask(payload, n, mask, 0);
	}
	close_gap(out, mark, WS_HEAD_MAX - head);
}

bool ws_close_code_is_valid(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
	       (code >= 3000 && code <= 4999);
}

void ws_accept_key(struct str key, char out[28])
{
	struct buf text = {0};
	uint8_t digest[SHA1_LEN];

	buf_put(&text, key);
	buf_puts(&text, ACCEPT_GUID);
	crypto_sha1(buf_str(&text), digest);
	buf_clear(&text);
	base64_encode(&text, str_of(digest, sizeof(digest)));
	ASSERT(text.n == 28);
	memcpy(out, buf_head(&text), 28);
	buf_free(&text);
}
