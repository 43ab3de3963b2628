/* probe_origin: the origin policy. Texts end at a fence, without a NUL; the
 * Host of host_matches starts at one.
 *
 * is_pattern(p) -> true | false, why
 * matches(origin, pattern), is_same(origin or nil, host, secure)
 * parse_host(host) -> name, port or -1 | nil
 * is_host_pattern(entry) -> true | false, why
 * host_matches(host, entry) */
#include "probe.h"

#include <lauxlib.h>

#include "protocol/origin.h"

void probe_open_origin(lua_State *L);

/* nil is the slice of a field that is not there. */
static struct ws_slice open_slice_at(lua_State *L, int arg,
                                     struct probe_fence *f,
                                     enum probe_side side) {
  size_t n = 0;
  const char *s = luaL_optlstring(L, arg, NULL, &n);
  if (s == NULL) n = 0;
  probe_fence_open(L, f, s != NULL ? s : "", n, side);
  return (struct ws_slice){s != NULL ? (char *)f->bytes : NULL, n};
}

static struct ws_slice open_slice(lua_State *L, int arg,
                                  struct probe_fence *f) {
  return open_slice_at(L, arg, f, PROBE_BACK);
}

static int origin_is_pattern(lua_State *L) {
  struct probe_fence f;
  const char *why = "unset";
  bool ok = ws_origin_is_pattern(open_slice(L, 1, &f), &why);
  probe_fence_close(&f);
  lua_pushboolean(L, ok);
  if (ok) return 1;
  lua_pushstring(L, why);
  return 2;
}

static int origin_is_host_pattern(lua_State *L) {
  struct probe_fence f;
  const char *why = "unset";
  bool ok = ws_origin_is_host_pattern(open_slice(L, 1, &f), &why);
  probe_fence_close(&f);
  lua_pushboolean(L, ok);
  if (ok) return 1;
  lua_pushstring(L, why);
  return 2;
}

static int origin_matches(lua_State *L) {
  struct probe_fence f, g;
  struct ws_slice origin = open_slice(L, 1, &f);
  struct ws_slice pattern = open_slice(L, 2, &g);
  lua_pushboolean(L, ws_origin_matches(origin, pattern));
  probe_fence_close(&f);
  probe_fence_close(&g);
  return 1;
}

static int origin_is_same(lua_State *L) {
  struct probe_fence f, g;
  struct ws_slice origin = open_slice(L, 1, &f);
  struct ws_slice host = open_slice(L, 2, &g);
  lua_pushboolean(L, ws_origin_is_same(origin, host, lua_toboolean(L, 3)));
  probe_fence_close(&f);
  probe_fence_close(&g);
  return 1;
}

static int origin_parse_host(lua_State *L) {
  struct probe_fence f;
  struct ws_slice name;
  long port;
  bool ok = ws_origin_parse_host(open_slice(L, 1, &f), &name, &port);
  if (ok) {
    lua_pushlstring(L, name.p, name.n);
    lua_pushinteger(L, port);
  }
  probe_fence_close(&f);
  return ok ? 2 : 0;
}

static int origin_host_matches(lua_State *L) {
  struct probe_fence f, g;
  struct ws_slice host = open_slice_at(L, 1, &f, PROBE_FRONT);
  struct ws_slice entry = open_slice(L, 2, &g);
  lua_pushboolean(L, ws_origin_host_matches(host, entry));
  probe_fence_close(&f);
  probe_fence_close(&g);
  return 1;
}

static const luaL_Reg functions[] = {
  {"is_pattern", origin_is_pattern},
  {"matches", origin_matches},
  {"is_same", origin_is_same},
  {"parse_host", origin_parse_host},
  {"host_matches", origin_host_matches},
  {"is_host_pattern", origin_is_host_pattern},
  {NULL, NULL},
};

void probe_open_origin(lua_State *L) {
  luaL_newlib(L, functions);
}
