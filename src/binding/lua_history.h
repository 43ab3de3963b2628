/* lua_history.h: what topics keep: the option `history`, server:history and
 * server:reset. */
#ifndef EVWS_BINDING_LUA_HISTORY_H
#define EVWS_BINDING_LUA_HISTORY_H

#include "binding/state.h"

/* Reads the option of the table at arg into the server. */
void ws_history_read(lua_State *L, int arg, struct lua_server *ls);

int ws_server_history(lua_State *L);
int ws_server_reset(lua_State *L);

#endif
