/* lua_packed_call.c: an invocation and its result in MessagePack. What is rare
 * (text that is not UTF-8, extensions, values that are nested deep or cut) is
 * left to Lua. */
#include "binding/lua_packed_call.h"

#include <lauxlib.h>

#include "binding/lua_call.h"
#include "binding/lua_message.h"
#include "protocol/messagepack.h"
#include "protocol/utf8.h"

#define LEVELS_MAX 64 /* of C's stack, whatever the values may have */
#define ROOM 16       /* reserved at most for what is only declared */
#define LENGTH_MAX 10 /* bytes of a length in front of a record */

enum { /* upvalues */
       MOST = 1,
       LEVELS = WS_PACKED_LEVELS,
       NIL = WS_PACKED_NIL,
       MAP_MARK = WS_PACKED_MAP_MARK,
       OTHERWISE
};

static int ask_otherwise(lua_State *L, int fn) {
  lua_settop(L, 2);
  lua_pushvalue(L, fn);
  lua_insert(L, 1);
  lua_call(L, 2, LUA_MULTRET);
  return lua_gettop(L);
}

/* ---- the arguments ---- */

/* Each pushes what it says; false, whatever it has pushed: it is rare. */
static bool push_value(lua_State *L, struct ws_slice *left, lua_Integer levels);

static bool push_text(lua_State *L, struct ws_slice text) {
  if (!ws_utf8_is_valid(text.p, text.n)) return false;
  lua_pushlstring(L, text.p, text.n);
  return true;
}

/* Of so many values, each of them a byte at least, on this level. */
static bool push_table(lua_State *L, const struct ws_slice *left,
                       lua_Integer levels, uint64_t n, bool is_map) {
  if (levels == 0 || n > left->n || !lua_checkstack(L, 8)) return false;
  int room = n < ROOM ? (int)n : ROOM;
  lua_createtable(L, is_map ? 0 : room, is_map ? room / 2 : 0);
  return true;
}

static bool push_list(lua_State *L, struct ws_slice *left, lua_Integer levels,
                      uint32_t n) {
  if (!push_table(L, left, levels, n, false)) return false;
  for (lua_Integer i = 1; i <= n; i++) {
    if (!push_value(L, left, levels - 1)) return false;
    lua_rawseti(L, -2, i);
  }
  return true;
}

static bool push_map(lua_State *L, struct ws_slice *left, lua_Integer levels,
                     uint32_t n) {
  struct ws_messagepack key;
  bool is_marked = n == 0;
  if (!push_table(L, left, levels, 2 * (uint64_t)n, true)) return false;
  for (uint32_t i = 0; i < n; i++) {
    if (!ws_messagepack_take(left, &key)) return false;
    if (key.type == WS_MESSAGEPACK_INTEGER) {
      is_marked = true;
      lua_pushinteger(L, key.integer);
    } else if (key.type != WS_MESSAGEPACK_TEXT || !push_text(L, key.bytes)) {
      return false;
    }
    if (!push_value(L, left, levels - 1)) return false;
    lua_rawset(L, -3);
  }
  if (!is_marked) return true;
  lua_pushvalue(L, lua_upvalueindex(MAP_MARK));
  lua_setmetatable(L, -2);
  return true;
}

static bool push_token(lua_State *L, struct ws_slice *left, lua_Integer levels,
                       const struct ws_messagepack *value) {
  switch (value->type) {
  case WS_MESSAGEPACK_NIL: lua_pushvalue(L, lua_upvalueindex(NIL)); return true;
  case WS_MESSAGEPACK_BOOLEAN: lua_pushboolean(L, value->boolean); return true;
  case WS_MESSAGEPACK_INTEGER: lua_pushinteger(L, value->integer); return true;
  case WS_MESSAGEPACK_FLOAT: lua_pushnumber(L, value->number); return true;
  case WS_MESSAGEPACK_TEXT: return push_text(L, value->bytes);
  case WS_MESSAGEPACK_BYTES:
    lua_pushlstring(L, value->bytes.p, value->bytes.n);
    return true;
  case WS_MESSAGEPACK_LIST: return push_list(L, left, levels, value->count);
  default: return push_map(L, left, levels, value->count);
  }
}

static bool push_value(lua_State *L, struct ws_slice *left,
                       lua_Integer levels) {
  struct ws_messagepack value;
  return ws_messagepack_take(left, &value) &&
         push_token(L, left, levels, &value);
}

static lua_Integer levels_of(lua_State *L) {
  lua_Integer levels = lua_tointeger(L, lua_upvalueindex(LEVELS));
  return levels > LEVELS_MAX ? LEVELS_MAX : levels;
}

/* Pushes args, in which nil is nil, and n. */
static bool push_args(lua_State *L, const struct ws_packed_call *call) {
  struct ws_slice left = call->args;
  struct ws_messagepack value;
  lua_Integer n = call->n_args, levels = levels_of(L);
  if ((uint64_t)n > left.n) return false;
  lua_createtable(L, n < ROOM ? (int)n : ROOM, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    if (!ws_messagepack_take(&left, &value)) return false;
    if (value.type == WS_MESSAGEPACK_NIL) continue;
    if (!push_token(L, &left, levels, &value)) return false;
    lua_rawseti(L, -2, i);
  }
  lua_pushinteger(L, n);
  return ws_packed_call_ends(call, left);
}

#define ARGS_MAX 32
#define BEHIND 4 /* places for whoever calls with them */

int ws_packed_push_args(lua_State *L, const struct ws_packed_call *call) {
  struct ws_slice left = call->args;
  struct ws_messagepack value;
  lua_Integer levels = levels_of(L);
  if (call->n_args > ARGS_MAX || !lua_checkstack(L, ARGS_MAX + BEHIND))
    return -1;
  for (uint32_t i = 0; i < call->n_args; i++) {
    if (!ws_messagepack_take(&left, &value)) return -1;
    if (value.type == WS_MESSAGEPACK_NIL)
      lua_pushnil(L);
    else if (!push_token(L, &left, levels, &value))
      return -1;
  }
  return ws_packed_call_ends(call, left) ? (int)call->n_args : -1;
}

/* Pushes true, id, target, args and n. */
static bool push_call(lua_State *L, struct ws_slice bytes) {
  struct ws_packed_call call;
  if (!ws_packed_call_read(bytes, &call)) return false;
  lua_pushboolean(L, true);
  if (!call.id.p)
    lua_pushnil(L);
  else if (!push_text(L, call.id))
    return false;
  return push_text(L, call.target) && push_args(L, &call);
}

/* 1: bytes, 2: kind */
static int read_call(lua_State *L) {
  struct ws_slice bytes;
  bytes.p = luaL_checklstring(L, 1, &bytes.n);
  if ((lua_Number)bytes.n <= lua_tonumber(L, lua_upvalueindex(MOST)) &&
      ws_check_kind(L, 2) == WS_OP_BINARY && push_call(L, bytes))
    return 5;
  return ask_otherwise(L, lua_upvalueindex(OTHERWISE));
}

int ws_lua_packed_reader(lua_State *L) {
  luaL_checktype(L, MOST, LUA_TNUMBER);
  luaL_checkinteger(L, LEVELS);
  luaL_checkany(L, NIL);
  luaL_checktype(L, MAP_MARK, LUA_TTABLE);
  luaL_checktype(L, OTHERWISE, LUA_TFUNCTION);
  lua_settop(L, OTHERWISE);
  lua_pushcclosure(L, read_call, OTHERWISE);
  return 1;
}

/* ---- the result ---- */

/* The head of the value at `at`, or all of it; *text: what is behind the head.
 * NULL: it is something else. */
static char *put_value(lua_State *L, int at, char *to, struct ws_slice *text) {
  *text = (struct ws_slice){"", 0};
  switch (lua_type(L, at)) {
  case LUA_TNIL: *to = '\xC0'; return to + 1;
  case LUA_TBOOLEAN:
    *to = lua_toboolean(L, at) ? '\xC3' : '\xC2';
    return to + 1;
  case LUA_TNUMBER:
    if (lua_isinteger(L, at))
      return ws_messagepack_put_integer(to, lua_tointeger(L, at));
    return ws_messagepack_put_float(to, lua_tonumber(L, at));
  case LUA_TSTRING:
    text->p = lua_tolstring(L, at, &text->n);
    if (text->n > INT32_MAX || !ws_utf8_is_valid(text->p, text->n)) return NULL;
    return ws_messagepack_put_text_head(to, (uint32_t)text->n);
  default: return NULL;
  }
}

/* As take_length of packed_call.c, of any length. */
static char *put_length(char *to, size_t n) {
  for (; n >= 0x80; n >>= 7) *to++ = (char)(n | 0x80);
  *to++ = (char)n;
  return to;
}

static char *put(char *to, struct ws_slice bytes) {
  memcpy(to, bytes.p, bytes.n);
  return to + bytes.n;
}

static struct ws_slice from_to(const char *start, const char *end) {
  return (struct ws_slice){start, (size_t)(end - start)};
}

/* The pieces of a result's record, behind its length. */
struct result {
  char front[3 + WS_MESSAGEPACK_HEAD], middle[1 + WS_MESSAGEPACK_HEAD];
  struct ws_slice pieces[4];
  size_t n; /* bytes of all */
};

/* False: the value is something else. */
static bool take_apart(lua_State *L, int at, struct ws_slice id,
                       struct result *r) {
  struct ws_slice text;
  r->middle[0] = 3; /* the kind: there is a value */
  const char *middle_end = put_value(L, at, r->middle + 1, &text);
  if (!middle_end || id.n > INT32_MAX || !ws_utf8_is_valid(id.p, id.n))
    return false;
  const char *front_end = ws_messagepack_put_text_head(
    put(r->front, WS_SLICE("\x95\x03\x80")), (uint32_t)id.n);
  r->pieces[0] = from_to(r->front, front_end);
  r->pieces[1] = id;
  r->pieces[2] = from_to(r->middle, middle_end);
  r->pieces[3] = text;
  r->n = 0;
  for (int i = 0; i < 4; i++) r->n += r->pieces[i].n;
  return true;
}

static char *put_together(char *to, const struct result *r) {
  to = put_length(to, r->n);
  for (int i = 0; i < 4; i++) to = put(to, r->pieces[i]);
  return to;
}

/* 1: id, 2: value */
static int write_result(lua_State *L) {
  struct ws_slice id;
  struct result r;
  luaL_Buffer b;
  lua_settop(L, 2);
  id.p = luaL_checklstring(L, 1, &id.n);
  if (!take_apart(L, 2, id, &r)) return ask_otherwise(L, lua_upvalueindex(1));
  char *start = luaL_buffinitsize(L, &b, LENGTH_MAX + r.n);
  luaL_pushresultsize(&b, (size_t)(put_together(start, &r) - start));
  return 1;
}

size_t ws_packed_put_result(lua_State *L, int at, struct ws_slice id,
                            char *to) {
  struct result r;
  if (!take_apart(L, at, id, &r) || LENGTH_MAX + r.n > WS_RESULT_MAX) return 0;
  return (size_t)(put_together(to, &r) - to);
}

int ws_lua_packed_writer(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushcclosure(L, write_result, 1);
  return 1;
}
