/* lua_stats.h: server:stats and server:metrics. */
#ifndef EVWS_BINDING_LUA_STATS_H
#define EVWS_BINDING_LUA_STATS_H

#include <lua.h>

int ws_server_stats(lua_State *L);
int ws_server_metrics(lua_State *L);

#endif
