/* tls_options.h: the table `tls` of ws.listen and ws.connect, and `proxy_tls`
 * of the latter. */
#ifndef EVWS_BINDING_TLS_OPTIONS_H
#define EVWS_BINDING_TLS_OPTIONS_H

#include <lua.h>
#include <stdbool.h>
#include "base/slice.h"
#include "transport/tls_context.h"

/* The option, checked, whose copy is pushed (nil where a server has none: then
 * false); the settings' strings stand in it. */
bool ws_options_tls(lua_State *L, int arg, const char *option,
                    const char *function, int scope, struct ws_tls_settings *s);

/* A server's settings once more, from such a copy at an index. */
void ws_options_tls_settings(lua_State *L, int copy, struct ws_tls_settings *s);

/* The option's server_name, from the copy on top of the stack; n 0: none. */
struct ws_slice ws_options_tls_name(lua_State *L, const char *option);

#endif
