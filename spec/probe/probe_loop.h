/* probe_loop.h: the loop object that probe_loop.c makes, for the parts of
 * evws_probe that put something on it. */
#ifndef EVWS_PROBE_LOOP_H
#define EVWS_PROBE_LOOP_H

#include <lauxlib.h>
#include <lua.h>

#include "fake_io.h"
#include "transport/driver.h"
#include "transport/loop.h"

#define PROBE_LOOP "probe.loop"

struct probe_loop {
  struct ws_loop loop;
  struct fake_io fake; /* used where there is no ev */
  struct ws_ev *ev;
  lua_State *L; /* who turns it */
  int error;    /* registry: the first error of a callback, or LUA_NOREF */
};

/* Calls the function behind a registry reference, its n arguments being on
 * top of the stack. An error is kept for probe_loop_raise. */
void probe_loop_call(struct probe_loop *pl, int fn, int n);

/* Raises what a callback raised, at the end of what ran callbacks. */
void probe_loop_raise(lua_State *L, struct probe_loop *pl);

static inline struct probe_loop *probe_loop_check(lua_State *L, int arg) {
  struct probe_loop *pl = luaL_checkudata(L, arg, PROBE_LOOP);
  pl->L = L;
  return pl;
}

#endif
