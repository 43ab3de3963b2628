/* lua_backplane.h: ws.backplane: topics over processes and machines. */
#ifndef EVWS_BINDING_LUA_BACKPLANE_H
#define EVWS_BINDING_LUA_BACKPLANE_H

#include "binding/state.h"

int ws_lua_backplane(lua_State *L);

/* The option backplane of ws.listen in the table at arg: an object, a URL, or
 * what the environment says. Pushes the object, or nil where there is none, or
 * false and a reason where it cannot be made. */
bool ws_option_backplane(lua_State *L, int arg);

/* The server's topics are from now on those of the object at an index. */
void ws_backplane_join(lua_State *L, int index, struct ws_server *s);

/* All of the state's are closed. */
void ws_backplanes_close(struct ws_state *st);

/* What was published until now is to be waited for. Has any of that not been
 * answered yet, and may be? */
void ws_backplanes_fence(struct ws_state *st);
bool ws_backplanes_are_behind(struct ws_state *st);

void ws_open_backplane(lua_State *L);

#endif
