/* lua_presence.h: who is in a topic: the option `presence` of subscribe,
 * server:presence and on_presence. */
#ifndef EVWS_BINDING_LUA_PRESENCE_H
#define EVWS_BINDING_LUA_PRESENCE_H

#include "binding/state.h"
#include "engine/topic_ask.h"

/* Who somebody says that he is. */
struct lua_arrival {
  struct ws_arrival who; /* first */
  bool is_given, is_absent;
};

/* Reads `presence` of the table at arg, for this connection and topic. What it
 * makes has to be given back. */
void ws_presence_read(lua_State *L, int arg, const struct ws_conn *c,
                      struct ws_slice topic, struct lua_arrival *a);
void ws_presence_give(struct lua_arrival *a);

/* server:presence(topic) */
int ws_server_presence(lua_State *L);

/* Calls the function on top of the stack, an on_presence, as its task does. */
int ws_presence_call(lua_State *L, const struct ws_change *c);

/* Of the host's table. */
bool ws_presence_present(struct ws_server *s, const struct ws_change *c);

#endif
