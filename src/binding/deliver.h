/* deliver.h: what a peer has said, as calls of its connection's handlers or as
 * what a receiver gets: entries of the host. */
#ifndef EVWS_BINDING_DELIVER_H
#define EVWS_BINDING_DELIVER_H

#include "binding/state.h"
#include "engine/conn.h"

void ws_deliver_readable(struct ws_conn *c);
void ws_deliver_control(struct ws_conn *c);

/* core.detach(), of a message's handler: from here on it counts as returned, so
 * what it waits for holds up neither the messages behind nor a Close. Returns
 * its coroutine; nothing where no such handler runs. */
int ws_lua_detach(lua_State *L);

/* The same for C: false where no such handler runs. */
bool ws_deliver_detach(lua_State *L);

#endif
