/* probe_stream: streams (src/transport/stream.h) on a loop whose provider is
 * the fake (fake_io.h).
 *
 * new(loop, fd) -> stream; fd: 0 to 71, an fd of the fake
 * stream:cork(), :uncork(), :flush(), :close(), :detach() -> fd
 * stream:put(bytes)   a place is reserved, filled and committed -> boolean
 * stream:write(head, payload) -> boolean
 * stream:want_read(boolean)
 * stream:state() -> { pending=, queued=, error=, blocked=, late= }: late
 *   counts the late work that was done; error: an errno or 0
 *
 * The fake's side of it:
 * stream:kernel{ room=, most=, error=, breaks= }   see fake_io.h; negative
 *   sizes are no limit
 * stream:ready()  the kernel takes bytes again: the loop will see it
 * stream:sent() -> the bytes taken, the calls made for it
 * stream:want()   what is watched; stream:is_closed()
 *
 * errno: a table of the numbers that specs name */
#include "probe.h"

#include <errno.h>
#include <string.h>

#include "probe_loop.h"
#include "transport/stream.h"

#define STREAM "probe.stream"

void probe_open_stream(lua_State *L);

struct stream {
  struct ws_stream s;
  struct probe_loop *pl;
  struct fake_fd *fake;
  lua_Integer late;
};

static struct stream *check_stream(lua_State *L) {
  struct stream *s = luaL_checkudata(L, 1, STREAM);
  s->pl->L = L;
  return s;
}

/* As a connection does: what is ready for writing is flushed. */
static void on_ready(struct ws_watch *w) {
  struct ws_stream *s = WS_LIST_ENTRY(w, struct ws_stream, watch);
  uint8_t got = w->got;
  w->got = 0;
  if (got & WS_WRITE) ws_stream_flush(s);
}

static void on_late(struct ws_late *late) {
  struct ws_stream *s = WS_LIST_ENTRY(late, struct ws_stream, late);
  WS_LIST_ENTRY(s, struct stream, s)->late++;
  if (!s->is_blocked) ws_stream_flush(s);
}

static int stream_new(lua_State *L) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  int fd = (int)luaL_checkinteger(L, 2);
  luaL_argcheck(L, fd >= 0 && fd < FAKE_FDS, 2, "no fd of the fake");
  if (!ws_loop_prepare(&pl->loop)) return luaL_error(L, "no memory");
  struct stream *s = lua_newuserdatauv(L, sizeof *s, 1);
  s->pl = pl;
  s->fake = &pl->fake.fds[fd];
  s->late = 0;
  ws_stream_init(&s->s, &pl->loop, fd, on_ready, on_late);
  luaL_setmetatable(L, STREAM);
  lua_pushvalue(L, 1); /* the loop outlives it */
  lua_setiuservalue(L, -2, 1);
  return 1;
}

static int stream_cork(lua_State *L) {
  ws_stream_cork(&check_stream(L)->s);
  return 0;
}

static int stream_uncork(lua_State *L) {
  ws_stream_uncork(&check_stream(L)->s);
  return 0;
}

static int stream_flush(lua_State *L) {
  ws_stream_flush(&check_stream(L)->s);
  return 0;
}

static int stream_close(lua_State *L) {
  ws_stream_close(&check_stream(L)->s);
  return 0;
}

static int stream_detach(lua_State *L) {
  lua_pushinteger(L, ws_stream_detach(&check_stream(L)->s));
  return 1;
}

static int stream_put(lua_State *L) {
  struct ws_stream *s = &check_stream(L)->s;
  size_t n;
  const char *bytes = luaL_checklstring(L, 2, &n);
  luaL_argcheck(L, n <= WS_CORK_PAYLOAD + 16, 2, "too long");
  uint8_t *to = ws_stream_reserve(s, n);
  if (to != NULL) {
    memcpy(to, bytes, n);
    ws_stream_commit(s, n);
  }
  lua_pushboolean(L, to != NULL);
  return 1;
}

static int stream_write(lua_State *L) {
  struct ws_stream *s = &check_stream(L)->s;
  size_t head_len, len;
  const char *head = luaL_checklstring(L, 2, &head_len);
  const char *payload = luaL_checklstring(L, 3, &len);
  lua_pushboolean(L, ws_stream_write(s, (const uint8_t *)head, head_len,
                                     (const uint8_t *)payload, len));
  return 1;
}

static int stream_want_read(lua_State *L) {
  ws_stream_want_read(&check_stream(L)->s, lua_toboolean(L, 2));
  return 0;
}

static int stream_state(lua_State *L) {
  struct stream *s = check_stream(L);
  lua_newtable(L);
  lua_pushinteger(L, (lua_Integer)ws_stream_pending(&s->s));
  lua_setfield(L, -2, "pending");
  lua_pushinteger(L, (lua_Integer)s->s.queued);
  lua_setfield(L, -2, "queued");
  lua_pushinteger(L, s->s.error);
  lua_setfield(L, -2, "error");
  lua_pushboolean(L, s->s.is_blocked);
  lua_setfield(L, -2, "blocked");
  lua_pushinteger(L, s->late);
  lua_setfield(L, -2, "late");
  return 1;
}

/* ---- the fake's side ---- */

static bool has_field(lua_State *L, const char *name, lua_Integer *value) {
  bool has = lua_getfield(L, 2, name) != LUA_TNIL;
  if (has) *value = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return has;
}

static int stream_kernel(lua_State *L) {
  struct fake_fd *f = check_stream(L)->fake;
  lua_Integer v;
  luaL_checktype(L, 2, LUA_TTABLE);
  if (has_field(L, "room", &v)) f->room = (size_t)v;
  if (has_field(L, "most", &v)) f->most = (size_t)v;
  if (has_field(L, "error", &v)) f->error = (int)v;
  if (has_field(L, "breaks", &v)) f->breaks = (unsigned)v;
  return 0;
}

static int stream_ready(lua_State *L) {
  struct ws_stream *s = &check_stream(L)->s;
  s->watch.got |= WS_WRITE;
  if (!ws_list_is_linked(&s->watch.ready))
    ws_list_append(&s->watch.loop->ready, &s->watch.ready);
  return 0;
}

static int stream_sent(lua_State *L) {
  const struct fake_fd *f = check_stream(L)->fake;
  lua_pushlstring(L, f->n ? f->sent : "", f->n);
  lua_pushinteger(L, f->calls);
  return 2;
}

static int stream_want(lua_State *L) {
  lua_pushinteger(L, check_stream(L)->fake->want);
  return 1;
}

static int stream_is_closed(lua_State *L) {
  lua_pushboolean(L, check_stream(L)->fake->is_closed);
  return 1;
}

static const luaL_Reg methods[] = {
  {"cork", stream_cork},     {"uncork", stream_uncork},
  {"flush", stream_flush},   {"close", stream_close},
  {"detach", stream_detach}, {"put", stream_put},
  {"write", stream_write},   {"want_read", stream_want_read},
  {"state", stream_state},   {"kernel", stream_kernel},
  {"ready", stream_ready},   {"sent", stream_sent},
  {"want", stream_want},     {"is_closed", stream_is_closed},
  {"__gc", stream_close},    {NULL, NULL},
};

static const luaL_Reg functions[] = {{"new", stream_new}, {NULL, NULL}};

static void set_errno(lua_State *L, const char *name, int number) {
  lua_pushinteger(L, number);
  lua_setfield(L, -2, name);
}

void probe_open_stream(lua_State *L) {
  luaL_newmetatable(L, STREAM);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  lua_newtable(L);
  set_errno(L, "EAGAIN", EAGAIN);
  set_errno(L, "EPIPE", EPIPE);
  set_errno(L, "ECONNRESET", ECONNRESET);
  set_errno(L, "ENOMEM", ENOMEM);
  lua_setfield(L, -2, "errno");
}
