/* lua_conn.h: the methods of a connection. */
#ifndef EVWS_BINDING_LUA_CONN_H
#define EVWS_BINDING_LUA_CONN_H

#include "binding/state.h"

/* Makes the metatable. */
void ws_open_conn(lua_State *L, struct ws_state *st);

#endif
