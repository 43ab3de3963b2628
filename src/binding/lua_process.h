/* lua_process.h: what ws.popen stands on (lua/evws/popen.lua). */
#ifndef EVWS_BINDING_LUA_PROCESS_H
#define EVWS_BINDING_LUA_PROCESS_H

#include <lua.h>

struct ws_process;

/* Pushes an object that has no process yet. */
struct ws_process *ws_process_push(lua_State *L);

/* core.process(command, "r" or "w") -> process | nil, message */
int ws_lua_process(lua_State *L);

#endif
