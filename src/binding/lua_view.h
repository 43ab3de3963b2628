/* lua_view.h: server:view, and what the functions are called for that it was
 * given. */
#ifndef EVWS_BINDING_LUA_VIEW_H
#define EVWS_BINDING_LUA_VIEW_H

#include "binding/state.h"

/* server:view(name, fn) */
int ws_server_view(lua_State *L);

/* The number of a server's view; raises where it has none of this name. */
int ws_view_check(lua_State *L, struct ws_server *s, const char *name);

/* The functions of the server at an index are let go. */
void ws_view_unref(lua_State *L, int index);

/* Of the host's table. */
bool ws_view_make(struct ws_server *s, int view, const struct ws_publication *p,
                  struct ws_viewed *out);
void ws_view_done(struct ws_server *s);

#endif
