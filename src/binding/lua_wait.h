/* lua_wait.h: ws.wait. */
#ifndef EVWS_BINDING_LUA_WAIT_H
#define EVWS_BINDING_LUA_WAIT_H

#include <lua.h>

int ws_lua_wait(lua_State *L);

#endif
