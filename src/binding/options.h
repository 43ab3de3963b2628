/* options.h: option tables. An unknown name or a bad value raises at the
 * line of the caller, before anything has happened. */
#ifndef EVWS_BINDING_OPTIONS_H
#define EVWS_BINDING_OPTIONS_H

#include "binding/engine.h"

enum { WS_FOR_LISTEN = 1, WS_FOR_CONNECT = 2, WS_FOR_ROUTE = 4 };

/* Every key of the table at arg is an option of this function. Puts a plain
 * copy in its place. */
void ws_options_check(lua_State *L, int arg, const char *function, int scope);

/* What a route does not set itself it takes from the listener's table. Both
 * are checked copies. */
void ws_options_inherit(lua_State *L, int route, int listener);

/* Fills in defaults, then what the table says. */
void ws_options_conn(lua_State *L, int arg, const char *function,
                     struct ws_conn_options *o);
void ws_options_http(lua_State *L, int arg, const char *function,
                     struct ws_http_options *o);

/* The option tls, checked, whose copy is pushed (nil where a server has none:
 * then false); the settings' strings stand in it. */
bool ws_options_tls(lua_State *L, int arg, const char *function, int scope,
                    struct ws_tls_settings *s);

/* The settings once more, from such a copy at an index. */
void ws_options_tls_settings(lua_State *L, int copy, bool is_client,
                             struct ws_tls_settings *s);

/* Its server_name, from the copy on top of the stack; n 0: none. */
struct ws_slice ws_options_tls_name(lua_State *L);

/* Edits (one character more, less or other) between two names, at most 9. */
int ws_option_distance(const char *a, const char *b);

/* compression: what to negotiate, and how to compress. */
void ws_options_compression(lua_State *L, int arg, struct ws_protocol_env *o);

/* origins, hosts, subprotocols: lists of strings, checked. */
void ws_options_origins(lua_State *L, int arg, struct ws_route *route);
void ws_options_hosts(lua_State *L, int arg, struct ws_server *s);
void ws_options_subprotocols(lua_State *L, int arg, struct ws_strings *list);

/* trusted_proxies and proxy_protocol. */
void ws_options_proxies(lua_State *L, int arg, struct ws_server *s);

/* Pushes a new table with the on_... functions of the table at arg, and the
 * origins function if it is one. */
void ws_options_push_handlers(lua_State *L, int arg);

/* Pushes ws.defaults. */
void ws_options_push_defaults(lua_State *L);

/* The table at arg has only keys of this list (it ends with NULL). */
void ws_options_names(lua_State *L, int arg, const char *function,
                      const char *const names[]);

/* A string, a boolean or an integer option; absent: the default. */
const char *ws_option_string(lua_State *L, int arg, const char *name,
                             const char *absent);
bool ws_option_bool(lua_State *L, int arg, const char *name, bool absent);
lua_Integer ws_option_integer(lua_State *L, int arg, const char *name,
                              lua_Integer absent, lua_Integer least,
                              lua_Integer most);

#endif
