/*
 * h2_lib - what the files of HTTP/2 share in nghttp2's own terms
 */
#pragma once
#include <nghttp2/nghttp2.h>

/* A header list to send, in one block of memory. */
struct h2_nvs {
	struct blocks *from;
	size_t n, cap;
	char *at, *end; /* room for text, behind the array */
	nghttp2_nv v[];
};

/* Callbacks of nghttp2: how much of the body may be taken, and taking it. */
ssize_t h2_read_output(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
		       uint32_t *flags, nghttp2_data_source *source, void *user);
int h2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd,
		 size_t length, nghttp2_data_source *source, void *user);
