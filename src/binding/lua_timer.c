/* lua_timer.c: ws.sleep, ws.after, ws.every, and those of a connection. */
#include "binding/lua_timer.h"

#include <math.h>

#include "binding/anchors.h"
#include "binding/lua_message.h"
#include "binding/task.h"
#include "engine/retry.h"

#define AGAIN 0.1 /* seconds, until there may be memory */

enum { UV_FUNCTION = 1, UV_CONN = 2, UV_TIMER_COUNT = 2 };

struct lua_timer {
  struct ws_timer timer; /* first */
  struct ws_list link;   /* of the engine, while it is set or at work */
  struct ws_state *st;
  struct lua_conn *conn;  /* with which it ends; NULL: with none */
  struct lua_timer *next; /* in that one's list, until it is over */
  double interval;        /* negative: once */
  bool is_running;        /* its last call has not returned */
};

static struct lua_timer *check_timer(lua_State *L, int arg) {
  return ws_object_check(L, arg, WS_TIMER_NAME);
}

/* ---- sleep ---- */

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

/* ---- timers ---- */

static void leave_conn(struct lua_timer *lt) {
  struct lua_timer **at = lt->conn ? &lt->conn->timers : NULL;
  while (at && *at && *at != lt) at = &(*at)->next;
  if (at && *at) *at = lt->next;
  lt->next = NULL;
  lt->conn = NULL;
}

static void retire(struct lua_timer *lt) {
  leave_conn(lt);
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
  lua_getiuservalue(L, 2, UV_FUNCTION);
  if (lua_getiuservalue(L, 2, UV_CONN) != LUA_TNIL)
    return ws_task_call(L, 1, "a timer");
  lua_pop(L, 1);
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
  if (lt->conn) ws_task_set_conn(t, lt->conn);
  t->is_untried = true;
  t->arg = lt;
  t->done = timer_done;
  lua_pushcfunction(t->co, timer_body);
  lua_pushlightuserdata(t->co, lt);
  ws_task_start(t, 1);
}

/* Seconds and function are at `at` and behind it, and nothing else is; pushes
 * the timer. */
static struct lua_timer *new_timer(lua_State *L, int at, bool is_every) {
  struct ws_state *st = ws_state_of(L);
  double seconds = luaL_checknumber(L, at);
  luaL_argcheck(
    L, seconds >= 0 && !isnan(seconds) && !(is_every && seconds <= 0), at,
    is_every ? "seconds above 0 expected" : "seconds must not be negative");
  luaL_checktype(L, at + 1, LUA_TFUNCTION);
  ws_state_check_fork(L, st);
  lua_settop(L, at + 1);
  struct lua_timer *lt = lua_newuserdatauv(L, sizeof *lt, UV_TIMER_COUNT);
  *lt = (struct lua_timer){
    .timer = {.fn = on_timer}, .st = st, .interval = is_every ? seconds : -1};
  ws_list_init(&lt->link);
  luaL_setmetatable(L, WS_TIMER_NAME);
  lua_pushvalue(L, at + 1);
  lua_setiuservalue(L, at + 2, UV_FUNCTION);
  ws_object_keep(L, st, lt, at + 2);
  if (!ws_loop_timer(&st->loop, &lt->timer, seconds)) {
    ws_object_drop(L, st, lt);
    luaL_error(L, "not enough memory");
  }
  ws_list_append(&st->timers, &lt->link);
  return lt;
}

int ws_lua_after(lua_State *L) {
  ws_state_check_dot(L, "after");
  new_timer(L, 1, false);
  return 1;
}

int ws_lua_every(lua_State *L) {
  ws_state_check_dot(L, "every");
  new_timer(L, 1, true);
  return 1;
}

static bool cancel(struct lua_timer *lt) {
  bool was_set = lt->timer.index != 0;
  lt->interval = -1;
  leave_conn(lt);
  if (was_set) ws_loop_timer_stop(&lt->st->loop, &lt->timer);
  if (!lt->is_running && ws_list_is_linked(&lt->link)) retire(lt);
  return was_set;
}

static int timer_cancel(lua_State *L) {
  lua_pushboolean(L, cancel(check_timer(L, 1)));
  return 1;
}

/* ---- of a connection ---- */

/* The timer keeps the object, which the engine may let go of before. */
static int new_conn_timer(lua_State *L, bool is_every) {
  struct lua_conn *lc = ws_check_conn(L, 1);
  luaL_checknumber(L, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  if (!ws_is_usable(lc) || ws_retry_is_over(&lc->c)) return ws_push_closed(L);
  struct lua_timer *lt = new_timer(L, 2, is_every);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, UV_CONN);
  lt->conn = lc;
  lt->next = lc->timers;
  lc->timers = lt;
  return 1;
}

int ws_conn_after(lua_State *L) {
  return new_conn_timer(L, false);
}

int ws_conn_every(lua_State *L) {
  return new_conn_timer(L, true);
}

void ws_timers_end(struct lua_conn *lc) {
  while (lc->timers) cancel(lc->timers);
}

void ws_timers_end_all(struct ws_state *st) {
  struct ws_list *e = st->timers.next;
  while (e != &st->timers) {
    struct lua_timer *lt = WS_LIST_ENTRY(e, struct lua_timer, link);
    e = e->next;
    cancel(lt);
  }
}

static int timer_tostring(lua_State *L) {
  struct lua_timer *lt = check_timer(L, 1);
  lua_pushfstring(L, WS_TIMER_NAME ": %p (%s)", (void *)lt,
                  lt->timer.index ? "set" : "over");
  return 1;
}

static int timer_gc(lua_State *L) {
  struct lua_timer *lt = check_timer(L, 1);
  leave_conn(lt);
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
