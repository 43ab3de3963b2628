/* lua_input.h: core.input, standard input for evws's own tools. */
#ifndef EVWS_BINDING_LUA_INPUT_H
#define EVWS_BINDING_LUA_INPUT_H

#include <lua.h>

int ws_lua_input(lua_State *L);

#endif
