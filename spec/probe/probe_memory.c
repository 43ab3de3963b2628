/* probe_memory: Lua's own allocator, which refuses when it is told to.
 *
 * refuse(n)  after n more requests for memory all are refused, until
 *            refuse(); Lua collects its garbage and asks once more for each
 * count()    requests so far
 * zmem(size, { n, ... }) -> how many of the requests of n bytes (zmem.h) were
 *            answered out of pages of `size` bytes; all are freed */
#include "probe.h"

#include <stdint.h>

#include <lauxlib.h>

#include "protocol/zmem.h"

void probe_open_memory(lua_State *L);

static struct {
  lua_Alloc allocate;
  void *ud;
  lua_Integer n, limit; /* limit negative: nothing is refused */
} memory = {.limit = -1};

/* Giving back and shrinking never fail. */
static void *allocate(void *ud, void *at, size_t before, size_t n) {
  bool is_request = n > 0 && (!at || n > before);
  (void)ud;
  if (is_request && memory.limit >= 0 && memory.n >= memory.limit) return NULL;
  memory.n += is_request;
  return memory.allocate(memory.ud, at, before, n);
}

static int memory_refuse(lua_State *L) {
  lua_Integer n = luaL_optinteger(L, 1, -1);
  if (!memory.allocate) {
    memory.allocate = lua_getallocf(L, &memory.ud);
    lua_setallocf(L, allocate, NULL);
  }
  memory.limit = n < 0 ? -1 : memory.n + n;
  return 0;
}

static int memory_count(lua_State *L) {
  lua_pushinteger(L, memory.n);
  return 1;
}

static int memory_zmem(lua_State *L) {
  struct ws_zmem m;
  void *at[16];
  int n = (int)luaL_len(L, 2), inside = 0;
  luaL_argcheck(L, n <= 16, 2, "too many");
  ws_zmem_open(&m, (size_t)luaL_checkinteger(L, 1));
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, 2, i + 1);
    at[i] = ws_zmem_alloc(&m, 1, (unsigned)lua_tointeger(L, -1));
    uintptr_t p = (uintptr_t)at[i], from = (uintptr_t)m.pages;
    inside += m.pages && p >= from && p < from + m.size;
    lua_pop(L, 1);
  }
  for (int i = 0; i < n; i++) ws_zmem_free(&m, at[i]);
  ws_zmem_close(&m);
  lua_pushinteger(L, inside);
  return 1;
}

void probe_open_memory(lua_State *L) {
  static const luaL_Reg functions[] = {{"refuse", memory_refuse},
                                       {"count", memory_count},
                                       {"zmem", memory_zmem},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
}
