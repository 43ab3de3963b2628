/* waiting.c: what calls that wait take and return. */
#include "binding/waiting.h"

#include <math.h>

#include "binding/option_values.h"

int ws_push_why(lua_State *L, enum ws_wake why) {
  lua_pushnil(L);
  lua_pushstring(L, why == WS_WAKE_TIMEOUT       ? "timeout"
                    : why == WS_WAKE_INTERRUPTED ? "interrupted"
                                                 : "nothing to wait for");
  return 2;
}

int ws_wait_for_drain(lua_State *L, struct lua_conn *lc, double timeout,
                      ws_task_k *k) {
  struct ws_state *st = ws_state_of(L);
  struct ws_task here, *t = ws_task_waiter(L, st, &here);
  if (timeout >= 0 && !ws_task_set_timeout(t, timeout))
    return luaL_error(L, "not enough memory");
  ws_task_wait_on(t, lc, WS_FOR_DRAIN);
  lc->c.is_drain_awaited = true;
  return ws_task_wait(L, st, t, k);
}

double ws_check_timeout(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return -1;
  double seconds = luaL_checknumber(L, arg);
  luaL_argcheck(L, seconds >= 0 && !isnan(seconds), arg,
                "seconds must not be negative");
  return seconds;
}

double ws_option_wait(lua_State *L, int arg) {
  double seconds = -1;
  if (lua_isnoneornil(L, arg)) return seconds;
  if (lua_getfield(L, arg, "wait") != LUA_TNIL) {
    seconds = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(seconds >= 0))
      ws_option_bad_number(L, "wait", "seconds of at least 0");
  }
  lua_pop(L, 1);
  return seconds;
}
