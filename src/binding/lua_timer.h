/* lua_timer.h: ws.sleep, ws.spawn, ws.after, ws.every. */
#ifndef EVWS_BINDING_LUA_TIMER_H
#define EVWS_BINDING_LUA_TIMER_H

#include <lua.h>

int ws_lua_sleep(lua_State *L);
int ws_lua_spawn(lua_State *L);
int ws_lua_spawn_now(lua_State *L);
int ws_lua_after(lua_State *L);
int ws_lua_every(lua_State *L);

/* Makes the metatable. */
void ws_open_timer(lua_State *L);

#endif
