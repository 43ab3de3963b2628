/* lua_call.c: an invocation and its result, by which most of what a hub's
 * clients say begins and ends. What is rare is left to Lua. */
#include "binding/lua_call.h"

#include <lauxlib.h>

#include "binding/lua_message.h"
#include "protocol/call.h"
#include "protocol/utf8.h"

#define EXACT 9007199254740992.0 /* beyond it not each integer is one */
#define DIGITS 20                /* of an integer, with its sign */

enum { MOST = 1, DECODE, VALUE, OTHERWISE }; /* upvalues */

static int ask_otherwise(lua_State *L, int fn) {
  lua_settop(L, 2);
  lua_pushvalue(L, fn);
  lua_insert(L, 1);
  lua_call(L, 2, LUA_MULTRET);
  return lua_gettop(L);
}

/* ---- the arguments ---- */

/* At the top: a raw value, that becomes what a method gets. False, and why
 * instead of it: it cannot be had. */
static bool bind_value(lua_State *L, int type) {
  if (type == LUA_TTABLE) {
    lua_pushvalue(L, lua_upvalueindex(VALUE));
    lua_insert(L, -2);
    lua_call(L, 1, 2);
    if (lua_isnil(L, -2)) {
      lua_remove(L, -2);
      return false;
    }
    lua_pop(L, 1);
    return true;
  }
  lua_pop(L, 1);
  lua_pushnil(L); /* null: the one thing left, a pointer */
  return true;
}

/* Integers are integers, however they were written; true: this has become one.
 * Some lua-cjson give integers themselves, of 64 bits. */
static bool bind_number(lua_State *L, bool *is_too_large) {
  lua_Number x = lua_tonumber(L, -1);
  if (lua_isinteger(L, -1)) return false;
  *is_too_large = x - x != 0;
  if (x < -EXACT || x > EXACT || *is_too_large) return false;
  if ((lua_Number)(lua_Integer)x != x) return false;
  lua_pop(L, 1);
  lua_pushinteger(L, (lua_Integer)x);
  return true;
}

/* The raw list at the top becomes that of the arguments; behind it: how many,
 * and what was wrong with one of them, or nil. */
static void bind_args(lua_State *L) {
  int list = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  lua_pushinteger(L, n);
  lua_pushnil(L);
  for (lua_Integer i = 1; i <= n; i++) {
    bool is_bad = false;
    int type = lua_rawgeti(L, list, i);
    if (type == LUA_TSTRING || type == LUA_TBOOLEAN ||
        (type == LUA_TNUMBER && !bind_number(L, &is_bad) && !is_bad)) {
      lua_pop(L, 1);
      continue;
    }
    if (is_bad) {
      lua_pop(L, 1);
      lua_pushliteral(L, "a number is too large");
    } else if (type != LUA_TNUMBER) {
      is_bad = !bind_value(L, type);
    }
    if (is_bad) {
      lua_replace(L, list + 2);
      lua_pushnil(L);
    }
    lua_rawseti(L, list, i);
  }
}

/* Pushes args, n and bad; false: the list is none. */
static bool push_args(lua_State *L, const struct ws_call *call) {
  if (!call->has_args) {
    lua_newtable(L);
    lua_pushinteger(L, 0);
    lua_pushnil(L);
    return true;
  }
  lua_pushvalue(L, lua_upvalueindex(DECODE));
  lua_pushlstring(L, call->args.p, call->args.n);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK || !lua_istable(L, -1)) return false;
  bind_args(L);
  return true;
}

#define ARGS_MAX 32
#define BEHIND 4 /* places for whoever calls with them */

static void push_scalar(lua_State *L, const struct ws_call_value *value) {
  switch (value->type) {
  case WS_CALL_NULL: lua_pushnil(L); break;
  case WS_CALL_BOOLEAN: lua_pushboolean(L, value->boolean); break;
  case WS_CALL_INTEGER: lua_pushinteger(L, value->integer); break;
  case WS_CALL_TEXT: lua_pushlstring(L, value->text.p, value->text.n); break;
  }
}

int ws_call_push_args(lua_State *L, const struct ws_call *call) {
  struct ws_slice left = {call->args.p + 1, call->args.n - 1};
  struct ws_call_value value;
  int n = 0;
  if (!call->has_args) return 0;
  if (!lua_checkstack(L, ARGS_MAX + BEHIND)) return -1;
  for (; left.n > 0; n++) {
    if (n == ARGS_MAX || !ws_call_take(&left, &value)) return -1;
    push_scalar(L, &value);
  }
  return n;
}

/* 1: bytes, 2: kind */
static int read_call(lua_State *L) {
  struct ws_call call;
  struct ws_slice bytes;
  bytes.p = luaL_checklstring(L, 1, &bytes.n);
  if ((lua_Number)bytes.n > lua_tonumber(L, lua_upvalueindex(MOST)) ||
      ws_check_kind(L, 2) != WS_OP_TEXT || !ws_call_read(bytes, &call))
    return ask_otherwise(L, lua_upvalueindex(OTHERWISE));
  lua_pushboolean(L, true);
  if (call.id.p)
    lua_pushlstring(L, call.id.p, call.id.n);
  else
    lua_pushnil(L);
  lua_pushlstring(L, call.target.p, call.target.n);
  if (!push_args(L, &call))
    return ask_otherwise(L, lua_upvalueindex(OTHERWISE));
  return 6;
}

int ws_lua_call_reader(lua_State *L) {
  luaL_checktype(L, MOST, LUA_TNUMBER);
  for (int i = DECODE; i <= OTHERWISE; i++) luaL_checktype(L, i, LUA_TFUNCTION);
  lua_settop(L, OTHERWISE);
  lua_pushcclosure(L, read_call, OTHERWISE);
  return 1;
}

/* ---- the result ---- */

static struct ws_slice integer(lua_Integer value, char to[DIGITS]) {
  size_t at = DIGITS;
  lua_Unsigned left = value < 0 ? 0 - (lua_Unsigned)value : (lua_Unsigned)value;
  do {
    to[--at] = (char)('0' + left % 10);
    left /= 10;
  } while (left > 0);
  if (value < 0) to[--at] = '-';
  return (struct ws_slice){to + at, DIGITS - at};
}

static bool is_text(struct ws_slice text) {
  return ws_call_is_plain(text) && ws_utf8_is_valid(text.p, text.n);
}

/* What stands for the value at `at` between its quotes, if it has any. False:
 * it is something else. */
static bool result_of(lua_State *L, int at, struct ws_slice *text,
                      char room[DIGITS]) {
  switch (lua_type(L, at)) {
  case LUA_TNIL: *text = WS_SLICE("null"); return true;
  case LUA_TBOOLEAN:
    *text = lua_toboolean(L, at) ? WS_SLICE("true") : WS_SLICE("false");
    return true;
  case LUA_TNUMBER:
    *text = integer(lua_tointeger(L, at), room);
    return lua_isinteger(L, at);
  case LUA_TSTRING:
    text->p = lua_tolstring(L, at, &text->n);
    return is_text(*text);
  default: return false;
  }
}

static char *put(char *to, struct ws_slice text) {
  memcpy(to, text.p, text.n);
  return to + text.n;
}

#define FRAME_MAX 64 /* what stands around an id and a result, and more */

static char *put_result(char *to, struct ws_slice id, struct ws_slice text,
                        bool is_quoted) {
  const struct ws_slice quote = is_quoted ? WS_SLICE("\"") : WS_SLICE("");
  to = put(to, WS_SLICE("{\"type\":3,\"invocationId\":\""));
  to = put(put(to, id), WS_SLICE("\",\"result\":"));
  return put(put(put(put(to, quote), text), quote), WS_SLICE("}\x1E"));
}

/* 1: id, 2: value */
static int write_result(lua_State *L) {
  struct ws_slice id, text;
  char room[DIGITS];
  luaL_Buffer b;
  lua_settop(L, 2);
  id.p = luaL_checklstring(L, 1, &id.n);
  if (!ws_call_is_plain(id) || !result_of(L, 2, &text, room))
    return ask_otherwise(L, lua_upvalueindex(1));
  char *to = luaL_buffinitsize(L, &b, FRAME_MAX + id.n + text.n);
  const char *end = put_result(to, id, text, lua_type(L, 2) == LUA_TSTRING);
  luaL_pushresultsize(&b, (size_t)(end - to));
  return 1;
}

size_t ws_call_put_result(lua_State *L, int at, struct ws_slice id, char *to) {
  struct ws_slice text;
  char room[DIGITS];
  if (!result_of(L, at, &text, room) || id.n > WS_RESULT_MAX ||
      text.n > WS_RESULT_MAX || FRAME_MAX + id.n + text.n > WS_RESULT_MAX)
    return 0;
  bool is_quoted = lua_type(L, at) == LUA_TSTRING;
  return (size_t)(put_result(to, id, text, is_quoted) - to);
}

int ws_lua_result_writer(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushcclosure(L, write_result, 1);
  return 1;
}
