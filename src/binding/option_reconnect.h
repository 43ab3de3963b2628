/* option_reconnect.h: the option reconnect: when one tries again. */
#ifndef EVWS_BINDING_OPTION_RECONNECT_H
#define EVWS_BINDING_OPTION_RECONNECT_H

#include <lua.h>

#include "engine/backoff.h"

/* true, or a table whose fields may be left out: what is usual stands for
 * them. False where the option is absent or false. */
bool ws_options_reconnect(lua_State *L, int arg,
                          const struct ws_reconnect *usual,
                          struct ws_reconnect *r);

#endif
