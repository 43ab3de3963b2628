/* lua_spawn.c: ws.spawn, and the task that it returns: who has spawned it may
 * wait for its end, or cancel it.
 *
 * The object stands at the bottom of the task's stack, which keeps it while
 * the task lives; what the function returns is its user value. */
#include "binding/lua_spawn.h"

#include "binding/anchors.h"
#include "binding/task.h"
#include "binding/waiting.h"

#define TASK_NAME "evws.task"

enum outcome { RUNNING, ENDED, FAILED, CANCELLED };

struct lua_task {
  struct ws_task *task;    /* while it lives; NULL: it is over */
  struct ws_task *waiting; /* for its end, by their `next` */
  int error;               /* registry: what it raised, as text; LUA_NOREF */
  uint8_t outcome;
};

static struct lua_task *check_task(lua_State *L) {
  return ws_object_check(L, 1, TASK_NAME);
}

/* The tasks of a state that is closed are gone. */
static struct ws_task *living(lua_State *L, const struct lua_task *h) {
  return ws_state_of(L)->is_closed ? NULL : h->task;
}

/* ---- its life ---- */

/* 1: the object, from 2 on: what the function returned. */
static int returned(lua_State *L, int status, lua_KContext ctx) {
  int n = lua_gettop(L) - 1;
  (void)status;
  (void)ctx;
  if (!n) return 0;
  luaL_checkstack(L, 2, "too many results"); /* they have filled it */
  lua_createtable(L, n, 1);
  lua_insert(L, 2);
  for (int i = n; i; i--) lua_rawseti(L, 2, i);
  lua_pushinteger(L, n);
  lua_setfield(L, 2, "n");
  lua_setiuservalue(L, 1, 1);
  return 0;
}

/* 1: the object, 2: the function, then its arguments. */
static int spawn_body(lua_State *L) {
  lua_callk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, returned);
  return returned(L, LUA_OK, 0);
}

struct keeping {
  struct lua_task *h;
  lua_State *from;
};

static int keep_error(lua_State *L) {
  const struct keeping *k = lua_touserdata(L, 1);
  lua_pushvalue(k->from, -1);
  lua_xmove(k->from, L, 1);
  luaL_tolstring(L, -1, NULL);
  k->h->error = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

/* Without memory, or with a __tostring that fails, nobody hears what it was. */
static void raised(struct ws_task *t, lua_State *from, bool is_cancel) {
  struct keeping k = {t->arg, from};
  if (!k.h) return;
  k.h->outcome = is_cancel ? CANCELLED : FAILED;
  if (!is_cancel && lua_checkstack(from, 1))
    ws_state_protect(t->st, keep_error, &k);
}

static void ended(struct ws_task *t, bool ok) {
  struct lua_task *h = t->arg;
  if (!h) return;
  h->task = NULL;
  if (h->outcome == RUNNING) h->outcome = ok ? ENDED : FAILED;
  while (h->waiting) ws_task_wake(h->waiting, WS_WAKE_DONE);
}

/* A task with room for so many values. */
static struct ws_task *new_task(lua_State *L, struct ws_state *st, int n) {
  struct ws_task *t = ws_task_new(st);
  if (t && lua_checkstack(t->co, n + 8)) return t;
  if (t) ws_task_discard(t);
  luaL_error(L, "not enough memory");
  return NULL;
}

/* The function at 1 and its arguments become a task that is not started; its
 * object is pushed. */
static struct ws_task *spawn(lua_State *L, struct ws_state *st, int n) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  ws_state_check_fork(L, st);
  luaL_checkstack(L, n + 2, NULL);
  struct lua_task *h = lua_newuserdatauv(L, sizeof *h, 1);
  *h = (struct lua_task){.error = LUA_NOREF};
  luaL_setmetatable(L, TASK_NAME);
  struct ws_task *t = new_task(L, st, n);
  t->arg = h;
  t->done = ended;
  t->raised = raised;
  h->task = t;
  lua_pushcfunction(t->co, spawn_body);
  lua_pushvalue(L, n + 1);
  for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
  lua_xmove(L, t->co, n + 1);
  return t;
}

static int start_later(lua_State *L, struct ws_task *t, int n) {
  struct lua_task *h = t->arg;
  if (ws_task_start_later(t, n)) return 1;
  h->task = NULL;
  return luaL_error(L, "not enough memory");
}

int ws_lua_spawn(lua_State *L) {
  ws_state_check_dot(L, "spawn");
  int n = lua_gettop(L);
  struct ws_task *t = spawn(L, ws_state_of(L), n);
  return start_later(L, t, n + 1);
}

/* 1: the function, then its arguments. */
static int now_body(lua_State *L) {
  return ws_task_call(L, lua_gettop(L) - 1, NULL);
}

/* core.spawn_now, for what is written in Lua beside the engine: as ws.spawn,
 * but inside of a task it runs at once, as far as its first wait, and there is
 * no object of it. */
int ws_lua_spawn_now(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  int n = lua_gettop(L);
  struct ws_task *t = new_task(L, st, n);
  lua_pushcfunction(t->co, now_body);
  lua_xmove(L, t->co, n);
  if (st->current && st->loop.in_turn)
    ws_task_start(t, n);
  else if (!ws_task_start_later(t, n))
    return luaL_error(L, "not enough memory");
  return 0;
}

/* ---- waiting for it ---- */

static int push_results(lua_State *L) {
  lua_pushboolean(L, true);
  if (lua_getiuservalue(L, 1, 1) != LUA_TTABLE) {
    lua_pop(L, 1);
    return 1;
  }
  int list = lua_gettop(L);
  lua_getfield(L, list, "n");
  int n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, n, "too many results");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, list, i);
  lua_remove(L, list);
  return n + 1;
}

static int push_outcome(lua_State *L, const struct lua_task *h) {
  if (h->outcome == ENDED) return push_results(L);
  lua_pushnil(L);
  if (h->outcome == CANCELLED)
    lua_pushliteral(L, "cancelled");
  else if (h->error == LUA_NOREF)
    lua_pushliteral(L, "the task failed");
  else
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->error);
  return 2;
}

static int wait_k(lua_State *L, const struct ws_woken *w) {
  const struct lua_task *h = check_task(L);
  lua_settop(L, 1);
  if (h->outcome != RUNNING) return push_outcome(L, h);
  return ws_push_why(L, w->why);
}

static int task_wait(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  struct lua_task *h = check_task(L);
  struct ws_task here, *t;
  double seconds = ws_check_timeout(L, 2);
  lua_settop(L, 1);
  if (h->outcome != RUNNING) return push_outcome(L, h);
  if (h->task == st->current)
    return luaL_error(L, "a task cannot wait for itself");
  t = ws_task_waiter(L, st, &here);
  if (seconds >= 0 && !ws_task_set_timeout(t, seconds))
    return luaL_error(L, "not enough memory");
  ws_task_wait_in(t, &h->waiting);
  return ws_task_wait(L, st, t, wait_k);
}

/* Also __close. Whoever cancels itself goes no further. */
static int task_cancel(lua_State *L) {
  struct ws_task *t = living(L, check_task(L));
  if (t) ws_task_cancel(L, t);
  lua_pushboolean(L, t != NULL);
  return 1;
}

/* ---- the object ---- */

static int task_tostring(lua_State *L) {
  static const char *const outcomes[] = {"running", "ended", "failed",
                                         "cancelled"};
  const struct lua_task *h = check_task(L);
  lua_pushfstring(L, TASK_NAME ": %p (%s)", (const void *)h,
                  outcomes[h->outcome]);
  return 1;
}

/* Before its end only when the state or its coroutine was closed; likewise
 * those of who wait. */
static int task_gc(lua_State *L) {
  struct lua_task *h = check_task(L);
  bool is_alive = !ws_state_of(L)->is_closed;
  struct ws_task *t = living(L, h);
  if (t) t->arg = NULL;
  h->task = NULL;
  while (is_alive && h->waiting) ws_task_wake(h->waiting, WS_WAKE_CLOSED);
  luaL_unref(L, LUA_REGISTRYINDEX, h->error);
  h->error = LUA_NOREF;
  return 0;
}

void ws_open_spawn(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"cancel", task_cancel}, {"wait", task_wait}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", task_cancel},
                                  {"__gc", task_gc},
                                  {"__tostring", task_tostring},
                                  {NULL, NULL}};
  ws_object_class(L, TASK_NAME, methods, meta);
}
