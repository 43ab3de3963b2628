/* option_values.c: options that are one string, boolean or integer and stand
 * in no struct: read one by one, by name; and what is said of a bad one. */
#include "binding/option_values.h"

#include <string.h>

#include <lauxlib.h>

bool ws_option_is_given(lua_State *L, int arg, const char *name) {
  bool yes = lua_getfield(L, arg, name) != LUA_TNIL;
  lua_pop(L, 1);
  return yes;
}

int ws_option_bad(lua_State *L, const char *name, const char *expected) {
  return luaL_error(L, "bad option '%s' (%s expected, got %s)", name, expected,
                    luaL_tolstring(L, -1, NULL));
}

const char *ws_option_string(lua_State *L, int arg, const char *name,
                             const char *absent) {
  const char *text = absent;
  if (lua_getfield(L, arg, name) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TSTRING) ws_option_bad(L, name, "string");
    text = lua_tostring(L, -1); /* the options table keeps it */
    if (strlen(text) != lua_rawlen(L, -1))
      ws_option_bad(L, name, "string without a zero byte");
  }
  lua_pop(L, 1);
  return text;
}

bool ws_option_bool(lua_State *L, int arg, const char *name, bool absent) {
  bool v = absent;
  if (lua_getfield(L, arg, name) != LUA_TNIL) {
    if (!lua_isboolean(L, -1)) ws_option_bad(L, name, "boolean");
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

/* The key of lua_next, below its value. */
static bool is_known(lua_State *L, const char *const names[]) {
  const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
  while (*names && strcmp(*names, key) != 0) names++;
  return *names != NULL;
}

void ws_option_fields(lua_State *L, const char *name,
                      const char *const fields[]) {
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    if (!is_known(L, fields))
      luaL_error(L, "bad option '%s' (unknown field '%s')", name,
                 luaL_tolstring(L, -2, NULL));
}

void ws_option_names(lua_State *L, int arg, const char *function,
                     const char *const names[]) {
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1))
    if (!is_known(L, names))
      luaL_error(L, "unknown option '%s' for '%s'", luaL_tolstring(L, -2, NULL),
                 function);
}

int ws_option_distance(const char *a, const char *b) {
  int row[64], n = (int)strlen(b);
  if (n >= 64 || strlen(a) >= 64) return 9;
  for (int j = 0; j <= n; j++) row[j] = j;
  for (int i = 1; a[i - 1]; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= n; j++) {
      int best = diagonal + (a[i - 1] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[n];
}
