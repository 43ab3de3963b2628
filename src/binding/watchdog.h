/* watchdog.h: ws.watchdog: a thread that notices when a turn does not end,
 * and has the Lua code that runs say where it is. */
#ifndef EVWS_BINDING_WATCHDOG_H
#define EVWS_BINDING_WATCHDOG_H

#include "binding/state.h"

struct ws_watchdog;

/* Around each turn, where there is one. */
void ws_watchdog_enter(struct ws_watchdog *w);
void ws_watchdog_leave(struct ws_watchdog *w);

/* Ends it, if there is one. */
void ws_watchdog_stop(struct ws_state *st);

int ws_lua_watchdog(lua_State *L);

#endif
