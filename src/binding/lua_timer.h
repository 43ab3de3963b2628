/* lua_timer.h: ws.sleep, ws.after, ws.every. */
#ifndef EVWS_BINDING_LUA_TIMER_H
#define EVWS_BINDING_LUA_TIMER_H

#include "binding/state.h"

int ws_lua_sleep(lua_State *L);
int ws_lua_after(lua_State *L);
int ws_lua_every(lua_State *L);

/* conn:after, conn:every */
int ws_conn_after(lua_State *L);
int ws_conn_every(lua_State *L);

/* It is over: so are they. A call that is at work goes on. */
void ws_timers_end(struct lua_conn *lc);

/* All of the state's are over. */
void ws_timers_end_all(struct ws_state *st);

/* Makes the metatable. */
void ws_open_timer(lua_State *L);

#endif
