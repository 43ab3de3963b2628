/* probe_reserve: what is set aside for libev (src/base/reserve.h).
 *
 * grow(n) -> boolean, shrink(n)
 * alloc(size, fails[, every]) -> does it get them? It frees them again. With
 *   `fails` the first attempt of the allocator's does, with `every` all later
 *   ones too (builds with WS_FAULT) */
#include "probe.h"

#include <lauxlib.h>

#include "base/buf.h"
#include "base/reserve.h"

void probe_open_reserve(lua_State *L);

static int reserve_grow(lua_State *L) {
  bool ok = ws_reserve_grow((size_t)luaL_checkinteger(L, 1));
  lua_pushboolean(L, ok);
  return 1;
}

static int reserve_shrink(lua_State *L) {
  ws_reserve_shrink((size_t)luaL_checkinteger(L, 1));
  return 0;
}

static int reserve_alloc(lua_State *L) {
  long size = (long)luaL_checkinteger(L, 1);
  ws_mem_fail_at(lua_toboolean(L, 2), lua_toboolean(L, 3));
  void *p = ws_reserve_alloc(NULL, size);
  ws_mem_fail_at(0, false);
  lua_pushboolean(L, p != NULL);
  ws_reserve_alloc(p, 0);
  return 1;
}

void probe_open_reserve(lua_State *L) {
  static const luaL_Reg functions[] = {{"grow", reserve_grow},
                                       {"shrink", reserve_shrink},
                                       {"alloc", reserve_alloc},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
}
