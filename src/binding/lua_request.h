/* lua_request.h: on_request and on_upgrade. */
#ifndef EVWS_BINDING_LUA_REQUEST_H
#define EVWS_BINDING_LUA_REQUEST_H

#include "binding/state.h"

/* The host's entry: has the route's handler answer. */
void ws_request_handle(struct ws_conn *c, bool is_upgrade);

#endif
