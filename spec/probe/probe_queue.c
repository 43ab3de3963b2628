/* probe_queue: a queue, and blocks that it may share.
 *
 * new() -> queue       block(text, cap) -> block, which holds one count
 * queue:copy(text[, hint]), :share(block, off, len[, hint]) -> boolean
 * queue:fit(waiting)
 * queue:take(n) -> the first n bytes (or fewer), which are dropped
 * queue:places() -> how many pieces it is in
 * used() -> bytes the engine has allocated
 * block:refs(), block:append(text), block:release() */
#include "probe.h"

#include <string.h>

#include <lauxlib.h>

#include "base/buf.h"
#include "transport/queue.h"

#define QUEUE "probe.queue"
#define BLOCK "probe.block"
#define PIECES 64

void probe_open_queue(lua_State *L);

static struct ws_queue *check_queue(lua_State *L) {
  return luaL_checkudata(L, 1, QUEUE);
}

static struct ws_block **check_block(lua_State *L, int arg) {
  return luaL_checkudata(L, arg, BLOCK);
}

static int queue_new(lua_State *L) {
  struct ws_queue *q = lua_newuserdatauv(L, sizeof *q, 0);
  *q = (struct ws_queue){NULL};
  luaL_setmetatable(L, QUEUE);
  return 1;
}

static int block_new(lua_State *L) {
  size_t n, cap;
  const char *text = luaL_checklstring(L, 1, &n);
  cap = (size_t)luaL_checkinteger(L, 2);
  struct ws_block **c = lua_newuserdatauv(L, sizeof *c, 0);
  *c = NULL;
  luaL_setmetatable(L, BLOCK);
  *c = ws_mem_alloc(sizeof **c + cap);
  if (!*c) return luaL_error(L, "no memory");
  **c = (struct ws_block){.refs = 1, .len = n, .cap = cap};
  memcpy((*c)->data, text, n);
  return 1;
}

static int queue_copy(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  lua_pushboolean(L, ws_queue_copy(check_queue(L), (const uint8_t *)text, n,
                                   (size_t)luaL_optinteger(L, 3, 0)));
  return 1;
}

static int queue_share(lua_State *L) {
  struct ws_range r = {*check_block(L, 2), (size_t)luaL_checkinteger(L, 3),
                       (size_t)luaL_checkinteger(L, 4)};
  lua_pushboolean(
    L, ws_queue_share(check_queue(L), &r, (size_t)luaL_optinteger(L, 5, 0)));
  return 1;
}

static int queue_take(lua_State *L) {
  struct ws_queue *q = check_queue(L);
  size_t most = (size_t)luaL_checkinteger(L, 2), total, got = 0;
  struct iovec iov[PIECES];
  int n = ws_queue_peek(q, iov, PIECES, &total);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 0; i < n && got < most; i++) {
    size_t take = iov[i].iov_len < most - got ? iov[i].iov_len : most - got;
    luaL_addlstring(&b, iov[i].iov_base, take);
    got += take;
  }
  luaL_pushresult(&b);
  ws_queue_consume(q, got);
  return 1;
}

static int queue_fit(lua_State *L) {
  ws_queue_fit(check_queue(L), (size_t)luaL_checkinteger(L, 2));
  return 0;
}

static int queue_places(lua_State *L) {
  struct iovec iov[PIECES];
  size_t total;
  lua_pushinteger(L, ws_queue_peek(check_queue(L), iov, PIECES, &total));
  return 1;
}

static int used(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ws_mem_used());
  return 1;
}

static int queue_gc(lua_State *L) {
  ws_queue_clear(check_queue(L));
  return 0;
}

static int block_refs(lua_State *L) {
  lua_pushinteger(L, (*check_block(L, 1))->refs);
  return 1;
}

static int block_append(lua_State *L) {
  struct ws_block *c = *check_block(L, 1);
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  luaL_argcheck(L, n <= c->cap - c->len, 2, "no room");
  memcpy(c->data + c->len, text, n);
  c->len += n;
  return 0;
}

static int block_release(lua_State *L) {
  struct ws_block **c = check_block(L, 1);
  ws_block_release(*c);
  *c = NULL;
  return 0;
}

static void class(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void probe_open_queue(lua_State *L) {
  static const luaL_Reg queue[] = {
    {"copy", queue_copy}, {"share", queue_share},
    {"take", queue_take}, {"places", queue_places},
    {"fit", queue_fit},   {"__gc", queue_gc},
    {NULL, NULL}};
  static const luaL_Reg block[] = {{"refs", block_refs},
                                   {"append", block_append},
                                   {"release", block_release},
                                   {"__gc", block_release},
                                   {NULL, NULL}};
  static const luaL_Reg functions[] = {
    {"new", queue_new}, {"block", block_new}, {"used", used}, {NULL, NULL}};
  class(L, QUEUE, queue);
  class(L, BLOCK, block);
  luaL_newlib(L, functions);
}
