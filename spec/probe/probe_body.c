/* probe_body: src/protocol/body.h for specs.
 *
 * feed(framing, bytes[, cuts[, max]])
 *   framing: a length, or "chunked"; cuts: nil, all at once; an integer,
 *   pieces of that many bytes. Each piece is a fresh copy of exact size.
 *   -> data, taken, done | nil, err, taken  (taken: bytes before the error's)
 * parse_length(s) -> the number as a decimal string | nil */

#include <inttypes.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/body.h"

void probe_open_body(lua_State *L);

/* Takes one piece, of which the data goes to out. */
static int64_t feed_piece(struct ws_body *b, const char *piece, size_t n,
                          char *out, size_t *out_len, const char **what) {
  size_t i = 0;
  char *copy = malloc(n);
  if (!copy) abort();
  memcpy(copy, piece, n);
  while (i < n && !ws_body_is_done(b)) {
    struct ws_slice data;
    int64_t taken = ws_body_feed(b, copy + i, n - i, &data);
    if (taken < 0) {
      free(copy);
      return taken;
    }
    if (taken == 0 || (size_t)taken > n - i) *what = "it took nothing";
    if (data.n > 0 && data.p + data.n != copy + i + taken)
      *what = "the data does not end what was taken";
    if (*what) break;
    if (data.n > 0) memcpy(out + *out_len, data.p, data.n);
    *out_len += data.n;
    i += (size_t)taken;
  }
  free(copy);
  return (int64_t)i;
}

static int start(lua_State *L, struct ws_body *b) {
  uint64_t max = (uint64_t)luaL_optinteger(L, 4, 1 << 20);
  if (lua_isinteger(L, 1))
    return ws_body_init_length(b, (uint64_t)lua_tointeger(L, 1), max);
  ws_body_init_chunked(b, max);
  return WS_OK;
}

static int feed(lua_State *L) {
  size_t n, at = 0, len = 0;
  const char *bytes = luaL_checklstring(L, 2, &n), *what = NULL;
  size_t step = (size_t)luaL_optinteger(L, 3, (lua_Integer)n);
  struct ws_body b;
  struct ws_slice none;
  int64_t taken = start(L, &b);
  char *out = lua_newuserdatauv(L, n, 0);
  while (taken >= 0 && at < n && !ws_body_is_done(&b)) {
    size_t piece = step < n - at ? step : n - at;
    taken = feed_piece(&b, bytes + at, piece, out, &len, &what);
    if (what) return luaL_error(L, "%s", what);
    if (taken > 0) at += (size_t)taken;
  }
  if (taken < 0) {
    lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)taken);
    lua_pushinteger(L, (lua_Integer)at);
    return 3;
  }
  if (ws_body_is_done(&b) && ws_body_feed(&b, "x", 1, &none) != 0)
    return luaL_error(L, "it takes bytes after the end");
  lua_pushlstring(L, out, len);
  lua_pushinteger(L, (lua_Integer)at);
  lua_pushboolean(L, ws_body_is_done(&b));
  return 3;
}

static int parse_length(lua_State *L) {
  struct ws_slice s;
  uint64_t length;
  char text[24];
  s.p = luaL_checklstring(L, 1, &s.n);
  if (!ws_body_parse_length(s, &length)) return 0;
  snprintf(text, sizeof text, "%" PRIu64, length);
  lua_pushstring(L, text);
  return 1;
}

static const luaL_Reg functions[] = {
  {"feed", feed}, {"parse_length", parse_length}, {NULL, NULL}};

void probe_open_body(lua_State *L) {
  luaL_newlib(L, functions);
}
