/* lua_timer.c: ws.sleep, ws.spawn, ws.after, ws.every. */
#include "binding/lua_timer.h"

#include <math.h>

#include "binding/anchors.h"
#include "binding/task.h"

#define AGAIN 0.1 /* seconds, until there may be memory */

struct lua_timer {
  struct ws_timer timer; /* first */
  struct ws_list link;   /* of the engine, while it is set or at work */
  struct ws_state *st;
  double interval; /* negative: once */
  bool is_running; /* its last call has not returned */
};

static struct lua_timer *check_timer(lua_State *L, int arg) {
  return ws_object_check(L, arg, WS_TIMER_NAME);
}

/* ---- sleep, spawn ---- */

static int sleep_k(lua_State *L, const struct ws_woken *w) {
  if (w->why == WS_WAKE_TIMEOUT) {
    lua_pushboolean(L, true);
    return 1;
  }
  lua_pushnil(L);
  lua_pushliteral(L, "interrupted");
  return 2;
}

int ws_lua_sleep(lua_State *L) {
  ws_state_check_dot(L, "sleep");
  struct ws_state *st = ws_state_of(L);
  struct ws_task here, *t;
  double seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds >= 0 && !isnan(seconds), 1,
                "seconds must not be negative");
  t = ws_task_waiter(L, st, &here);
  if (!ws_task_set_timeout(t, seconds))
    return luaL_error(L, "not enough memory");
  return ws_task_wait(L, st, t, sleep_k);
}

/* 1: the function, then its arguments. */
static int spawn_body(lua_State *L) {
  return ws_task_call(L, lua_gettop(L) - 1, NULL);
}

/* The function and its arguments become a task; it is not started. */
static struct ws_task *spawn(lua_State *L, struct ws_state *st, int n) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  ws_state_check_fork(L, st);
  struct ws_task *t = ws_task_new(st);
  if (!t || !lua_checkstack(t->co, n + 4)) {
    if (t) ws_task_discard(t);
    luaL_error(L, "not enough memory");
    return NULL;
  }
  lua_pushcfunction(t->co, spawn_body);
  lua_xmove(L, t->co, n);
  return t;
}

int ws_lua_spawn(lua_State *L) {
  ws_state_check_dot(L, "spawn");
  struct ws_state *st = ws_state_of(L);
  int n = lua_gettop(L);
  struct ws_task *t = spawn(L, st, n);
  if (!ws_task_start_later(t, n)) return luaL_error(L, "not enough memory");
  return 0;
}

/* core.spawn_now, for what is written in Lua beside the engine: as ws.spawn,
 * but inside of a task it runs at once, as far as its first wait. */
int ws_lua_spawn_now(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  int n = lua_gettop(L);
  struct ws_task *t = spawn(L, st, n);
  if (st->current && st->loop.in_turn)
    ws_task_start(t, n);
  else if (!ws_task_start_later(t, n))
    return luaL_error(L, "not enough memory");
  return 0;
}

/* ---- timers ---- */

static void retire(struct lua_timer *lt) {
  ws_list_remove(&lt->link);
  ws_object_drop(ws_state_thread(lt->st), lt->st, lt);
}

/* An `every` keeps to its rhythm; what it missed while the loop was held up
 * is left out. */
static void set_again(struct lua_timer *lt) {
  struct ws_loop *loop = &lt->st->loop;
  double now = ws_loop_now(loop), at = lt->timer.at + lt->interval;
  if (at < now) at = now;
  ws_loop_timer(loop, &lt->timer, at - now); /* there was room for it */
}

/* There was no memory for its function: once more, a little later. The next
 * beat of an `every` comes by itself. */
static void set_later(struct lua_timer *lt) {
  bool is_set =
    lt->timer.index || ws_loop_timer(&lt->st->loop, &lt->timer, AGAIN);
  if (!is_set) retire(lt);
}

static void timer_done(struct ws_task *t, bool ok) {
  struct lua_timer *lt = t->arg;
  (void)ok;
  lt->is_running = false;
  if (t->is_unbegun)
    set_later(lt);
  else if (!lt->timer.index)
    retire(lt);
}

static int timer_body(lua_State *L) {
  struct lua_timer *lt = lua_touserdata(L, 1);
  ws_object_push(L, lt->st, lt);
  lua_getiuservalue(L, -1, 1);
  return ws_task_call(L, 0, NULL);
}

static void on_timer(struct ws_timer *timer) {
  struct lua_timer *lt = WS_LIST_ENTRY(timer, struct lua_timer, timer);
  bool was_running = lt->is_running;
  if (lt->interval >= 0) set_again(lt);
  if (was_running) return; /* it still waits: this beat is left out */
  struct ws_task *t = ws_task_new(lt->st);
  if (!t) {
    set_later(lt);
    return;
  }
  lt->is_running = true;
  t->is_untried = true;
  t->arg = lt;
  t->done = timer_done;
  lua_pushcfunction(t->co, timer_body);
  lua_pushlightuserdata(t->co, lt);
  ws_task_start(t, 1);
}

static int new_timer(lua_State *L, bool is_every) {
  struct ws_state *st = ws_state_of(L);
  double seconds = luaL_checknumber(L, 1);
  luaL_argcheck(
    L, seconds >= 0 && !isnan(seconds) && !(is_every && seconds <= 0), 1,
    is_every ? "seconds above 0 expected" : "seconds must not be negative");
  luaL_checktype(L, 2, LUA_TFUNCTION);
  ws_state_check_fork(L, st);
  lua_settop(L, 2);
  struct lua_timer *lt = lua_newuserdatauv(L, sizeof *lt, 1);
  *lt = (struct lua_timer){
    .timer = {.fn = on_timer}, .st = st, .interval = is_every ? seconds : -1};
  ws_list_init(&lt->link);
  luaL_setmetatable(L, WS_TIMER_NAME);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, 1);
  ws_object_keep(L, st, lt, 3);
  if (!ws_loop_timer(&st->loop, &lt->timer, seconds)) {
    ws_object_drop(L, st, lt);
    return luaL_error(L, "not enough memory");
  }
  ws_list_append(&st->timers, &lt->link);
  return 1;
}

int ws_lua_after(lua_State *L) {
  ws_state_check_dot(L, "after");
  return new_timer(L, false);
}

int ws_lua_every(lua_State *L) {
  ws_state_check_dot(L, "every");
  return new_timer(L, true);
}

static int timer_cancel(lua_State *L) {
  struct lua_timer *lt = check_timer(L, 1);
  bool was_set = lt->timer.index != 0;
  lt->interval = -1;
  if (was_set) ws_loop_timer_stop(&lt->st->loop, &lt->timer);
  if (!lt->is_running && ws_list_is_linked(&lt->link)) retire(lt);
  lua_pushboolean(L, was_set);
  return 1;
}

static int timer_tostring(lua_State *L) {
  struct lua_timer *lt = check_timer(L, 1);
  lua_pushfstring(L, WS_TIMER_NAME ": %p (%s)", (void *)lt,
                  lt->timer.index ? "set" : "over");
  return 1;
}

static int timer_gc(lua_State *L) {
  struct lua_timer *lt = check_timer(L, 1);
  ws_heap_clear(&lt->st->loop.timers, &lt->timer);
  ws_list_remove(&lt->link);
  return 0;
}

void ws_open_timer(lua_State *L) {
  static const luaL_Reg methods[] = {{"cancel", timer_cancel}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", timer_cancel},
                                  {"__gc", timer_gc},
                                  {"__tostring", timer_tostring},
                                  {NULL, NULL}};
  ws_object_class(L, WS_TIMER_NAME, methods, meta);
}
