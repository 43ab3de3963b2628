/* probe_hash: hash(key of 16 bytes, text) -> 8 bytes, the least significant
 * first. The text ends at a fence. */
#include "probe.h"

#include <string.h>

#include <lauxlib.h>

#include "base/hash.h"

void probe_open_hash(lua_State *L);

static int hash(lua_State *L) {
  size_t n_key, n;
  const char *key = luaL_checklstring(L, 1, &n_key);
  const char *text = luaL_checklstring(L, 2, &n);
  struct ws_hash_key k = {{0, 0}};
  struct probe_fence f;
  char out[8];
  luaL_argcheck(L, n_key == 16, 1, "16 bytes expected");
  for (int i = 0; i < 16; i++)
    k.k[i / 8] |= (uint64_t)(uint8_t)key[i] << (8 * (i % 8));
  probe_fence_open(L, &f, text, n, PROBE_BACK);
  uint64_t h = ws_hash(&k, f.bytes, n);
  probe_fence_close(&f);
  for (int i = 0; i < 8; i++) out[i] = (char)(h >> (8 * i));
  lua_pushlstring(L, out, sizeof out);
  return 1;
}

void probe_open_hash(lua_State *L) {
  static const luaL_Reg functions[] = {{"hash", hash}, {NULL, NULL}};
  luaL_newlib(L, functions);
}
