/* waiting.c: what calls that wait take and return. */
#include "binding/waiting.h"

#include <math.h>

int ws_push_why(lua_State *L, enum ws_wake why) {
  lua_pushnil(L);
  lua_pushstring(L, why == WS_WAKE_TIMEOUT       ? "timeout"
                    : why == WS_WAKE_INTERRUPTED ? "interrupted"
                                                 : "nothing to wait for");
  return 2;
}

double ws_check_timeout(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return -1;
  double seconds = luaL_checknumber(L, arg);
  luaL_argcheck(L, seconds >= 0 && !isnan(seconds), arg,
                "seconds must not be negative");
  return seconds;
}
