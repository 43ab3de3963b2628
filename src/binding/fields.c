/* fields.c: header lines from a Lua table. What would break the framing of
 * the message, or out of its line, raises. */
#include "binding/fields.h"

#include <stdarg.h>
#include <string.h>

#include <lauxlib.h>

#include "binding/option_values.h"
#include "protocol/body.h"
#include "protocol/http.h"

/* The engine alone sets these (a client's origin is an option). */
static bool is_reserved(struct ws_slice name) {
  static const char *const names[] = {"connection",
                                      "date",
                                      "host",
                                      "keep-alive",
                                      "origin",
                                      "sec-websocket-accept",
                                      "sec-websocket-extensions",
                                      "sec-websocket-key",
                                      "sec-websocket-protocol",
                                      "sec-websocket-version",
                                      "te",
                                      "trailer",
                                      "transfer-encoding",
                                      "upgrade"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (ws_slice_equal_nocase(name,
                              (struct ws_slice){names[i], strlen(names[i])}))
      return true;
  return false;
}

static bool refuse(lua_State *L, const char *format, ...) {
  va_list more;
  va_start(more, format);
  lua_pushvfstring(L, format, more);
  va_end(more);
  return false;
}

static void push_line(lua_State *L, struct ws_slice name,
                      struct ws_slice value) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addlstring(&b, name.p, name.n);
  luaL_addstring(&b, ": ");
  luaL_addlstring(&b, value.p, value.n);
  luaL_addstring(&b, "\r\n");
  luaL_pushresult(&b);
}

/* Appends the line for the value on top of the stack to the list at index
 * `lines`, and pops it. */
static bool add_line(lua_State *L, int lines, struct ws_slice name,
                     struct ws_fields *out) {
  struct ws_slice value;
  if (!lua_isstring(L, -1))
    return refuse(L, "bad value for header '%s' (string expected, got %s)",
                  name.p, ws_option_got(L, -1));
  value.p = lua_tolstring(L, -1, &value.n);
  if (!ws_http_is_value(value))
    return refuse(L, "bad value for header '%s' (a control character)", name.p);
  if (ws_slice_equal_nocase(name, WS_SLICE("content-length"))) {
    if (!out->may_tell_length)
      return refuse(L, "header 'Content-Length' cannot be set");
    out->has_length = ws_body_parse_length(value, &out->length);
    if (!out->has_length)
      return refuse(L, "bad value for header '%s' (a number expected)", name.p);
  } else {
    push_line(L, name, value);
    lua_rawseti(L, lines, (lua_Integer)lua_rawlen(L, lines) + 1);
  }
  lua_pop(L, 1);
  return true;
}

/* The key and value of lua_next on top of the stack. */
static bool add_field(lua_State *L, int lines, struct ws_fields *out) {
  struct ws_slice name;
  bool ok = true;
  if (lua_type(L, -2) != LUA_TSTRING)
    return refuse(L, "header names must be strings");
  name.p = lua_tolstring(L, -2, &name.n);
  if (!ws_http_is_token(name) || is_reserved(name))
    return refuse(L, "header '%s' cannot be set", name.p);
  if (ws_slice_equal_nocase(name, WS_SLICE("content-type")))
    out->has_type = true;
  if (!lua_istable(L, -1)) {
    lua_pushvalue(L, -1);
    return add_line(L, lines, name, out);
  }
  int list = lua_gettop(L);
  for (lua_Integer i = 1; ok && lua_rawgeti(L, list, i) != LUA_TNIL; i++)
    ok = add_line(L, lines, name, out);
  if (ok) lua_pop(L, 1);
  return ok;
}

bool ws_push_fields(lua_State *L, int arg, struct ws_fields *out) {
  luaL_Buffer b;
  lua_newtable(L);
  int lines = lua_gettop(L);
  if (!lua_isnoneornil(L, arg)) {
    if (!lua_istable(L, arg))
      return refuse(L, "a table of headers expected, got %s",
                    ws_option_got(L, arg));
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1))
      if (!add_field(L, lines, out)) return false;
  }
  luaL_buffinit(L, &b);
  lua_Integer n = (lua_Integer)lua_rawlen(L, lines);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, lines, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_remove(L, lines);
  return true;
}
