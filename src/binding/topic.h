/* topic.h: the methods that have to do with topics. */
#ifndef EVWS_BINDING_TOPIC_H
#define EVWS_BINDING_TOPIC_H

#include "binding/engine.h"

#define WS_TOPIC_MAX 65535

extern const luaL_Reg ws_topic_conn_methods[];
extern const luaL_Reg ws_topic_server_methods[];

#endif
