/* option_values.c: options that are one string, boolean or integer and stand
 * in no struct: read one by one, by name; and what is said of a bad one. */
#include "binding/option_values.h"

#include <string.h>

#include <lauxlib.h>

#include "base/escape.h"
#include "binding/suggest.h"

#define GOT_MAX 40 /* bytes of a string in a message */

bool ws_option_is_given(lua_State *L, int arg, const char *name) {
  bool yes = lua_getfield(L, arg, name) != LUA_TNIL;
  lua_pop(L, 1);
  return yes;
}

/* A string as one would write it, cut where it gets long. */
static void push_quoted(lua_State *L, int at) {
  char shown[GOT_MAX * 4 + 4];
  size_t n, most;
  const char *text = lua_tolstring(L, at, &n);
  for (most = n < GOT_MAX ? n : GOT_MAX;
       most < n && most && ((unsigned char)text[most] & 0xC0) == 0x80;)
    most--; /* not inside of a character */
  ws_escape(shown, sizeof shown, (struct ws_slice){text, most}, WS_ESCAPE_TEXT);
  lua_pushfstring(L, "the string \"%s%s", shown, most < n ? "...\"" : "\"");
}

const char *ws_option_got(lua_State *L, int at) {
  switch (lua_type(L, at)) {
  case LUA_TSTRING: push_quoted(L, lua_absindex(L, at)); break;
  case LUA_TNONE: lua_pushliteral(L, "nothing"); break;
  case LUA_TNIL:
  case LUA_TBOOLEAN:
  case LUA_TNUMBER: luaL_tolstring(L, at, NULL); break;
  default:
    if (luaL_getmetafield(L, at, "__name") != LUA_TSTRING)
      lua_pushstring(L, luaL_typename(L, at));
    lua_pushfstring(L, "a %s", lua_tostring(L, -1));
  }
  return lua_tostring(L, -1);
}

const char *ws_option_got_number(lua_State *L, int at) {
  int i = lua_absindex(L, at);
  bool is_text = lua_type(L, i) == LUA_TSTRING && lua_isnumber(L, i);
  const char *got = ws_option_got(L, i);
  return is_text ? lua_pushfstring(L, "%s (tonumber?)", got) : got;
}

int ws_option_bad(lua_State *L, const char *name, const char *expected) {
  return luaL_error(L, "bad option '%s' (%s expected, got %s)", name, expected,
                    ws_option_got(L, -1));
}

int ws_option_bad_number(lua_State *L, const char *name, const char *expected) {
  return luaL_error(L, "bad option '%s' (%s expected, got %s)", name, expected,
                    ws_option_got_number(L, -1));
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

int ws_option_function(lua_State *L, int arg, const char *name) {
  int type = lua_getfield(L, arg, name);
  if (type == LUA_TFUNCTION) return lua_gettop(L);
  if (type != LUA_TNIL) ws_option_bad(L, name, "function");
  lua_pop(L, 1);
  return 0;
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
                 ws_option_got_number(L, -1));
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

/* The nearest of the names to the key of lua_next, or NULL. */
static const char *nearest(lua_State *L, const char *const names[]) {
  struct ws_guess g;
  if (lua_type(L, -2) != LUA_TSTRING) return NULL;
  ws_guess_begin(&g, lua_tostring(L, -2));
  while (*names) ws_guess_try(&g, *names++);
  return g.best;
}

void ws_option_fields(lua_State *L, const char *name,
                      const char *const fields[]) {
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (is_known(L, fields)) continue;
    const char *best = nearest(L, fields);
    const char *field = luaL_tolstring(L, -2, NULL);
    if (best)
      luaL_error(L, "bad option '%s' (unknown field '%s', did you mean '%s'?)",
                 name, field, best);
    luaL_error(L, "bad option '%s' (unknown field '%s')", name, field);
  }
}

void ws_option_names(lua_State *L, int arg, const char *function,
                     const char *const names[]) {
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
    if (is_known(L, names)) continue;
    const char *best = nearest(L, names);
    const char *name = luaL_tolstring(L, -2, NULL);
    if (best)
      luaL_error(L, "unknown option '%s' for '%s' (did you mean '%s'?)", name,
                 function, best);
    luaL_error(L, "unknown option '%s' for '%s'", name, function);
  }
}
