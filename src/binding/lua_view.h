/* lua_view.h: server:view, and what the functions are called for that it was
 * given. */
#ifndef EVWS_BINDING_LUA_VIEW_H
#define EVWS_BINDING_LUA_VIEW_H

#include "binding/state.h"

/* server:view(name, fn, options) */
int ws_server_view(lua_State *L);

/* A view of the server's, by the functions at these indices (reset 0: none; fn
 * 0: as "json" stamps); returns its number. */
int ws_view_add(lua_State *L, struct lua_server *ls, int fn, int reset);

/* The number of a server's view; raises where it has none of this name. */
int ws_view_check(lua_State *L, struct ws_server *s, const char *name);

/* The functions of a server are let go. */
void ws_view_unref(lua_State *L, struct lua_server *ls);

/* Of the host's table. */
bool ws_view_make(struct ws_server *s, int view, const struct ws_publication *p,
                  struct ws_viewed *out);
void ws_view_done(struct ws_server *s);

#endif
