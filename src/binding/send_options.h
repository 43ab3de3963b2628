/* send_options.h: the table behind a message that is sent. */
#ifndef EVWS_SEND_OPTIONS_H
#define EVWS_SEND_OPTIONS_H

#include <lua.h>

#include "engine/fleeting.h"

/* `ttl` and `key` of the table at arg, which keeps the key. */
void ws_read_fleet(lua_State *L, int arg, struct ws_fleet *how);

/* `meta` of the table at arg, which keeps it; p NULL: none. */
struct ws_slice ws_read_meta(lua_State *L, int arg);

/* The whole table at arg, of this function. */
void ws_check_send_options(lua_State *L, int arg, const char *function,
                           struct ws_fleet *how);

#endif
