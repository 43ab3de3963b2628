/* router.h: which route a path belongs to.
 *
 * A pattern is a path whose segments are literal text, `:name` (one segment
 * that is not empty), or, as the last one, `*` (whatever follows, nothing and
 * further slashes included): "/ws", "/chat/:room", "/files/:user/" followed
 * by "*". Literal text beats a parameter and a parameter the wildcard, from
 * left to right. Parameters are what was percent-encoded (RFC 3986 2.1).
 *
 * Literal text is compared as URIs are (RFC 3986 6.2.2): the case of an escape
 * does not count, "%7E" is "~", and what may not stand in a URI (all that is
 * not ASCII) is its escape. An escaped delimiter is no delimiter: "%2F" is no
 * "/". "." and ".." are left to whoever resolves a reference (5.2.4): here they
 * are text. */
#ifndef EVWS_ROUTER_H
#define EVWS_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct ws_route;
struct ws_router_node;

/* A zeroed one has no routes. */
struct ws_router {
  struct ws_router_node *root;
};

/* *why: a phrase for the error, where it is none. */
bool ws_router_is_pattern(struct ws_slice pattern, const char **why);

/* Is there a route for the same paths: equal but for the parameters' names? */
bool ws_router_has(const struct ws_router *r, struct ws_slice pattern);

/* Adds a route for a pattern that is one and is not there yet. False without
 * memory: nothing has changed. */
bool ws_router_add(struct ws_router *r, struct ws_slice pattern,
                   struct ws_route *route);

/* NULL: none. A parameter whose encoding is malformed, or that holds a zero
 * byte, matches nothing. */
struct ws_route *ws_router_find(const struct ws_router *r,
                                struct ws_slice path);

/* Goes through the parameters of a path that a pattern matches: *name without
 * its colon ("*" for the wildcard), *value still encoded. Start with both
 * iterators 0; false at the end. */
struct ws_router_iter {
  size_t pattern, path;
};
bool ws_router_next_param(struct ws_slice pattern, struct ws_slice path,
                          struct ws_router_iter *iter, struct ws_slice *name,
                          struct ws_slice *value);

/* Decodes a value; out has room for value.n bytes. Returns the length. */
size_t ws_router_decode(struct ws_slice value, char *out);

/* The routes are not the router's. */
void ws_router_free(struct ws_router *r);

#endif
