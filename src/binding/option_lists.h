/* option_lists.h: options that are lists, checked: origins, hosts,
 * sub-protocols, proxies; and the handlers. */
#ifndef EVWS_BINDING_OPTION_LISTS_H
#define EVWS_BINDING_OPTION_LISTS_H

#include "binding/state.h"

void ws_options_origins(lua_State *L, int arg, struct ws_route *route);
void ws_options_hosts(lua_State *L, int arg, struct ws_server *s);
void ws_options_subprotocols(lua_State *L, int arg, struct ws_strings *list);

/* trusted_proxies and proxy_protocol. */
void ws_options_proxies(lua_State *L, int arg, struct ws_server *s);

/* Pushes a new table with the on_... functions of the table at arg, and the
 * origins function if it is one. */
void ws_options_push_handlers(lua_State *L, int arg);

#endif
