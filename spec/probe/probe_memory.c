/* probe_memory: Lua's own allocator, which refuses when it is told to.
 *
 * refuse(n)  after n more requests for memory all are refused, until
 *            refuse(); Lua collects its garbage and asks once more for each
 * count()    requests so far */
#include "probe.h"

#include <lauxlib.h>

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

void probe_open_memory(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"refuse", memory_refuse}, {"count", memory_count}, {NULL, NULL}};
  luaL_newlib(L, functions);
}
