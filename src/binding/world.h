/* world.h: a state of evws: made, turned and ended. There is one for a Lua
 * state, and, once a spec has asked for it, a simulated one (lua_sim.c). */
#ifndef EVWS_BINDING_WORLD_H
#define EVWS_BINDING_WORLD_H

#include "binding/state.h"

/* The real one, which is the state's from now on. */
void ws_world_new(lua_State *L);

/* Pushes one that has no loop yet. */
struct ws_state *ws_world_blank(lua_State *L);

/* For a driver, the state as its argument. */
void ws_world_turn(void *arg);

/* The loop and what is left in it are given back; nobody is told. */
void ws_world_end(struct ws_state *st);

#endif
