/* lua_sim.h: what evws.sim needs of the core: a simulated network in the place
 * of the real one. */
#ifndef EVWS_BINDING_LUA_SIM_H
#define EVWS_BINDING_LUA_SIM_H

#include <lua.h>

/* Pushes the table of functions. */
void ws_sim_push(lua_State *L);

#endif
