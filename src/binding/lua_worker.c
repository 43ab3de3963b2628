/* lua_worker.c: see lua_worker.h. */
#include "binding/lua_worker.h"

#include <string.h>

#include "binding/task.h"
#include "binding/worker.h"

static struct ws_worker *worker_of(lua_State *L) {
  return ws_state_of(L)->worker;
}

static int worker_is_leader(lua_State *L) {
  const struct ws_worker *w = worker_of(L);
  lua_pushboolean(L, !w || ws_share_is_leader(&w->share));
  return 1;
}

/* ---- what others pass ---- */

struct taking {
  struct ws_worker *w;
  struct ws_slice channel, bytes;
  int fd; /* -1: none, or a task has it */
};

static int take_body(lua_State *L) {
  return ws_task_call(L, 2, NULL);
}

/* Without memory it was not called, and has no descriptor. */
static void take_done(struct ws_task *t, bool ok) {
  struct ws_io *io = t->st->loop.io;
  int fd = (int)t->n;
  (void)ok;
  if (t->is_unbegun && fd >= 0) io->ops->close(io, fd);
}

/* The channel's function becomes a task. */
static int start_taking(lua_State *L) {
  struct taking *t = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, t->w->channels);
  lua_pushlstring(L, t->channel.p, t->channel.n);
  if (lua_rawget(L, -2) != LUA_TFUNCTION) return 0;
  lua_pushlstring(L, t->bytes.p, t->bytes.n);
  if (t->fd >= 0)
    lua_pushinteger(L, t->fd);
  else
    lua_pushnil(L);
  struct ws_task *task = ws_task_new(t->w->st);
  if (!task) return luaL_error(L, "not enough memory");
  task->n = (uint32_t)t->fd;
  task->done = take_done;
  task->is_untried = true;
  lua_pushcfunction(task->co, take_body);
  lua_xmove(L, task->co, 3);
  if (!ws_task_start_later(task, 3)) return luaL_error(L, "not enough memory");
  t->fd = -1;
  return 0;
}

static void take(struct ws_state *st, struct ws_slice channel,
                 struct ws_slice bytes, int fd) {
  struct taking t = {st->worker, channel, bytes, fd};
  ws_state_protect(st, start_taking, &t);
  if (t.fd >= 0) st->loop.io->ops->close(st->loop.io, t.fd);
}

static int worker_on(lua_State *L) {
  struct ws_worker *w = worker_of(L);
  size_t n;
  luaL_checklstring(L, 1, &n);
  if (!n || n > WS_WORKER_CHANNEL_MAX)
    return luaL_typeerror(L, 1, "a short name");
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  if (!w) return 0;
  if (w->channels == LUA_NOREF) {
    lua_newtable(L);
    w->channels = luaL_ref(L, LUA_REGISTRYINDEX);
    w->take = take;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, w->channels);
  lua_insert(L, 1);
  lua_rawset(L, 1);
  return 0;
}

static int worker_pass(lua_State *L) {
  struct ws_worker *w = worker_of(L);
  struct ws_slice channel, bytes;
  lua_Integer serial = luaL_checkinteger(L, 1);
  channel.p = luaL_checklstring(L, 2, &channel.n);
  bytes.p = luaL_checklstring(L, 3, &bytes.n);
  int fd = (int)luaL_optinteger(L, 4, -1);
  int r =
    w ? ws_worker_pass(w, (unsigned long long)serial, channel, bytes, fd) : -1;
  if (r == 0) {
    lua_pushboolean(L, true);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, w ? strerror(-r) : "no worker of a supervisor");
  return 2;
}

/* ---- what is counted by name ---- */

static int read_words(lua_State *L, int arg, uint64_t w[WS_SHARE_WORDS]) {
  luaL_checktype(L, arg, LUA_TTABLE);
  int n = 0;
  while (n < WS_SHARE_WORDS && lua_rawgeti(L, arg, n + 1) == LUA_TNUMBER) {
    w[n++] = (uint64_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
  }
  return n;
}

/* tell(name, gauges, numbers): what this worker counts, for the others; the
 * first so many of the numbers are of this moment. */
static int worker_tell(lua_State *L) {
  const struct ws_worker *w = worker_of(L);
  uint64_t words[WS_SHARE_WORDS];
  struct ws_slice name;
  name.p = luaL_checklstring(L, 1, &name.n);
  int gauges = (int)luaL_checkinteger(L, 2), n = read_words(L, 3, words);
  if (w) ws_share_tell(&w->share, name, gauges, words, n);
  return 0;
}

/* sum(name, numbers): them, and what all others have told added. */
static int worker_sum(lua_State *L) {
  const struct ws_worker *w = worker_of(L);
  uint64_t words[WS_SHARE_WORDS];
  struct ws_slice name;
  name.p = luaL_checklstring(L, 1, &name.n);
  int n = read_words(L, 2, words);
  if (w) ws_share_add_told(&w->share, name, words, n);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, (lua_Integer)words[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* ---- the table ---- */

static void set(lua_State *L, const char *name, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, name);
}

void ws_worker_push(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"is_leader", worker_is_leader}, {"on", worker_on},
    {"pass", worker_pass},           {"sum", worker_sum},
    {"tell", worker_tell},           {NULL, NULL}};
  const struct ws_worker *w = worker_of(L);
  luaL_newlib(L, functions);
  set(L, "id", w ? w->id : 1);
  set(L, "count", w ? w->count : 1);
  set(L, "generation", w ? w->generation : 1);
  set(L, "serial", w ? (lua_Integer)w->serial : 0);
  lua_pushboolean(L, w != NULL);
  lua_setfield(L, -2, "supervised");
  lua_pushstring(L, w ? w->backplane : NULL);
  lua_setfield(L, -2, "backplane");
  lua_pushstring(L, w && w->secret[0] ? w->secret : NULL);
  lua_setfield(L, -2, "secret");
}
