/*
 * A HTTP/2 session over a byte stream.
 *
 * Bytes in go through nghttp2 in slices, so that a turn does a bounded amount of
 * work; bytes out are asked for once, at the end of the turn, as long as the
 * connection takes them. nghttp2 keeps the states of streams (RFC 9113 5.1) and both
 * HPACK tables, answers SETTINGS and PING and refuses what breaks the protocol.
 * What floods cost: h2_floods.
 */
#include "base/mem.h"
#include "http/h2_fields.h"
#include "http/h2_int.h"
#include "http/h2_lib.h"

#define SLICE ((size_t)16 << 10)
#define CONTINUATIONS_MAX 8
#define FIRST_UNKNOWN_TYPE 10 /* behind CONTINUATION */
#define HPACK_TABLE_BYTES 4096
#define FICKLE_MISSES 2
#define SEND_BLOCK_MAX ((size_t)256 << 10)
#define NO_RATE_LIMIT ((uint64_t)1 << 32)

/* ---- what nghttp2 tells ---- */

static int alive(const struct h2 *h)
{
	return h->dead || h->kill ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static struct h2_stream *stream_of(struct h2 *h, int32_t id)
{
	return id == 0 ? NULL : nghttp2_session_get_stream_user_data(h->session, id);
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
	struct h2 *h = user;

	(void)session;
	switch (hd->type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:
	case NGHTTP2_DATA:
		break; /* h2_floods has seen them */
	case NGHTTP2_RST_STREAM:
		if (h->is_server) {
			h2_charge_reset(h, stream_of(h, hd->stream_id));
		}
		break;
	case NGHTTP2_WINDOW_UPDATE:
		if (h->is_server && hd->stream_id != 0 && !stream_of(h, hd->stream_id)) {
			h2_given_back(h, hd->stream_id, 0);
		}
		break;
	case NGHTTP2_SETTINGS:
		(void)h2_charge(h, H2_COST_SETTINGS);
		break;
	default:
		(void)h2_charge(h, H2_COST_CONTROL);
		break;
	}
	return alive(h);
}

/* Of a type that is not ours to know. */
static int on_unknown(nghttp2_session *session, void **payload, const nghttp2_frame_hd *hd,
		      void *user)
{
	(void)session;
	(void)payload;
	(void)hd;
	(void)user;
	return NGHTTP2_ERR_CANCEL; /* ignored */
}

static void begin_fields(struct h2_stream *s)
{
	if (s->arena) {
		s->fields = ARENA_NEW(s->arena, struct h2_fields);
	}
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	struct h2_stream *s = stream_of(h, frame->hd.stream_id);

	if (!s && h->is_server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		nghttp2_extpri pri = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};

		s = h2_stream_new(h, frame->hd.stream_id);
		(void)nghttp2_session_set_stream_user_data(session, s->id, s);
		/* Streams share the connection unless the client asks for another order. */
		(void)nghttp2_session_change_extpri_stream_priority(session, s->id, &pri, 0);
		h->heads++;
		h->last_opened = s->id;
		h->events->on_open(s);
	}
	if (s) {
		begin_fields(s);
	}
	return alive(h);
}

/* The stream is reset. */
static int refuse_fields(struct h2_stream *s)
{
	if (s) {
		s->refused = true;
	}
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* NOLINTNEXTLINE(readability-function-size): parameters are nghttp2's */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
	struct h2 *h = user;
	struct h2_stream *s = stream_of(h, frame->hd.stream_id);

	(void)session;
	(void)flags;
	if (!s || !s->arena || !s->fields) {
		return alive(h);
	}
	h2_input_field(h);
	if (!h2_fields_add(s->fields, s->arena, &h->limits, str_of((const char *)name, name_n),
			   str_of((const char *)value, value_n))) {
		if (!h->is_server) {
			return refuse_fields(s);
		}
		h->kill = H2_ENHANCE_YOUR_CALM;
	}
	return alive(h);
}

/* Not ignored, as nghttp2 would: the stream is reset. */
/* NOLINTNEXTLINE(readability-function-size): parameters are nghttp2's */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
			     const uint8_t *name, size_t name_n, const uint8_t *value,
			     size_t value_n, uint8_t flags, void *user)
{
	(void)session;
	(void)name;
	(void)name_n;
	(void)value;
	(void)value_n;
	(void)flags;
	return refuse_fields(stream_of(user, frame->hd.stream_id));
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
			 size_t n, void *user)
{
	struct h2 *h = user;
	struct h2_stream *s = stream_of(h, id);

	(void)flags;
	if (s) {
		h2_stream_input(s, str_of((const char *)p, n));
	} else {
		(void)nghttp2_session_consume(session, id, n);
	}
	return alive(h);
}

/* False: they are no trailers, and the stream does not end in order. */
static bool headers_complete(struct h2_stream *s, bool end)
{
	struct h2 *h = s->h2;

	if (!s->arena || !s->fields) {
		return true;
	}
	if (!s->head_done) {
		h->events->on_head(s, end);
	} else if (h2_are_trailers(s->fields)) {
		h->events->on_trailers(s, &s->fields->list);
	} else {
		h2_reset(s, H2_PROTOCOL_ERROR);
		return false;
	}
	return true;
}

static void note_window(struct h2 *h)
{
	int32_t window = nghttp2_session_get_remote_window_size(h->session);

	h->window_max = MAX(h->window_max, window);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	struct h2_stream *s = stream_of(h, frame->hd.stream_id);
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	(void)session;
	if (frame->hd.type == NGHTTP2_HEADERS && s) {
		if (s->arena && s->fields) {
			h2_input_block(h);
		}
		end = headers_complete(s, end) && end;
	} else if (frame->hd.type == NGHTTP2_DATA) {
		if (frame->hd.length > frame->data.padlen) {
			h2_earn(h, 1);
		} else if (!end) {
			(void)h2_charge(h, H2_COST_EMPTY);
		}
	} else if (frame->hd.type == NGHTTP2_WINDOW_UPDATE) {
		if (h->is_server && (s || frame->hd.stream_id == 0)) {
			h2_given_back(h, frame->hd.stream_id,
				      (uint64_t)frame->window_update.window_size_increment);
		}
		note_window(h);
	} else if (frame->hd.type == NGHTTP2_GOAWAY) {
		h->goaway_last = frame->goaway.last_stream_id;
		h->goaway_code = frame->goaway.error_code;
	} else if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
		h->got_settings = true;
	}
	if (s && end && !s->closed &&
	    (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
		h2_stream_input_end(s);
	}
	if (h->events->on_control && !h->dead &&
	    (frame->hd.type == NGHTTP2_GOAWAY || frame->hd.type == NGHTTP2_SETTINGS ||
	     (frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK))) {
		h->events->on_control(h, frame->hd.type == NGHTTP2_PING);
	}
	return alive(h);
}

/* A reset that a client made us send is charged like its own. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	struct h2_stream *s = stream_of(h, frame->hd.stream_id);

	(void)session;
	if (h->is_server && frame->hd.type == NGHTTP2_RST_STREAM &&
	    frame->rst_stream.error_code != H2_NO_ERROR) {
		h2_charge_reset(h, s);
	}
	if (frame->hd.type == NGHTTP2_HEADERS && s && s->head_out && frame->headers.nvlen > 0 &&
	    frame->headers.nva[0].name == s->head_out->v[0].name) {
		h2_nvs_free(&s->head_out);
	}
	if (s && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
		if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
			h2_stream_sent_end(s);
		} else {
			h2_stream_sent(s);
		}
	}
	return h->dead ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* Our header list was too long to be sent. */
static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error,
			     void *user)
{
	struct h2 *h = user;
	struct h2_stream *s = stream_of(h, frame->hd.stream_id);

	(void)session;
	(void)error;
	if (frame->hd.type == NGHTTP2_HEADERS && s && h->is_server) {
		h2_reset(s, H2_INTERNAL_ERROR);
	}
	return 0;
}

static int on_stream_closed(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct h2 *h = user;
	struct h2_stream *s = stream_of(h, id);

	(void)session;
	if (!s || s->closed) {
		return 0;
	}
	s->closed = true;
	h->events->on_closed(s, code);
	if (h->dead) {
		return NGHTTP2_ERR_CALLBACK_FAILURE; /* the owner has ended it, and all streams */
	}
	h2_stream_free(s);
	if (h->n_streams == 0) {
		h->events->on_quiet(h);
	}
	return h->dead ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* ---- life ---- */

static void *on_malloc(size_t n, void *user)
{
	return blocks_get(user, n);
}

static void on_free(void *p, void *user)
{
	blocks_put(user, p);
}

static void *on_calloc(size_t n, size_t size, void *user)
{
	return memset(blocks_get(user, n * size), 0, n * size);
}

/* Seldom, and what nghttp2 makes larger stays long. */
static void *on_realloc(void *p, size_t n, void *user)
{
	(void)user;
	return mem_resize(p, n);
}

static nghttp2_session_callbacks *callbacks_new(void)
{
	nghttp2_session_callbacks *cb = NULL;

	ASSERT(nghttp2_session_callbacks_new(&cb) == 0);
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_closed);
	nghttp2_session_callbacks_set_send_data_callback(cb, h2_send_data);
	nghttp2_session_callbacks_set_unpack_extension_callback(cb, on_unknown);
	return cb;
}

static nghttp2_option *option_new(void)
{
	nghttp2_option *o = NULL;

	ASSERT(nghttp2_option_new(&o) == 0);
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_max_continuations(o, CONTINUATIONS_MAX);
	nghttp2_option_set_max_deflate_dynamic_table_size(o, HPACK_TABLE_BYTES);
	nghttp2_option_set_max_send_header_block_length(o, SEND_BLOCK_MAX);
	/* Its own limit does not ask how soon a reset comes, and breaks what else is under way. */
	nghttp2_option_set_stream_reset_rate_limit(o, NO_RATE_LIMIT, NO_RATE_LIMIT);
	/* With on_unknown: on_begin_frame hears of frames that are ignored. They cost, too. */
	for (unsigned type = FIRST_UNKNOWN_TYPE; type <= UINT8_MAX; type++) {
		nghttp2_option_set_user_recv_extension_type(o, (uint8_t)type);
	}
	return o;
}

static nghttp2_session *session_new(struct h2 *h)
{
	nghttp2_mem mem = {loop_blocks(h->loop), on_malloc, on_free, on_calloc, on_realloc};
	nghttp2_session_callbacks *cb = callbacks_new();
	nghttp2_option *option = option_new();
	nghttp2_session *session = NULL;

	ASSERT((h->is_server ? nghttp2_session_server_new3(&session, cb, h, option, &mem)
			     : nghttp2_session_client_new3(&session, cb, h, option, &mem)) == 0);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	return session;
}

static void submit_settings(struct h2 *h, uint32_t streams_max)
{
	const nghttp2_settings_entry v[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams_max},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)h->limits.head_bytes},
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
	};
	size_t n = h->is_server ? ARRAY_LEN(v) - 1 : ARRAY_LEN(v);

	ASSERT(nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, v, n) == 0);
	ASSERT(nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
						     H2_CONN_WINDOW) == 0);
	h2_send_later(h);
}

struct h2 *h2_new(const struct h2_options *o)
{
	struct h2 *h = MEM_NEW(struct h2);

	h->events = o->events;
	h->owner = o->owner;
	h->loop = o->loop;
	h->stream = o->stream;
	h->limits = o->limits;
	h->write_timeout_ms = o->write_timeout_ms;
	h->is_server = o->is_server;
	h->goaway_last = -1;
	h2_floods_init(h);
	list_init(&h->streams);
	h->session = session_new(h);
	submit_settings(h, o->streams_max);
	note_window(h);
	return h;
}

static void on_buried(struct grave *g)
{
	struct h2 *h = container_of(g, struct h2, grave);

	nghttp2_session_del(h->session);
	mem_free(h);
}

void h2_free(struct h2 **hp)
{
	struct h2 *h = *hp;
	struct list_node *n;

	if (!h) {
		return;
	}
	*hp = NULL;
	h->dead = true;
	h->stream = NULL;
	later_cancel(&h->pump);
	later_cancel(&h->again);
	while ((n = list_first(&h->streams))) {
		struct h2_stream *s = container_of(n, struct h2_stream, node);

		s->closed = true;
		(void)nghttp2_session_set_stream_user_data(h->session, s->id, NULL);
		h->events->on_closed(s, H2_CANCEL);
		h2_stream_free(s);
	}
	loop_bury(h->loop, &h->grave, on_buried);
}

/* ---- bytes ---- */

static void on_again(struct later *w)
{
	struct h2 *h = container_of(w, struct h2, again);

	stream_resume_read(h->stream);
}

void h2_read_later(struct h2 *h)
{
	loop_later(h->loop, &h->again, on_again);
}

static ssize_t read_slice(struct h2 *h, const char *p, size_t n)
{
	ssize_t rv = 0;

	while (n > 0 && rv >= 0 && !h->dead && !h->kill) {
		size_t part = h->is_server ? h2_input_next(h, p, n) : n;

		rv = h->kill ? 0 : nghttp2_session_mem_recv(h->session, (const uint8_t *)p, part);
		if (h->is_server && !h->dead) {
			h2_input_read(h);
		}
		p += part;
		n -= part;
	}
	return rv;
}

size_t h2_on_data(struct h2 *h, char *p, size_t n)
{
	size_t used = 0;

	while (used < n && !h->dead && !h->kill) {
		size_t part = MIN(n - used, SLICE);
		ssize_t rv = read_slice(h, p + used, part);

		if (rv < 0) {
			if (!h->dead && !h->kill) {
				h->kill = rv == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS ||
							  rv == NGHTTP2_ERR_FLOODED
						  ? H2_ENHANCE_YOUR_CALM
						  : H2_PROTOCOL_ERROR;
			}
			break;
		}
		used += part;
		if (h->heads >= HTTP_HEADS_PER_TURN && used < n && !h->dead) {
			stream_pause_read(h->stream);
			loop_next_turn(h->loop, &h->again, on_again);
			h2_send_later(h);
			return used;
		}
	}
	if (!h->dead) {
		h2_send_later(h);
	}
	return n;
}

/* Within nghttp2, streams may end and owners may close the whole. */
static void send_some(struct h2 *h)
{
	const uint8_t *p;

	while (!h->dead && stream_pending(h->stream) < STREAM_HIGH_WATER) {
		ssize_t n = nghttp2_session_mem_send(h->session, &p);

		if (n <= 0) {
			if (n < 0 && !h->dead) {
				h->events->on_over(h);
			}
			break;
		}
		if (!h->dead) {
			buf_append(stream_out(h->stream), p, (size_t)n);
		}
	}
}

static void on_pump(struct later *w)
{
	struct h2 *h = container_of(w, struct h2, pump);
	bool last = h->kill != 0; /* not one that this very sending brings about */

	h->heads = 0;
	if (last) {
		(void)nghttp2_session_terminate_session(h->session, h->kill);
	}
	send_some(h);
	if (h->dead) {
		return;
	}
	stream_flush(h->stream);
	if (last ||
	    (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session))) {
		h->events->on_over(h);
	}
}

void h2_send_later(struct h2 *h)
{
	if (!h->dead) {
		loop_later(h->loop, &h->pump, on_pump);
	}
}

void h2_on_drained(struct h2 *h)
{
	h2_send_later(h);
}

/* ---- asked for by owners ---- */

void h2_end(struct h2 *h, enum h2_code code)
{
	(void)nghttp2_session_terminate_session(h->session, code);
	h2_send_later(h);
}

void h2_goaway_notice(struct h2 *h)
{
	(void)nghttp2_submit_shutdown_notice(h->session);
	h2_send_later(h);
}

void h2_goaway(struct h2 *h)
{
	(void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
				    nghttp2_session_get_last_proc_stream_id(h->session),
				    H2_NO_ERROR, NULL, 0);
	h2_send_later(h);
}

void h2_ping(struct h2 *h)
{
	(void)nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
	h2_send_later(h);
}

bool h2_may_open(const struct h2 *h, uint32_t at_first)
{
	return !h->dead && !h->kill && h->goaway_last < 0 &&
	       nghttp2_session_check_request_allowed(h->session) &&
	       h->n_streams < (h->got_settings ? h2_streams_max(h) : at_first);
}

uint32_t h2_streams_max(const struct h2 *h)
{
	return nghttp2_session_get_remote_settings(h->session,
						   NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

uint32_t h2_head_max(const struct h2 *h)
{
	return nghttp2_session_get_remote_settings(h->session,
						   NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE);
}

/*
 * The window of a connection is shared by the bodies on it, and a peer that does not read one of
 * them may give nothing of it back. What is still open suffices for others to go on if it is more
 * than half, for peers give back no later than when they have read half.
 */
#define BODY_ROOM_MAX (1 << 20)

bool h2_has_body_room(const struct h2 *h)
{
	return nghttp2_session_get_remote_window_size(h->session) >
	       MIN(h->window_max / 2, BODY_ROOM_MAX);
}

/* Of the connection's window: not given back yet. */
static int64_t taken_by(const struct h2_stream *s)
{
	nghttp2_session *session = s->h2->session;
	int64_t whole =
		nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);

	return whole - nghttp2_session_get_stream_remote_window_size(session, s->id);
}

bool h2_is_crowded_out(const struct h2_stream *s)
{
	const struct h2 *h = s->h2;
	int64_t half = h->window_max / 2, shared = 0;

	if (nghttp2_session_get_remote_window_size(h->session) > 0 || taken_by(s) > half) {
		return false;
	}
	LIST_EACH (&h->streams, it) {
		int64_t n = taken_by(container_of(it, struct h2_stream, node));

		shared += n > half ? 0 : n;
	}
	return shared < half; /* the rest has one stream, or had */
}

/* ---- heads ---- */

/* Eight bytes a step, the last ones overlapping. Two fields with one mark compress less well. */
static uint32_t mark_of(const uint8_t *p, size_t n)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t h = n, part;
	bool is_long = n >= sizeof(part);

	for (; n > sizeof(part); n -= sizeof(part), p += sizeof(part)) {
		memcpy(&part, p, sizeof(part));
		h = (h ^ part) * odd;
		h ^= h >> 32;
	}
	if (is_long) {
		memcpy(&part, p + n - sizeof(part), sizeof(part));
		return (uint32_t)(((h ^ part) * odd) >> 32);
	}
	for (size_t i = 0; i < n; i++) {
		h = (h ^ p[i]) * odd;
	}
	return (uint32_t)(h >> 32);
}

static bool is_secret(const nghttp2_nv *f)
{
	struct str name = str_of((const char *)f->name, f->namelen);

	return str_eq(name, STR("cookie")) || str_eq(name, STR("authorization")) ||
	       str_eq(name, STR("proxy-authorization"));
}

/* Whether it changes from message to message. */
static bool is_fickle(struct h2_said *said, uint32_t mark)
{
	if (said->marks[0] == mark || said->marks[1] == mark) {
		said->misses = 0;
	} else {
		said->misses += said->marks[0] != 0;
	}
	if (said->marks[0] != mark) {
		said->marks[1] = said->marks[0];
		said->marks[0] = mark;
	}
	return said->misses >= FICKLE_MISSES;
}

/*
 * What differs from message to message (identifiers, times, counters) stays out of the table of
 * HPACK: it would push out the others, and cost nghttp2 a search through its like each time. So do
 * secrets, for several users may share a connection to a service (RFC 7541 7.1). nghttp2 has one
 * word for both, "never indexed".
 */
static void choose_indexing(struct h2 *h, struct h2_nvs *head)
{
	for (size_t i = 0; i < head->n; i++) {
		nghttp2_nv *f = &head->v[i];
		struct h2_said *said;
		bool fickle;

		if (f->name[0] == ':') {
			continue;
		}
		said = &h->said[mark_of(f->name, f->namelen) % H2_SAID];
		fickle = is_fickle(said, mark_of(f->name, f->namelen + f->valuelen));
		f->flags = fickle || is_secret(f) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
	}
}

struct h2_stream *h2_open(struct h2 *h, struct h2_nvs *head, bool end)
{
	struct h2_stream *s = h2_stream_new(h, 0);
	nghttp2_data_provider body = {.source.ptr = s, .read_callback = h2_read_output};
	int32_t id;

	choose_indexing(h, head);
	id = nghttp2_submit_request(h->session, NULL, head->v, head->n, end ? NULL : &body, s);
	if (id < 0) {
		h2_stream_free(s);
		return NULL;
	}
	s->id = id;
	s->finished = end;
	h2_send_later(h);
	return s;
}

bool h2_submit_head(struct h2_stream *s, struct h2_nvs *head, bool end)
{
	struct h2 *h = s->h2;
	nghttp2_data_provider body = {.source.ptr = s, .read_callback = h2_read_output};

	ASSERT(!s->head_out);
	s->head_out = head;
	if (s->closed || h->dead) {
		return false;
	}
	choose_indexing(h, head);
	for (size_t i = 0; i < head->n; i++) {
		head->v[i].flags |= NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
	}
	h2_send_later(h);
	return nghttp2_submit_response(h->session, s->id, head->v, head->n, end ? NULL : &body) ==
	       0;
}

void h2_submit_informational(struct h2_stream *s, int status)
{
	struct h2_nvs *head = h2_nvs_of_response(loop_blocks(s->h2->loop), status, NULL, 0);

	(void)nghttp2_submit_headers(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NULL, head->v,
				     head->n, NULL);
	h2_nvs_free(&head);
	h2_send_later(s->h2);
}

void h2_reset(struct h2_stream *s, enum h2_code code)
{
	if (!s->closed && !s->h2->dead) {
		(void)nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, code);
		h2_send_later(s->h2);
	}
}
