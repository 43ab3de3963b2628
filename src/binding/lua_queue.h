/* lua_queue.h: ws.queue: tasks that wait for one another. */
#ifndef EVWS_BINDING_LUA_QUEUE_H
#define EVWS_BINDING_LUA_QUEUE_H

#include <lua.h>

int ws_lua_queue(lua_State *L);

/* Makes the metatable. */
void ws_open_queue(lua_State *L);

#endif
