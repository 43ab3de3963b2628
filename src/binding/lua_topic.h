/* lua_topic.h: the methods of connections and servers that have to do with
 * topics. */
#ifndef EVWS_BINDING_LUA_TOPIC_H
#define EVWS_BINDING_LUA_TOPIC_H

#include <lauxlib.h>

extern const luaL_Reg ws_topic_conn_methods[];
extern const luaL_Reg ws_topic_server_methods[];

#endif
