/* conn_handlers.h: the handlers of one connection, instead of the route's. */
#ifndef EVWS_BINDING_CONN_HANDLERS_H
#define EVWS_BINDING_CONN_HANDLERS_H

#include "binding/state.h"

/* The mode of a connection that has no on_message. */
uint8_t ws_mode_without_handler(const struct lua_conn *lc);

/* The connection at index 1 is open: takes what its route has. */
void ws_handlers_opened(lua_State *L, struct lua_conn *lc);

/* Pushes the handlers of the connection at index 1, a table of its own. */
void ws_own_handlers(lua_State *L, struct lua_conn *lc);

/* Sets on_message, on_close and the like in the table on top. */
void ws_add_handler_methods(lua_State *L);

#endif
