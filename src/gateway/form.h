/*
 * form - bodies of HTML forms as JSON trees
 *
 * What curl -d and browsers send to the Admin API, in the notation of Kong:
 *
 *   a=v            member
 *   a.b.c=v        nested objects
 *   a[]=v, a=v&a=w array, in the order given
 *   a[2]=v         array, by position from 1; gaps close
 *   a[k]=v, a[x.y]=v   object; what stands in brackets is taken as it is
 *
 * These may be combined: "sources[1].ip=::1". All leaves are strings: what they mean is for
 * schema_process (`coerce`). A name that is a value and an object at once is refused.
 *
 * Limits   FORM_ARGS_MAX arguments, FORM_DEPTH_MAX levels.
 * Threads  pure functions.
 */
#pragma once
#include "base/json.h"

#define FORM_ARGS_MAX 1000
#define FORM_DEPTH_MAX 16

/* By media type; parameters and case do not matter. */
bool form_is_type(struct str content_type);
/*
 * `content_type` is one of form_is_type. ERR_LIMIT: "Too many arguments"; ERR_INVALID. Texts
 * may point into `body`.
 */
enum err form_read(struct arena *a, struct str content_type, struct str body, struct json **out,
		   struct fault *f) MUST_USE;
