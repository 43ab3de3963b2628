/* origin.h: which web pages may connect (RFC 6455 4.2.2, 10.2; RFC 6454).
 *
 * An origin is scheme://host[:port]. Scheme and host are compared without
 * case, default ports (http, ws 80; https, wss 443) are filled in; a colon
 * without a port does not count, nor does a dot at the end of the host. A
 * pattern is an exact origin, or one whose host starts with "*.": any number
 * of labels, at least one, in front of the rest: "*.a.com" behind https is
 * https://x.a.com and https://x.y.a.com, never https://a.com. "null" and
 * "file://", of pages without a host, are patterns for themselves. */
#ifndef EVWS_ORIGIN_H
#define EVWS_ORIGIN_H

#include <stdbool.h>

#include "base/slice.h"

/* Can this be matched at all? On false *why says what is wrong with it
 * ("no scheme", "a path after the host", ...). */
bool ws_origin_is_pattern(struct ws_slice pattern, const char **why);

/* Does the origin match the pattern? Whatever is no serialised origin (user
 * info, a path, spaces, a bad port) matches nothing. */
bool ws_origin_matches(struct ws_slice origin, struct ws_slice pattern);

/* Is it the origin of the page that was served by this Host? Compares host
 * and port; secure tells the default port of a Host without one. The scheme
 * has to be http or https. */
bool ws_origin_is_same(struct ws_slice origin, struct ws_slice host,
                       bool secure);

/* Is this a well-formed Host field (RFC 9110 7.2: uri-host [":" port])? A
 * registered name of letters, digits, "-", "_", "." with no empty label (one
 * dot may end it), an IPv4 address, or a bracketed IPv6 address; a port from 0
 * to 65535 in 1 to 5 digits, or an empty one, which is none; 255 bytes at
 * most. The parts come back without brackets, the name with its dot, port -1
 * where there is none. */
bool ws_origin_parse_host(struct ws_slice host, struct ws_slice *name,
                          long *port);

/* Do two of these name the same host? `port` is that of one without a port. */
bool ws_origin_is_same_host(struct ws_slice a, struct ws_slice b, long port);

/* Does a Host field match an entry of the `hosts` option: a name, a name with
 * port, or "*.name"? Without a port in the entry any port will do; with one
 * the Host has to have it too, no default is assumed. The first: can an entry
 * be matched at all, or *why not. */
bool ws_origin_is_host_pattern(struct ws_slice entry, const char **why);
bool ws_origin_host_matches(struct ws_slice host, struct ws_slice entry);

#endif
