/* payload.c: a long message becomes a string without a copy, where Lua can
 * have that: the string is the buffer that it was received into, which comes
 * back when Lua has collected the string. */
#include "binding/payload.h"

#include "base/buf.h"

#if WS_HAS_EXTERNAL

/* Takes the block in which the data of a message stand, if they have one to
 * themselves that they begin and nearly fill. They stay where they are, with a
 * zero behind them. Returns where it is to come back to, or NULL. */
static struct ws_buf_return *take_block(struct ws_conn *c,
                                        const struct ws_event *ev) {
  struct ws_gathered *g = c->protocol.message;
  struct ws_buf *b = g ? &g->bytes : NULL;
  if (!b || !c->protocol.is_delivered || b->off || ev->data != b->data)
    return NULL;
  size_t unused = ws_buf_room(b);
  if (ev->len != b->len || unused == 0 || unused > b->len / 4) return NULL;
  struct ws_buf_return *to = ws_buf_lend(&c->stream.watch.loop->pool);
  if (!to) return NULL;
  b->data[b->len] = 0;
  *b = (struct ws_buf){0};
  return to;
}

/* Lua's measure of a string that is an allocator's block: n is 0. */
static void *give_back(void *to, void *block, size_t size, size_t n) {
  (void)n;
  ws_buf_come_back(to, block, size);
  return NULL;
}

/* Lua's collector knows nothing of such a string's bytes: what they would have
 * done for its pace is done here. */
static void weigh(lua_State *L, size_t bytes) {
  if (lua_gc(L, LUA_GCISRUNNING)) lua_gc(L, LUA_GCSTEP, bytes);
}

void ws_push_long_payload(lua_State *L, struct ws_conn *c,
                          const struct ws_event *ev) {
  const char *data = (const char *)ev->data;
  size_t len = ev->len;
  struct ws_buf_return *to = take_block(c, ev);
  if (!to) {
    lua_pushlstring(L, data, len);
    return;
  }
  lua_pushexternalstring(L, data, len, give_back, to);
  weigh(L, len);
}

#else

void ws_push_long_payload(lua_State *L, struct ws_conn *c,
                          const struct ws_event *ev) {
  (void)c;
  lua_pushlstring(L, (const char *)ev->data, ev->len);
}

#endif
