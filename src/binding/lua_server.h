/* lua_server.h: ws.listen and the server object. */
#ifndef EVWS_BINDING_LUA_SERVER_H
#define EVWS_BINDING_LUA_SERVER_H

#include "binding/state.h"

int ws_lua_listen(lua_State *L);

/* The host's entry: neither the listener nor a connection is left. */
void ws_server_gone(struct ws_server *s);

/* Makes the metatable. */
void ws_open_server(lua_State *L);

#endif
