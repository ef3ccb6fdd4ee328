/*
 * h1_chunked - the chunked transfer coding (RFC 9112 7.1), decoding
 *
 *   SIZE_FIRST -> SIZE -+-> EXT -+-> SIZE_LF -+-> DATA -> DATA_CR -> DATA_LF -> SIZE_FIRST
 *                       +--------+            +-> LINE (size 0)
 *   LINE -+-> NAME -> VALUE -> VALUE_LF -> LINE
 *         +-> END_LF -> done
 */
#include "http/chars.h"
#include "http/h1.h"

enum state {
	SIZE_FIRST, /* a hex digit must come */
	SIZE,
	EXT,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	LINE, /* start of a trailer line or of the final empty one */
	NAME,
	VALUE,
	VALUE_LF,
	END_LF,
	BROKEN, /* what came before is with the caller */
};

#define SIZE_DIGITS_MAX 15 /* fewer bits than any signed 64-bit reader has */
#define EXT_BYTES_MAX 256
#define EXT_TOTAL_BYTES_MAX 16384

static enum err on_size(struct h1_chunked *d, char c)
{
	if (char_is(c, CHAR_HEX)) {
		if (d->line_n == SIZE_DIGITS_MAX) {
			return ERR_PROTO;
		}
		d->line_n++;
		d->left = d->left << 4 | char_hex(c);
		d->state = SIZE;
		return ERR_OK;
	}
	if (d->state == SIZE_FIRST || (c != '\r' && c != ';')) {
		return ERR_PROTO;
	}
	d->line_n = 0;
	d->state = c == '\r' ? SIZE_LF : EXT;
	return ERR_OK;
}

static enum err on_ext(struct h1_chunked *d, char c)
{
	if (c == '\r') {
		d->state = SIZE_LF;
		return ERR_OK;
	}
	if (!char_is(c, CHAR_FIELD)) {
		return ERR_PROTO;
	}
	return ++d->line_n > EXT_BYTES_MAX || ++d->ext_n > EXT_TOTAL_BYTES_MAX ? ERR_PROTO : ERR_OK;
}

static enum err on_lf(struct h1_chunked *d, char c, enum state next)
{
	d->line_n = 0;
	d->name_n = 0;
	d->state = (int)next;
	return c == '\n' ? ERR_OK : ERR_PROTO;
}

/* Keeps the first bytes of the name: longer ones are not in the list. */
static enum err on_name(struct h1_chunked *d, char c)
{
	if (c == ':') {
		struct str name = str_of(d->name, MIN(d->name_n, sizeof(d->name)));

		d->state = VALUE;
		return d->name_n == 0 || http_is_no_trailer(name) ? ERR_PROTO : ERR_OK;
	}
	if (d->name_n < sizeof(d->name)) {
		d->name[d->name_n++] = c;
	}
	return char_is(c, CHAR_TOKEN) ? ERR_OK : ERR_PROTO;
}

static void keep_byte(struct h1_chunked *d, char c)
{
	if (d->keep) {
		if (!d->text) {
			d->text = arena_alloc(d->keep, H1_TRAILER_BYTES_MAX);
		}
		d->text[d->trailer_n - 1] = c;
	}
}

/* Its last byte was number `trailer_n`. */
static void keep_line(struct h1_chunked *d)
{
	struct str line, name;

	if (d->keep) {
		line = str_of(d->text + d->line_at, d->trailer_n - d->line_at);
		name = str_slice(line, 0, (size_t)str_index(line, ':'));
		http_header_add(d->keep, &d->trailers, name, str_trim(str_skip(line, name.n + 1)));
	}
}

static enum err on_trailer_start(struct h1_chunked *d, char c)
{
	if (c == '\r') {
		d->state = END_LF;
		return ERR_OK;
	}
	if (d->trailers.n == H1_TRAILERS_MAX) {
		return ERR_PROTO;
	}
	d->state = NAME;
	d->line_at = d->trailer_n;
	return ERR_OK;
}

static enum err on_trailer(struct h1_chunked *d, char c)
{
	if (d->trailer_n == H1_TRAILER_BYTES_MAX) {
		return ERR_PROTO;
	}
	if (d->state == LINE) {
		TRY(on_trailer_start(d, c));
	}
	if (d->state == END_LF) {
		return ERR_OK;
	}
	if (d->state == VALUE && c == '\r') {
		keep_line(d);
		d->state = VALUE_LF;
		return ERR_OK;
	}
	d->trailer_n++;
	keep_byte(d, c);
	if (d->state == NAME) {
		return on_name(d, c);
	}
	return char_is(c, CHAR_FIELD) ? ERR_OK : ERR_PROTO;
}

/* Every byte that is not body. */
static enum err on_byte(struct h1_chunked *d, char c)
{
	switch ((enum state)d->state) {
	case SIZE_FIRST:
	case SIZE:
		return on_size(d, c);
	case EXT:
		return on_ext(d, c);
	case SIZE_LF:
		return on_lf(d, c, d->left > 0 ? DATA : LINE);
	case DATA_CR:
		d->state = DATA_LF;
		return c == '\r' ? ERR_OK : ERR_PROTO;
	case DATA_LF:
		return on_lf(d, c, SIZE_FIRST);
	case LINE:
	case NAME:
	case VALUE:
		return on_trailer(d, c);
	case VALUE_LF:
		return on_lf(d, c, LINE);
	case END_LF:
		d->done = c == '\n';
		return d->done ? ERR_OK : ERR_PROTO;
	case DATA:
	case BROKEN:
		break;
	}
	return ERR_PROTO;
}

/* `piece` is of the same input: the gap between them was the line of a size. */
static void add_piece(struct h1_chunked *d, struct str piece, struct str *run)
{
	if (run->n == 0) {
		run->p = piece.p;
	} else {
		memmove((char *)(uintptr_t)run->p + run->n, piece.p, piece.n);
	}
	run->n += piece.n;
	d->left -= piece.n;
	if (d->left == 0) {
		d->state = DATA_CR;
	}
}

enum err h1_chunked_next(struct h1_chunked *d, struct str in, size_t *out_used,
			 struct str *out_data)
{
	struct str run = STR_NULL;
	size_t i = 0;

	while (i < in.n && !d->done) {
		if (d->state == DATA) {
			struct str piece = str_of(in.p + i, (size_t)MIN(in.n - i, d->left));

			if (run.n > 0 && piece.n >= H1_PIECE_MOVED_BELOW) {
				break;
			}
			add_piece(d, piece, &run);
			i += piece.n;
		} else if (on_byte(d, in.p[i]) == ERR_OK) {
			i++;
		} else {
			d->state = BROKEN;
			break;
		}
	}
	if (d->state == BROKEN && run.n == 0) {
		return ERR_PROTO;
	}
	*out_used = i;
	*out_data = run;
	return ERR_OK;
}
