/* options.h: option tables. An unknown name or a bad value raises at the line
 * of the caller, before anything has happened. */
#ifndef EVWS_BINDING_OPTIONS_H
#define EVWS_BINDING_OPTIONS_H

#include <lua.h>
#include "binding/option_values.h"
#include "engine/options.h"

/* Every key of the table at arg is an option of this function. Puts a plain
 * copy in its place. */
void ws_options_check(lua_State *L, int arg, const char *function, int scope);

/* What a route does not set itself it takes from the listener's table, but
 * for on_request and on_closing, which are there for others. Both are checked
 * copies. */
void ws_options_inherit(lua_State *L, int route, int listener);

/* Fills in defaults, then what the table says. */
void ws_options_conn(lua_State *L, int arg, struct ws_conn_options *o);
void ws_options_http(lua_State *L, int arg, struct ws_http_options *o);

/* Pushes ws.defaults. */
void ws_options_push_defaults(lua_State *L);

#endif
