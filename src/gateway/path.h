/*
 * path - the one canonical path of a request, and the path for the upstream
 *
 * What a client sent is made canonical once; routing, plugins and forwarding all see
 * that one text, so that none of them can be told another story than the others:
 *
 *   decoded    every escape but those of the reserved characters !*'();:@&=+$,/?%#[]
 *              which stay escapes, in upper case ("%2f" becomes "%2F", no separator)
 *   merged     "//" is "/"
 *   resolved   "." and ".." segments, in either spelling; ".." above the root is dropped
 *
 * Refused (false, for a 400), because some server behind might read them differently:
 * NUL and other controls, raw or escaped; broken escapes; a raw blank, '?' or '#'; overlong
 * UTF-8; and dot segments that only a more generous decoder sees, that is "..;", "..\",
 * "..%2F", "..%20" and the same escaped again ("%252e%252e").
 *
 * Threads  pure functions.
 */
#pragma once
#include "base/arena.h"
#include "base/str.h"

/*
 * `raw` without query. The result is `raw` itself, not a copy, when nothing changes; ""
 * gives "/". False = refuse; also a path that does not begin with '/', as "*".
 */
bool path_normalize(struct arena *a, struct str raw, struct str *out) MUST_USE;
/*
 * Whether a path that is sent as it stands leads nowhere else than it seems to: path_normalize
 * takes it and has no dot segments to resolve in it.
 */
bool path_is_straight(struct arena *a, struct str path) MUST_USE;
/*
 * A path in which blanks, quotes, bytes outside ASCII and whatever else RFC 3986 has no
 * place for are escapes; `path` itself when there are none. '%' is left alone: in a
 * canonical path it always begins an escape.
 */
struct str path_escape(struct arena *a, struct str path);
/*
 * Whether the first `matched` bytes may be cut off: not when what hides dots begins there in
 * the middle of a segment, as in "/a%252e%252e". False = refuse, as of path_normalize.
 */
bool path_may_strip(struct arena *a, struct str path, size_t matched) MUST_USE;
/*
 * The path to ask of the upstream, before path_escape: `base` (service.path, "/" when it
 * has none) joined with `path`, or, with `strip`, with what is left after its first
 * `matched` bytes. A rest that would begin with a dot segment loses it. A slice of the
 * input when that will do. There is no other way to join: a route's `path_handling` counts
 * in the router flavour `traditional` only, which is not ours.
 */
struct str path_upstream(struct arena *a, struct str base, struct str path, size_t matched,
			 bool strip);
