/* run.h: who drives the loop: a script, or another loop. */
#ifndef EVWS_BINDING_RUN_H
#define EVWS_BINDING_RUN_H

#include <lua.h>

int ws_lua_run(lua_State *L);
int ws_lua_step(lua_State *L);
int ws_lua_stop(lua_State *L);
int ws_lua_fd(lua_State *L);
int ws_lua_timeout(lua_State *L);

#endif
