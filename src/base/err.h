/*
 * err - the closed set of failures, and fault, their text for humans
 *
 * Each value implies one reaction of the caller. Values of a library (errno,
 * SQLSTATE, OpenSSL codes) never leave the file that calls that library; it
 * translates them and adds words to the fault. The first fault wins.
 */
#pragma once
#include "base/attr.h"

enum err {
	ERR_OK,
	ERR_AGAIN,	     /* not yet: come back on the next event */
	ERR_CLOSED,	     /* the peer ended the conversation in order */
	ERR_IO,		     /* the conversation broke */
	ERR_TIMEOUT,	     /* a deadline passed */
	ERR_CANCELED,	     /* we no longer want the answer */
	ERR_PROTO,	     /* the peer broke the protocol */
	ERR_LIMIT,	     /* a configured limit was exceeded */
	ERR_INVALID,	     /* the input or configuration is wrong */
	ERR_UNAUTHENTICATED, /* nobody, or not who they claim to be */
	ERR_DENIED,	     /* known, but may not */
	ERR_NOT_FOUND,
	ERR_CONFLICT,	 /* exists already, or a concurrent change won */
	ERR_UNAVAILABLE, /* a dependency is down or a queue is full */
	ERR_EXHAUSTED,	 /* this machine is out of descriptors, ports or memory */
	ERR_INTERNAL,	 /* a bug or a broken machine */
};

struct fault {
	enum err code;
	char text[256];
};

/* Records the first failure and returns `code`; `f` may be NULL. */
enum err fault_set(struct fault *f, enum err code, const char *fmt, ...) PRINTF(3, 4);
/* "not found", for logs. */
const char *err_name(enum err e);

/* Returns from the calling function on failure. */
#define TRY(expr)                                                                                  \
	do {                                                                                       \
		enum err try_err_ = (expr);                                                        \
		if (UNLIKELY(try_err_ != ERR_OK)) {                                                \
			return try_err_;                                                           \
		}                                                                                  \
	} while (0)
