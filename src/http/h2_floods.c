#include "http/h2_floods.h"
#include "http/h2_int.h"
#include "http/h2_lib.h"

#define CREDIT_MAX 300
#define CREDIT_PER_SECOND 30
#define RAPID_MS 250
#define CRUMB 1024 /* what clients give back at least for a read of theirs is some KiB */
#define PREFACE_BYTES 24
/* Of blocks that nobody takes; each byte may be a field. */
#define ALLOWANCE_MAX (32 << 10)
#define ALLOWANCE_PER_SECOND (4 << 10)
#define HONEST_SHARE 16 /* of those that cross the last GOAWAY, one byte in so many counts */
#define SILENCE_MAX (32u << 10) /* no field that we take is so long */
#define SILENCE_PER_TURN (4u << 10)

void h2_floods_init(struct h2 *h)
{
	uint64_t now = loop_now_ms(h->loop);

	h->budget = (struct h2_budget){CREDIT_MAX, now};
	h->input.allowance = (struct h2_budget){ALLOWANCE_MAX, now};
	h->input.before = PREFACE_BYTES;
}

/* ---- budgets ---- */

static void calm(struct h2 *h)
{
	h->kill = H2_ENHANCE_YOUR_CALM;
	h2_send_later(h);
}

static bool draw(struct h2 *h, struct h2_budget *b, int32_t n, int32_t per_second, int32_t max)
{
	uint64_t now = loop_now_ms(h->loop);
	uint64_t refill = (now - b->at_ms) * (uint64_t)per_second / 1000;

	if (refill > 0) {
		b->at_ms = now;
		b->credit = MIN(b->credit + (int32_t)MIN(refill, (uint64_t)max), max);
	}
	b->credit -= n;
	if (b->credit < 0) {
		calm(h);
	}
	return b->credit >= 0;
}

bool h2_charge(struct h2 *h, int32_t n)
{
	return draw(h, &h->budget, n, CREDIT_PER_SECOND, CREDIT_MAX);
}

void h2_earn(struct h2 *h, int32_t n)
{
	h->budget.credit = MIN(h->budget.credit + n, CREDIT_MAX);
}

/*
 * What makes a reset an attack is that it comes at once. Whoever waits holds one of few streams;
 * patience ends with a service that is slow, and some clients (Go's) send a PING with the reset.
 */
void h2_charge_reset(struct h2 *h, const struct h2_stream *s)
{
	if (s && loop_now_ms(h->loop) - s->born_ms >= RAPID_MS) {
		h2_earn(h, H2_COST_CONTROL);
	} else {
		(void)h2_charge(h, H2_COST_RESET);
	}
}

/* Costs unless so much is owed and it is worth a frame. */
void h2_given_back(struct h2 *h, int32_t id, uint64_t n)
{
	struct h2_owed *owed = &h->owed;
	uint64_t *of = id == 0 ? &owed->connection : &owed->streams;

	n = n == 0 ? CRUMB : n;
	bool is_due = n >= CRUMB && n <= *of;

	*of -= MIN(n, *of);
	/* Of streams that are over hardly anybody gives back the rest. */
	owed->streams = MIN(owed->streams, owed->connection + H2_CONN_WINDOW);
	if (!is_due) {
		(void)h2_charge(h, H2_COST_CONTROL);
	}
}

/* ---- frames, before nghttp2 sees them ---- */

static uint32_t frame_length(const struct h2_input *in)
{
	return (uint32_t)in->head[0] << 16 | (uint32_t)in->head[1] << 8 | in->head[2];
}

static uint8_t frame_type(const struct h2_input *in)
{
	return in->head[3];
}

static int32_t frame_stream(const struct h2_input *in)
{
	return (int32_t)(((uint32_t)in->head[5] & 0x7f) << 24 | (uint32_t)in->head[6] << 16 |
			 (uint32_t)in->head[7] << 8 | in->head[8]);
}

static bool has_fields(const struct h2_input *in)
{
	return frame_type(in) == NGHTTP2_HEADERS || frame_type(in) == NGHTTP2_CONTINUATION;
}

/* A block that is over and was not taken. */
static void settle(struct h2 *h)
{
	struct h2_input *in = &h->input;
	int32_t n = (int32_t)in->untaken / (h->drain_final ? HONEST_SHARE : 1);

	if (n > 0) {
		(void)draw(h, &in->allowance, n, ALLOWANCE_PER_SECOND, ALLOWANCE_MAX);
	}
	in->untaken = 0;
	in->silence = 0;
}

static bool has_stream(struct h2 *h, int32_t id)
{
	return id != 0 && nghttp2_session_get_stream_user_data(h->session, id);
}

static void begin_frame(struct h2 *h)
{
	const struct h2_input *in = &h->input;
	int32_t id = frame_stream(in);

	if (frame_type(in) != NGHTTP2_CONTINUATION) {
		settle(h);
	}
	if (has_stream(h, id)) {
		return;
	}
	if (frame_type(in) == NGHTTP2_HEADERS && (id <= h->last_opened || h->drain_final)) {
		(void)h2_charge(h, H2_COST_CONTROL);
	} else if (frame_type(in) == NGHTTP2_DATA) {
		h->heads++; /* late, or for nobody: uploads that were refused are honest */
		if (frame_length(in) == 0) {
			(void)h2_charge(h, H2_COST_EMPTY);
		}
	}
}

/* Bytes of the frame's head; the payload's follow at once. */
static size_t next_head(struct h2 *h, const char *p, size_t n)
{
	struct h2_input *in = &h->input;
	size_t used = MIN(sizeof(in->head) - in->n_head, n);

	memcpy(in->head + in->n_head, p, used);
	in->n_head += (uint8_t)used;
	if (in->n_head == sizeof(in->head)) {
		in->left = frame_length(in);
		begin_frame(h);
	}
	return used;
}

size_t h2_input_next(struct h2 *h, const char *p, size_t n)
{
	struct h2_input *in = &h->input;
	size_t used = MIN(in->before, n);

	if (used > 0) {
		in->before -= (uint32_t)used;
		return used;
	}
	if (in->n_head < sizeof(in->head)) {
		used = next_head(h, p, n);
		if (in->n_head < sizeof(in->head)) {
			return used;
		}
	}
	uint32_t payload = (uint32_t)MIN(in->left, n - used);

	in->left -= payload;
	if (has_fields(in)) {
		in->untaken += payload;
		in->silence += payload;
	}
	if (in->left == 0) {
		in->n_head = 0;
	}
	return used + payload;
}

void h2_input_read(struct h2 *h)
{
	if (h->input.silence > SILENCE_PER_TURN) {
		h->heads = HTTP_HEADS_PER_TURN; /* enough */
	}
	if (h->input.silence > SILENCE_MAX) {
		calm(h);
	}
}

void h2_input_field(struct h2 *h)
{
	h->input.silence = 0;
}

void h2_input_block(struct h2 *h)
{
	h->input.untaken = 0;
	h->input.silence = 0;
}
