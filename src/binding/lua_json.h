/* lua_json.h: JSON texts as Lua sees them. */
#ifndef EVWS_BINDING_LUA_JSON_H
#define EVWS_BINDING_LUA_JSON_H

#include <lua.h>

/* json_split(text[, levels[, depth]]) -> tables of raw slices | nil, why */
int ws_lua_json_split(lua_State *L);

/* core.json_decode(text, depth, null, map_mark) -> value | nil, why */
int ws_lua_json_decode(lua_State *L);

#endif
