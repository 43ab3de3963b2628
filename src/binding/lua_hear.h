/* lua_hear.h: server:hear, and the calls of the functions it was given. */
#ifndef EVWS_BINDING_LUA_HEAR_H
#define EVWS_BINDING_LUA_HEAR_H

#include "binding/state.h"

/* server:hear(topic, fn, options) */
int ws_server_hear(lua_State *L);

/* Of the host's table. */
bool ws_hear_heard(struct ws_hearer *h, const struct ws_publication *p);
void ws_hear_deaf(struct ws_hearer *h);

/* The class of what server:hear returns. */
void ws_open_hear(lua_State *L);

#endif
