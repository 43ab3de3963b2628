/* send_options.h: the table behind a message that is sent. */
#ifndef EVWS_SEND_OPTIONS_H
#define EVWS_SEND_OPTIONS_H

#include <lua.h>

#include "engine/fleeting.h"

/* Reads the table at arg for this function. The table keeps the key. */
void ws_check_send_options(lua_State *L, int arg, const char *function,
                           struct ws_fleet *how);

#endif
