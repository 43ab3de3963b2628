/* lua_writer.h: conn:writer. */
#ifndef EVWS_BINDING_LUA_WRITER_H
#define EVWS_BINDING_LUA_WRITER_H

#include <lua.h>

int ws_lua_writer(lua_State *L);

/* Makes the metatable. */
void ws_open_writer(lua_State *L);

#endif
