/* probe_router: is_pattern(p) -> true | false, why
 * find(patterns, path) -> the pattern it belongs to, { [name] = value } | nil
 * is_taken(patterns, pattern) */
#include "probe.h"

#include <stdlib.h>

#include <lauxlib.h>

#include "engine/router.h"

void probe_open_router(lua_State *L);

static struct ws_slice slice_at(lua_State *L, int index) {
  struct ws_slice s;
  s.p = luaL_checklstring(L, index, &s.n);
  return s;
}

static int router_is_pattern(lua_State *L) {
  const char *why = NULL;
  lua_pushboolean(L, ws_router_is_pattern(slice_at(L, 1), &why));
  lua_pushstring(L, why);
  return 2;
}

/* Routes are the numbers of the patterns, as addresses. */
static struct ws_route *name_of(lua_Integer i) {
  return (struct ws_route *)(size_t)i;
}

static void fill(lua_State *L, struct ws_router *r) {
  lua_Integer n = luaL_len(L, 1);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    if (!ws_router_add(r, slice_at(L, -1), name_of(i))) abort();
    lua_pop(L, 1);
  }
}

static void push_params(lua_State *L, struct ws_slice pattern,
                        struct ws_slice path) {
  struct ws_router_iter iter = {0, 0};
  struct ws_slice name, value;
  lua_newtable(L);
  while (ws_router_next_param(pattern, path, &iter, &name, &value)) {
    luaL_Buffer b;
    lua_pushlstring(L, name.p, name.n);
    char *to = luaL_buffinitsize(L, &b, value.n);
    luaL_pushresultsize(&b, ws_router_decode(value, to));
    lua_rawset(L, -3);
  }
}

static int router_find(lua_State *L) {
  struct ws_router r = {NULL};
  struct ws_slice path = slice_at(L, 2);
  fill(L, &r);
  struct ws_route *found = ws_router_find(&r, path);
  ws_router_free(&r);
  if (!found) return 0;
  lua_rawgeti(L, 1, (lua_Integer)(size_t)found);
  push_params(L, slice_at(L, -1), path);
  return 2;
}

static int router_is_taken(lua_State *L) {
  struct ws_router r = {NULL};
  fill(L, &r);
  lua_pushboolean(L, ws_router_has(&r, slice_at(L, 2)));
  ws_router_free(&r);
  return 1;
}

static const luaL_Reg functions[] = {{"find", router_find},
                                     {"is_pattern", router_is_pattern},
                                     {"is_taken", router_is_taken},
                                     {NULL, NULL}};

void probe_open_router(lua_State *L) {
  luaL_newlib(L, functions);
}
