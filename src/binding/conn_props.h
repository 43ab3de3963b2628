/* conn_props.h: what can be read of a connection, and set. */
#ifndef EVWS_BINDING_CONN_PROPS_H
#define EVWS_BINDING_CONN_PROPS_H

#include "binding/state.h"

/* Adds the properties to the table of methods on top, each as a number. */
void ws_props_add_names(lua_State *L);

/* The metamethods. __index: a closure with that table. */
int ws_props_index(lua_State *L);
int ws_props_newindex(lua_State *L);

/* What conn.state is. */
const char *ws_props_state(const struct ws_conn *c);

#endif
