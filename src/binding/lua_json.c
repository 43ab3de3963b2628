/* lua_json.c: JSON to tables, of raw slices or of values.
 *
 * Both walk the tokens of protocol/json.h and keep what is open on Lua's
 * stack: a table for each level, and in an object the key that waits for its
 * value. */
#include "binding/lua_json.h"

#include <lauxlib.h>

#include "binding/state.h"
#include "protocol/json.h"
#include "protocol/utf8.h"

#define DEPTH_DEFAULT 64
#define NUMBER_MAX 400           /* characters of a number */
#define EXACT 9007199254740992.0 /* beyond it not each integer is one */

struct tree {
  lua_State *L;
  struct ws_json json;
  size_t levels; /* that become tables */
  int null;      /* where null's value stands, and behind it the mark of objects
             * that are empty; 0: raw slices */
  uint32_t n[WS_JSON_DEPTH_MAX]; /* elements of each list */
};

static void push_string(lua_State *L, struct ws_slice raw) {
  if (ws_json_is_plain(raw)) {
    lua_pushlstring(L, raw.p + 1, raw.n - 2);
    return;
  }
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, raw.n);
  luaL_pushresultsize(&b, ws_json_unescape(raw, to));
}

/* Integers are integers, however they were written, as far as a double tells
 * them apart. False: too large. */
static bool push_number(lua_State *L, struct ws_slice raw) {
  char text[NUMBER_MAX];
  if (raw.n >= sizeof text) return false;
  memcpy(text, raw.p, raw.n);
  text[raw.n] = '\0';
  if (!lua_stringtonumber(L, text)) return false;
  if (lua_isinteger(L, -1)) return true;
  lua_Number x = lua_tonumber(L, -1);
  if (x - x != 0) return false;
  /* lua_numbertointeger is Lua 5.4's alone */
  if (x < -EXACT || x > EXACT || (lua_Number)(lua_Integer)x != x) return true;
  lua_pop(L, 1);
  lua_pushinteger(L, (lua_Integer)x);
  return true;
}

static bool push_scalar(const struct tree *t, enum ws_json_token token,
                        struct ws_slice raw) {
  lua_State *L = t->L;
  if (!t->null) {
    lua_pushlstring(L, raw.p, raw.n);
    return true;
  }
  switch (token) {
  case WS_JSON_STRING: push_string(L, raw); return true;
  case WS_JSON_NUMBER: return push_number(L, raw);
  case WS_JSON_NULL: lua_pushvalue(L, t->null); return true;
  default: lua_pushboolean(L, token == WS_JSON_TRUE); return true;
  }
}

/* The value on top goes to where it belongs: into the list below it, or by the
 * key below it into the object below that. */
static void attach(struct tree *t) {
  size_t depth = t->json.depth;
  if (depth == 0) return;
  if (ws_json_in_object(&t->json))
    lua_rawset(t->L, -3);
  else
    lua_rawseti(t->L, -2, (lua_Integer)++t->n[depth - 1]);
}

/* A table is made of it where its level is one of those that are, and so are
 * lists: as the whole text, and in values. */
static bool becomes_table(const struct tree *t, enum ws_json_token token) {
  size_t depth = t->json.depth;
  return depth <= t->levels &&
         (token == WS_JSON_OBJECT || depth == 1 || t->null);
}

static void open_table(struct tree *t) {
  luaL_checkstack(t->L, 6, "JSON");
  lua_newtable(t->L);
  t->n[t->json.depth - 1] = 0;
}

/* An object without members is marked, as it would be a list otherwise. */
static void mark_empty(const struct tree *t) {
  lua_State *L = t->L;
  lua_pushnil(L);
  if (lua_next(L, -2)) {
    lua_pop(L, 2);
    return;
  }
  lua_pushvalue(L, t->null + 1);
  lua_setmetatable(L, -2);
}

static enum ws_json_token add(struct tree *t, enum ws_json_token token,
                              struct ws_slice raw) {
  switch (token) {
  case WS_JSON_KEY: push_string(t->L, raw); return token;
  case WS_JSON_CLOSE:
    if (t->null && raw.p[0] == '}') mark_empty(t);
    attach(t);
    return token;
  case WS_JSON_OBJECT:
  case WS_JSON_LIST:
    if (becomes_table(t, token)) {
      open_table(t);
      return token;
    }
    token = ws_json_skip(&t->json, &raw);
    if (token != WS_JSON_OBJECT) return token;
    lua_pushlstring(t->L, raw.p, raw.n);
    attach(t);
    return token;
  default:
    if (!push_scalar(t, token, raw)) return WS_JSON_NOT;
    attach(t);
    return token;
  }
}

static int push_why(const struct tree *t, enum ws_json_token why) {
  lua_pushnil(t->L);
  if (why == WS_JSON_DEEP)
    lua_pushliteral(t->L, "nested too deep");
  else
    lua_pushfstring(t->L, "no JSON at byte %I", (LUAI_UACINT)t->json.at + 1);
  return 2;
}

/* The value of the text at 1, or nil and what is wrong with it. */
static int read_tree(lua_State *L, size_t depth, size_t levels, int null) {
  struct ws_slice text, raw;
  struct tree t; /* large: what is not needed is not set */
  t.L = L;
  t.levels = levels;
  t.null = null;
  text.p = lua_tolstring(L, 1, &text.n);
  ws_json_begin(&t.json, text, depth);
  if (!ws_utf8_is_valid(text.p, text.n)) {
    lua_pushnil(L);
    lua_pushliteral(L, "text is not UTF-8");
    return 2;
  }
  for (;;) {
    enum ws_json_token token = ws_json_next(&t.json, &raw);
    if (token == WS_JSON_END) return 1;
    if (token > WS_JSON_END) token = add(&t, token, raw);
    if (token < WS_JSON_END) return push_why(&t, token);
  }
}

static size_t check_depth(lua_State *L, int arg) {
  lua_Integer depth = luaL_optinteger(L, arg, DEPTH_DEFAULT);
  luaL_argcheck(L, depth >= 0 && depth <= WS_JSON_DEPTH_MAX, arg,
                "0 to 1024 expected");
  return (size_t)depth;
}

int ws_lua_json_split(lua_State *L) {
  ws_state_check_dot(L, "json_split");
  luaL_checktype(L, 1, LUA_TSTRING);
  lua_Integer levels = luaL_optinteger(L, 2, 1);
  luaL_argcheck(L, levels >= 0 && levels <= WS_JSON_DEPTH_MAX, 2,
                "0 to 1024 expected");
  size_t depth = check_depth(L, 3);
  lua_settop(L, 1);
  return read_tree(L, depth, (size_t)levels, 0);
}

int ws_lua_json_decode(lua_State *L) {
  luaL_checktype(L, 1, LUA_TSTRING);
  size_t depth = check_depth(L, 2);
  lua_settop(L, 4);
  return read_tree(L, depth, WS_JSON_DEPTH_MAX, 3);
}
