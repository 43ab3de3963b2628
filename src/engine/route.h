/* route.h: the routes of a server, and the one that a client has for itself:
 * whose a path is, and who may come.
 * What a route is stands in server_base.h. */
#ifndef EVWS_ROUTE_H
#define EVWS_ROUTE_H

#include "engine/server_base.h"

/* Serves a pattern that is one and is not there yet: by s->route, or by a
 * further route, which takes over what `from` holds. False without memory:
 * nothing has happened. */
bool ws_route_serve_first(struct ws_server *s, struct ws_slice pattern);
bool ws_route_serve_more(struct ws_server *s, struct ws_route *from,
                         struct ws_slice pattern);

/* The route of a path; NULL: none, 404. */
struct ws_route *ws_route_find(struct ws_server *s, struct ws_slice path);

/* Does the server answer to this Host? */
bool ws_route_serves_host(const struct ws_server *s, struct ws_slice host);

/* By its rules, but for those that the host judges; p NULL: there is no
 * Origin. is_secure: as the browser sees it. */
bool ws_route_allows_origin(const struct ws_route *r, struct ws_slice origin,
                            struct ws_slice host, bool is_secure);

/* What the connections of all routes have sent and received. */
struct ws_traffic ws_route_traffic(const struct ws_server *s);

/* What all connections of a loop share is lent to those of the route. */
void ws_route_lend(struct ws_route *r, struct ws_loop *loop);

/* Gives back what a route holds, not the route. */
void ws_route_free(struct ws_route *r);

/* All of a server's, and its router. */
void ws_route_free_all(struct ws_server *s);

#endif
