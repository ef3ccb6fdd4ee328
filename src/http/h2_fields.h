/*
 * h2_fields - header blocks to and from messages
 *
 * Threads  pure functions.
 */
#pragma once
#include "base/blocks.h"
#include "http/h1.h"
#include "http/message.h"

struct h2_nvs;

/* A header block. Strings are in the arena of the message. */
struct h2_fields {
	struct str method, scheme, authority, path, status, protocol;
	struct http_headers list; /* without pseudo fields, cookies joined */
	size_t bytes;		  /* as lines of HTTP/1 */
	unsigned count;
	unsigned cookie;   /* index + 1 of the cookie line */
	char *cookie_text; /* of the line once it was joined */
	size_t cookie_cap;
	bool too_big;
};

/* False: beyond all measure, the session must end. */
bool h2_fields_add(struct h2_fields *f, struct arena *a, const struct h1_limits *limits,
		   struct str name, struct str value);
/* ERR_OK, or the status of the refusal. `end`: no body follows. */
enum err h2_parse_request(struct arena *a, const struct h2_fields *f, bool end,
			  struct http_request *out, int *out_status) MUST_USE;
enum err h2_parse_response(const struct h2_fields *f, enum http_method method, bool end,
			   struct http_response *out) MUST_USE;
/* Trailers that may be handed on: no names that frame or route. */
bool h2_are_trailers(const struct h2_fields *f);

/* A list to send, in a block of `from`, with room for so many fields and bytes of their text. */
struct h2_nvs *h2_nvs_new(struct blocks *from, size_t fields, size_t text_bytes);
/* Of a list: what h2_nvs_add_all will need. */
size_t h2_text_bytes(const struct http_header *v, size_t n);
void h2_nvs_free(struct h2_nvs **nvs);
/* With room for a Date and a Content-Length. */
struct h2_nvs *h2_nvs_of_response(struct blocks *from, int status, const struct http_header *v,
				  size_t n);
/* NULL when there are none. */
struct h2_nvs *h2_nvs_of_trailers(struct blocks *from, const struct http_header *v, size_t n);
/* In lower case. What h1_write_headers would not write is left out here, too. */
void h2_nvs_add(struct h2_nvs *nvs, struct str name, struct str value);
/* As SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113 6.5.2). */
size_t h2_nvs_list_bytes(const struct h2_nvs *nvs);
/* ":status" and the like, before all others. */
void h2_nvs_add_pseudo(struct h2_nvs *nvs, struct str name, struct str value);
/* All but those that belong to a HTTP/1 connection (RFC 9113 8.2.2). */
void h2_nvs_add_all(struct h2_nvs *nvs, const struct http_header *v, size_t n);
void h2_nvs_add_u64(struct h2_nvs *nvs, struct str name, uint64_t value);
