/*
 * about - what a REST role tells about itself: a page for people, OpenAPI for programs
 *
 * Threads  workers; the task's.
 */
#pragma once
#include "http/rest.h"

struct about {
	const struct rest_table *table;
	const char *title;
	const char *openapi_path;
	struct str key_header; /* p NULL = "Api-Key" */
};

/* An HTML page that lists the endpoints. */
enum err about_page(struct task *t, const struct about *about);
enum err about_openapi(struct task *t, const struct about *about);
