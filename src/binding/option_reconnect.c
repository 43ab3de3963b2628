/* option_reconnect.c: the option reconnect: when one tries again. */
#include "binding/option_reconnect.h"

#include <math.h>

#include <lauxlib.h>

#include "binding/option_values.h"

static double read_field(lua_State *L, const char *name, double absent) {
  double value = absent;
  int type = lua_getfield(L, -1, name);
  if (type == LUA_TNUMBER)
    value = lua_tonumber(L, -1);
  else if (type != LUA_TNIL)
    luaL_error(L, "bad option 'reconnect' (a number as '%s' expected, got %s)",
               name, ws_option_got_number(L, -1));
  lua_pop(L, 1);
  return value;
}

bool ws_options_reconnect(lua_State *L, int arg,
                          const struct ws_reconnect *usual,
                          struct ws_reconnect *r) {
  static const char *const fields[] = {"initial", "maximum", "jitter", NULL};
  int type = lua_getfield(L, arg, "reconnect");
  bool is_on = type == LUA_TTABLE || lua_toboolean(L, -1);
  *r = *usual;
  if (type == LUA_TTABLE) {
    ws_option_fields(L, "reconnect", fields);
    r->initial = read_field(L, "initial", usual->initial);
    r->maximum = read_field(L, "maximum", fmax(usual->maximum, r->initial));
    r->jitter = read_field(L, "jitter", usual->jitter);
    if (!(r->initial > 0) || !(r->maximum >= r->initial) ||
        !isfinite(r->maximum) || !(r->jitter >= 0 && r->jitter <= 1))
      luaL_error(L, "bad option 'reconnect' (0 < initial <= maximum and 0 <= "
                    "jitter <= 1 expected)");
  } else if (type != LUA_TNIL && type != LUA_TBOOLEAN) {
    luaL_error(L,
               "bad option 'reconnect' (boolean or { initial =, maximum =, "
               "jitter = } expected, got %s)",
               ws_option_got(L, -1));
  }
  lua_pop(L, 1);
  return is_on;
}
