/* fields.c: header lines from a Lua table. What would break the framing of
 * the message, or out of its line, raises. */
#include "binding/fields.h"

#include <string.h>

#include <lauxlib.h>

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

/* Appends the line for the value on top of the stack to the list at index
 * `lines`, and pops it. */
static void add_line(lua_State *L, int lines, struct ws_slice name,
                     struct ws_fields *out) {
  luaL_Buffer b;
  struct ws_slice value;
  if (!lua_isstring(L, -1))
    luaL_error(L, "bad value for header '%s' (string expected, got %s)", name.p,
               luaL_typename(L, -1));
  value.p = lua_tolstring(L, -1, &value.n);
  if (!ws_http_is_value(value))
    luaL_error(L, "bad value for header '%s'", name.p);
  if (ws_slice_equal_nocase(name, WS_SLICE("content-length"))) {
    if (!out->may_tell_length)
      luaL_error(L, "header 'Content-Length' cannot be set");
    out->has_length = ws_body_parse_length(value, &out->length);
    lua_pop(L, 1);
    return;
  }
  luaL_buffinit(L, &b);
  luaL_addlstring(&b, name.p, name.n);
  luaL_addstring(&b, ": ");
  luaL_addlstring(&b, value.p, value.n);
  luaL_addstring(&b, "\r\n");
  luaL_pushresult(&b);
  lua_rawseti(L, lines, (lua_Integer)lua_rawlen(L, lines) + 1);
  lua_pop(L, 1);
}

/* The key and value of lua_next on top of the stack. */
static void add_field(lua_State *L, int lines, struct ws_fields *out) {
  struct ws_slice name;
  if (lua_type(L, -2) != LUA_TSTRING)
    luaL_error(L, "header names must be strings");
  name.p = lua_tolstring(L, -2, &name.n);
  if (!ws_http_is_token(name) || is_reserved(name))
    luaL_error(L, "header '%s' cannot be set", name.p);
  if (ws_slice_equal_nocase(name, WS_SLICE("content-type")))
    out->has_type = true;
  if (!lua_istable(L, -1)) {
    lua_pushvalue(L, -1);
    add_line(L, lines, name, out);
    return;
  }
  int list = lua_gettop(L);
  for (lua_Integer i = 1; lua_rawgeti(L, list, i) != LUA_TNIL; i++)
    add_line(L, lines, name, out);
  lua_pop(L, 1);
}

void ws_push_fields(lua_State *L, int arg, struct ws_fields *out) {
  luaL_Buffer b;
  lua_newtable(L);
  int lines = lua_gettop(L);
  if (!lua_isnoneornil(L, arg)) {
    if (!lua_istable(L, arg))
      luaL_error(L, "bad headers (table expected, got %s)",
                 luaL_typename(L, arg));
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1))
      add_field(L, lines, out);
  }
  luaL_buffinit(L, &b);
  lua_Integer n = (lua_Integer)lua_rawlen(L, lines);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, lines, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_remove(L, lines);
}
