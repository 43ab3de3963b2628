/* lua_backplane.h: ws.backplane: topics over processes and machines. */
#ifndef EVWS_BINDING_LUA_BACKPLANE_H
#define EVWS_BINDING_LUA_BACKPLANE_H

#include "binding/state.h"

int ws_lua_backplane(lua_State *L);

/* The option backplane of ws.listen in the table at arg: an object, a URL, or
 * what the environment says. Pushes the object, or nil where there is none, or
 * false and a reason where it cannot be made. */
bool ws_option_backplane(lua_State *L, int arg);

/* The server's topics are from now on those of the object at an index. */
void ws_backplane_join(lua_State *L, int index, struct ws_server *s);

/* Waits until Redis knows that somebody here has subscribed to the topic, so
 * many seconds at most: pushes true, or nil and why not. */
int ws_backplane_wait_there(lua_State *L, struct ws_server *s,
                            struct ws_slice topic, double seconds);

/* Calls next(L), when the history of the topic has been read from Redis where
 * it is kept there; or pushes nil and why that was not so after so many
 * seconds. The stack is the arguments of who calls; the server's object is
 * somewhere in it. */
int ws_backplane_sync(lua_State *L, struct ws_server *s, struct ws_slice topic,
                      double seconds, lua_CFunction next);

void ws_open_backplane(lua_State *L);

#endif
