/* lua_route.h: which handlers and options a path has. */
#ifndef EVWS_BINDING_LUA_ROUTE_H
#define EVWS_BINDING_LUA_ROUTE_H

#include "binding/state.h"

/* The options path and routes of ws.listen. 1: the options, 2: the server. */
void ws_route_read(lua_State *L, struct lua_server *ls);

/* server:route */
int ws_route_add(lua_State *L);

/* Gives back what the server's routes hold of the registry. */
void ws_route_unref(lua_State *L, struct lua_server *ls);

/* The handlers of the connection at index 1 are those of the route that was
 * found for its path. */
void ws_route_take(lua_State *L, struct lua_conn *lc);

#endif
