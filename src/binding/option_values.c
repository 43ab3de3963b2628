/* option_values.c: options that are one string, boolean or integer and stand
 * in no struct: read one by one, by name. */
#include <string.h>

#include "binding/options.h"

static int bad(lua_State *L, const char *name, const char *expected) {
  return luaL_error(L, "bad option '%s' (%s expected, got %s)", name, expected,
                    luaL_tolstring(L, -1, NULL));
}

const char *ws_option_string(lua_State *L, int arg, const char *name,
                             const char *absent) {
  const char *text = absent;
  if (lua_getfield(L, arg, name) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TSTRING) bad(L, name, "string");
    text = lua_tostring(L, -1); /* the options table keeps it */
    if (strlen(text) != lua_rawlen(L, -1))
      bad(L, name, "string without a zero byte");
  }
  lua_pop(L, 1);
  return text;
}

bool ws_option_bool(lua_State *L, int arg, const char *name, bool absent) {
  bool v = absent;
  if (lua_getfield(L, arg, name) != LUA_TNIL) {
    if (!lua_isboolean(L, -1)) bad(L, name, "boolean");
    v = lua_toboolean(L, -1);
  }
  lua_pop(L, 1);
  return v;
}

lua_Integer ws_option_integer(lua_State *L, int arg, const char *name,
                              lua_Integer absent, lua_Integer least,
                              lua_Integer most) {
  int is_int = 1;
  lua_Integer v = absent;
  if (lua_getfield(L, arg, name) != LUA_TNIL) {
    v = lua_tointegerx(L, -1, &is_int);
    if (!is_int || lua_type(L, -1) != LUA_TNUMBER || v < least || v > most) {
      luaL_error(L,
                 "bad option '%s' (an integer from %I to %I expected, got "
                 "%s)",
                 name, (LUAI_UACINT)least, (LUAI_UACINT)most,
                 luaL_tolstring(L, -1, NULL));
    }
  }
  lua_pop(L, 1);
  return v;
}
