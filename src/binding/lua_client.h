/* lua_client.h: ws.connect. */
#ifndef EVWS_BINDING_LUA_CLIENT_H
#define EVWS_BINDING_LUA_CLIENT_H

#include <lua.h>

int ws_lua_connect(lua_State *L);

#endif
