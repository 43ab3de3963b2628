/* probe_escape: escape(text, how, cap) -> what ws_escape writes into so many
 * bytes; how: "word", "ascii", "text", "lines". short(text, how) likewise.
 * Text and output end at a fence. */
#include "probe.h"

#include <lauxlib.h>

#include "base/escape.h"

void probe_open_escape(lua_State *L);

static enum ws_escape check_how(lua_State *L, int arg) {
  static const char *const names[] = {"word", "ascii", "text", "lines", NULL};
  return (enum ws_escape)luaL_checkoption(L, arg, NULL, names);
}

static int escape_into(lua_State *L, bool is_short) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  enum ws_escape how = check_how(L, 2);
  lua_Integer cap = is_short ? WS_ESCAPE_SHORT : luaL_checkinteger(L, 3);
  struct probe_fence in, out;
  luaL_argcheck(L, cap >= 4 && cap <= 1 << 20, 3, "out of range");
  char *room = lua_newuserdatauv(L, (size_t)cap, 0);
  memset(room, 'x', (size_t)cap);
  probe_fence_open(L, &in, text, n, PROBE_BACK);
  probe_fence_open(L, &out, room, (size_t)cap, PROBE_BACK);
  struct ws_slice slice = {(char *)in.bytes, n};
  char *to = (char *)out.bytes;
  size_t len = is_short ? ws_escape_short(to, slice, how)
                        : ws_escape(to, (size_t)cap, slice, how);
  bool is_ended = len < (size_t)cap && to[len] == 0;
  lua_pushlstring(L, to, len < (size_t)cap ? len : (size_t)cap);
  bool is_whole = probe_fence_close(&in);
  is_whole = probe_fence_close(&out) && is_whole;
  if (!is_whole || !is_ended) return luaL_error(L, "written too far");
  return 1;
}

static int escape(lua_State *L) {
  return escape_into(L, false);
}

static int escape_short(lua_State *L) {
  return escape_into(L, true);
}

void probe_open_escape(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"escape", escape}, {"short", escape_short}, {NULL, NULL}};
  luaL_newlib(L, functions);
}
