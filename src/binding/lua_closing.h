/* lua_closing.h: on_closing: what is to be done before everybody is told that
 * a server closes. */
#ifndef EVWS_BINDING_LUA_CLOSING_H
#define EVWS_BINDING_LUA_CLOSING_H

#include "binding/state.h"

/* The host's entry: starts the handlers of the listener and of its routes.
 * False: there are none. */
bool ws_closing_begin(struct ws_server *s, double seconds);

#endif
