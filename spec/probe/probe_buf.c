/* probe_buf: growable bytes and the allocator.
 *
 * new() -> buffer
 * zero(n)            what ws_mem_zero gave, as a string | nil
 * resize(s, n)       s copied into an allocation, resized to n -> string | nil
 * fail_at(n, every)  -> true where faults are compiled in
 * lend(n, size, late) -> the pool's bytes when n blocks of this size that were
 *                    lent have come back, the last `late` of them when the pool
 *                    has gone, and how much less memory is used after all |
 *                    nil without memory
 *
 * buffer:reserve(n), :reserve_exact(n), :append(s) -> boolean
 * buffer:write(s)    reserve_exact, write at the end, commit -> boolean
 * buffer:consume(n), :free(), :bytes()
 * buffer:shape() -> off, len, cap, room */
#include "probe.h"

#include <string.h>

#include <lauxlib.h>

#include "base/buf.h"

#define BUFFER "probe.buffer"

void probe_open_buf(lua_State *L);

static struct ws_buf *check_buf(lua_State *L) {
  return luaL_checkudata(L, 1, BUFFER);
}

static int buf_new(lua_State *L) {
  struct ws_buf *b = lua_newuserdatauv(L, sizeof *b, 0);
  *b = (struct ws_buf){0};
  luaL_setmetatable(L, BUFFER);
  return 1;
}

static int buf_reserve(lua_State *L) {
  size_t n = (size_t)luaL_checkinteger(L, 2);
  lua_pushboolean(L, ws_buf_reserve(check_buf(L), n));
  return 1;
}

static int buf_reserve_exact(lua_State *L) {
  size_t n = (size_t)luaL_checkinteger(L, 2);
  lua_pushboolean(L, ws_buf_reserve_exact(check_buf(L), n));
  return 1;
}

static int buf_append(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 2, &n);
  lua_pushboolean(L, ws_buf_append(check_buf(L), n > 0 ? s : NULL, n));
  return 1;
}

static int buf_write(lua_State *L) {
  struct ws_buf *b = check_buf(L);
  size_t n;
  const char *s = luaL_checklstring(L, 2, &n);
  bool ok = ws_buf_reserve_exact(b, n);
  if (ok && n > 0) memcpy(ws_buf_end(b), s, n);
  if (ok) ws_buf_commit(b, n);
  lua_pushboolean(L, ok);
  return 1;
}

static int buf_consume(lua_State *L) {
  struct ws_buf *b = check_buf(L);
  size_t n = (size_t)luaL_checkinteger(L, 2);
  luaL_argcheck(L, n <= b->len, 2, "more than there is");
  ws_buf_consume(b, n);
  return 0;
}

static int buf_free(lua_State *L) {
  ws_buf_free(check_buf(L));
  return 0;
}

static int buf_bytes(lua_State *L) {
  struct ws_buf *b = check_buf(L);
  lua_pushlstring(L, b->len > 0 ? (char *)ws_buf_begin(b) : "", b->len);
  return 1;
}

static int buf_shape(lua_State *L) {
  struct ws_buf *b = check_buf(L);
  lua_pushinteger(L, (lua_Integer)b->off);
  lua_pushinteger(L, (lua_Integer)b->len);
  lua_pushinteger(L, (lua_Integer)b->cap);
  lua_pushinteger(L, (lua_Integer)ws_buf_room(b));
  return 4;
}

static int mem_zero(lua_State *L) {
  size_t n = (size_t)luaL_checkinteger(L, 1);
  void *p = ws_mem_zero(n);
  if (p == NULL) return 0;
  lua_pushlstring(L, p, n);
  ws_mem_free(p);
  return 1;
}

static int mem_resize(lua_State *L) {
  size_t len;
  const char *s = luaL_checklstring(L, 1, &len);
  size_t n = (size_t)luaL_checkinteger(L, 2);
  char *p = ws_mem_alloc(len + 1);
  if (p == NULL) return 0;
  memcpy(p, s, len);
  char *q = ws_mem_resize(p, n);
  if (q == NULL) {
    ws_mem_free(p);
    return 0;
  }
  lua_pushlstring(L, q, n < len ? n : len);
  ws_mem_free(q);
  return 1;
}

#define LENT_MAX 16

static int buf_lend(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1), late = luaL_checkinteger(L, 3);
  size_t size = (size_t)luaL_checkinteger(L, 2), before = ws_mem_used();
  struct ws_buf_pool pool = {0};
  struct ws_buf_return *to = NULL;
  void *blocks[LENT_MAX];
  lua_Integer i = 0;
  luaL_argcheck(L, n <= LENT_MAX && late <= n, 1, "so many are not lent");
  for (; i < n && (blocks[i] = ws_mem_alloc(size)); i++)
    if (!(to = ws_buf_lend(&pool))) break;
  if (i < n) {
    if (!to) ws_mem_free(blocks[i]);
    while (i--) ws_buf_come_back(pool.back, blocks[i], size);
    ws_buf_pool_free(&pool);
    return 0;
  }
  while (n > late) ws_buf_come_back(to, blocks[--n], size);
  lua_pushinteger(L, (lua_Integer)pool.bytes);
  ws_buf_pool_free(&pool);
  while (n) ws_buf_come_back(to, blocks[--n], size);
  lua_pushinteger(L, (lua_Integer)(before - ws_mem_used()));
  return 2;
}

static int mem_fail_at(lua_State *L) {
  long n = (long)luaL_checkinteger(L, 1);
  lua_pushboolean(L, ws_mem_fail_at(n, lua_toboolean(L, 2)));
  return 1;
}

static const luaL_Reg methods[] = {
  {"reserve", buf_reserve}, {"reserve_exact", buf_reserve_exact},
  {"append", buf_append},   {"write", buf_write},
  {"consume", buf_consume}, {"free", buf_free},
  {"bytes", buf_bytes},     {"shape", buf_shape},
  {"__gc", buf_free},       {NULL, NULL},
};

static const luaL_Reg functions[] = {
  {"new", buf_new},         {"zero", mem_zero}, {"resize", mem_resize},
  {"fail_at", mem_fail_at}, {"lend", buf_lend}, {NULL, NULL},
};

void probe_open_buf(lua_State *L) {
  luaL_newmetatable(L, BUFFER);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}
