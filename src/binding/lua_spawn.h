/* lua_spawn.h: ws.spawn, and the task that it returns. */
#ifndef EVWS_BINDING_LUA_SPAWN_H
#define EVWS_BINDING_LUA_SPAWN_H

#include <lua.h>

int ws_lua_spawn(lua_State *L);
int ws_lua_spawn_now(lua_State *L);

/* Makes the metatable. */
void ws_open_spawn(lua_State *L);

#endif
