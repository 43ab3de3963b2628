/* task.c: the coroutine pool, waiting and waking. */
#include "binding/task.h"

#include <math.h>
#include <signal.h>

#include "base/buf.h"

#define POOL_MAX 64

/* ---- the pool ---- */

static int make_thread(lua_State *L) {
  struct ws_task *t = lua_touserdata(L, 1);
  t->co = lua_newthread(L);
  t->ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static void on_job(struct ws_job *job);
static void on_timer(struct ws_timer *timer);

static void init(struct ws_task *t, struct ws_engine *e) {
  *t = (struct ws_task){.engine = e, .ref = LUA_NOREF};
  ws_list_init(&t->link);
  ws_list_init(&t->job.link);
  t->job.run = on_job;
  t->timer.fn = on_timer;
}

struct ws_task *ws_task_new(struct ws_engine *e) {
  struct ws_list *at_rest = ws_list_shift(&e->pool);
  struct ws_task *t;
  if (at_rest) {
    t = WS_LIST_ENTRY(at_rest, struct ws_task, link);
    e->pooled--;
  } else {
    if (!(t = ws_mem_alloc(sizeof *t))) return NULL;
    init(t, e);
    if (!ws_engine_protect(e, make_thread, t)) {
      ws_mem_free(t);
      return NULL;
    }
  }
  ws_list_append(&e->tasks, &t->link);
  return t;
}

void ws_task_set_conn(struct ws_task *t, struct lua_conn *lc) {
  t->conn = lc;
  lc->tasks++;
}

static void leave_conn(struct ws_task *t) {
  if (t->conn) ws_anchor_leave(t->engine, t->conn);
  t->conn = NULL;
}

static void drop(struct ws_task *t) {
  leave_conn(t);
  ws_list_remove(&t->link);
  luaL_unref(ws_engine_thread(t->engine), LUA_REGISTRYINDEX, t->ref);
  ws_mem_free(t);
}

static void rest(struct ws_task *t) {
  struct ws_engine *e = t->engine;
  leave_conn(t);
  lua_settop(t->co, 0);
  if (e->pooled >= POOL_MAX) {
    drop(t);
    return;
  }
  t->done = NULL;
  t->keeps_error = t->is_busy = t->is_error = false;
  ws_list_remove(&t->link);
  ws_list_append(&e->pool, &t->link);
  e->pooled++;
}

void ws_task_discard(struct ws_task *t) {
  rest(t);
}

void ws_task_free_all(struct ws_engine *e) {
  struct ws_list *e1;
  ws_list_splice(&e->pool, &e->tasks);
  while ((e1 = ws_list_shift(&e->pool))) {
    struct ws_task *t = WS_LIST_ENTRY(e1, struct ws_task, link);
    ws_heap_clear(&e->loop.timers, &t->timer);
    ws_list_remove(&t->job.link);
    ws_mem_free(t);
  }
}

/* ---- running ---- */

static void ended(struct ws_task *t, bool ok) {
  void (*done)(struct ws_task *, bool) = t->done;
  t->done = NULL;
  if (done) done(t, ok);
}

static void failed(struct ws_task *t) {
  struct ws_engine *e = t->engine;
  if (t->keeps_error)
    lua_xmove(t->co, e->driver, 1); /* ws.run raises it */
  else
    ws_host_error(e, t->conn, t->co, t->is_error);
  ended(t, false);
  lua_resetthread(t->co); /* closes its to-be-closed variables */
  drop(t);
}

static void run(struct ws_task *t, int n_args) {
  struct ws_engine *e = t->engine;
  struct ws_task *before = e->current;
  int n = 0;
  e->current = t;
  int status = lua_resume(t->co, ws_engine_thread(e), n_args, &n);
  e->current = before;
  if (e->is_closed) return; /* os.exit(0, true) in a handler */
  if (status == LUA_OK) {
    ended(t, true);
    rest(t);
  } else if (status == LUA_YIELD && t->is_waiting) {
    lua_pop(t->co, n);
  } else {
    if (status == LUA_YIELD) {
      lua_settop(t->co, 0);
      lua_rawgeti(t->co, LUA_REGISTRYINDEX, e->yield_error);
    }
    failed(t);
  }
}

void ws_task_start(struct ws_task *t, int n_args) {
  t->is_waiting = false;
  run(t, n_args);
}

void ws_task_start_later(struct ws_task *t, int n_args) {
  (void)n_args; /* all of its stack but the body */
  t->is_waiting = false;
  ws_loop_job(&t->engine->loop, &t->job);
}

static void on_job(struct ws_job *job) {
  struct ws_task *t = WS_LIST_ENTRY(job, struct ws_task, job);
  if (!t->is_waiting) {
    run(t, lua_gettop(t->co) - 1);
    return;
  }
  t->is_waiting = false;
  run(t, 0);
}

/* ---- waking ---- */

static void unlink_from(struct ws_task **list, struct ws_task *t) {
  while (*list && *list != t) list = &(*list)->next;
  if (*list) *list = t->next;
  t->next = NULL;
}

/* It does not wait any more: whoever would have woken it forgets it. */
static void settle(struct ws_task *t, enum ws_wake why) {
  ws_heap_clear(&t->engine->loop.timers, &t->timer);
  if (t->list) unlink_from(t->list, t);
  t->list = NULL;
  if (t->wait_for == WS_FOR_MESSAGE) t->on->c.is_receiving = false;
  t->on = NULL;
  t->wait_for = WS_FOR_NOTHING;
  t->woken = (uint8_t)why;
}

void ws_task_wake(struct ws_task *t, enum ws_wake why) {
  if (t->woken != WS_WAKE_NONE) return;
  settle(t, why);
  if (t->co) ws_loop_job(&t->engine->loop, &t->job);
}

void ws_task_wake_now(struct ws_task *t, enum ws_wake why) {
  if (t->woken != WS_WAKE_NONE) return;
  settle(t, why);
  if (!t->co || t->engine->current) {
    if (t->co) ws_loop_job(&t->engine->loop, &t->job);
    return;
  }
  t->is_waiting = false;
  run(t, 0);
}

static void on_timer(struct ws_timer *timer) {
  ws_task_wake(WS_LIST_ENTRY(timer, struct ws_task, timer), WS_WAKE_TIMEOUT);
}

bool ws_task_set_timeout(struct ws_task *t, double seconds) {
  t->until = ws_loop_now(&t->engine->loop) + seconds;
  return ws_loop_timer(&t->engine->loop, &t->timer, seconds);
}

/* ---- waiting ---- */

/* While a finalizer runs the collector refuses to answer (Lua 5.4.4 on). */
static bool is_in_finalizer(lua_State *L) {
  return lua_gc(L, LUA_GCCOUNT) < 0;
}

void ws_task_check_opener(lua_State *L) {
  if (is_in_finalizer(L)) luaL_error(L, "cannot open here (use ws.spawn)");
}

static bool is_own(lua_State *L, const struct ws_engine *e) {
  return e->current && e->current->co == L && lua_isyieldable(L);
}

bool ws_task_can_wait(lua_State *L, struct ws_engine *e) {
  if (e->is_logging) return false;
  if (is_own(L, e)) return true;
  return !e->current && !e->loop.in_turn && !is_in_finalizer(L);
}

struct ws_task *ws_task_waiter(lua_State *L, struct ws_engine *e,
                               struct ws_task *here) {
  ws_engine_check_fork(L, e);
  if (!ws_task_can_wait(L, e)) luaL_error(L, "cannot wait here (use ws.spawn)");
  struct ws_task *t = e->current;
  if (!t) {
    init(here, e);
    t = here;
  }
  t->woken = WS_WAKE_NONE;
  t->wait_for = WS_FOR_NOTHING;
  t->until = -1;
  return t;
}

void ws_task_wait_in(struct ws_task *t, struct ws_task **list) {
  struct ws_task **at = list;
  while (*at) at = &(*at)->next; /* first come, first woken */
  t->list = list;
  t->next = NULL;
  *at = t;
}

void ws_task_wait_on(struct ws_task *t, struct lua_conn *lc,
                     enum ws_wait_for what) {
  ws_task_wait_in(t, &lc->waiting);
  t->on = lc;
  t->wait_for = (uint8_t)what;
}

static void on_interrupt(void *arg, int signum) {
  struct ws_engine *e = arg;
  (void)signum;
  e->signals++;
}

/* Somebody may drive already: a callback of another library that libev has
 * called may wait too. */
static bool drive(lua_State *L, struct ws_engine *e, const struct ws_task *t) {
  lua_State *before = e->driver;
  int signals = e->signals;
  bool more = true;
  e->driver = L;
  while (more && e->signals == signals && t->woken == WS_WAKE_NONE)
    more = ws_ev_step(e->ev, -1, L);
  e->driver = before;
  return more;
}

static int drive_and_go_on(lua_State *L, struct ws_engine *e, struct ws_task *t,
                           lua_KFunction k) {
  int signals = e->signals;
  ws_ev_catch(e->ev, false, on_interrupt);
  bool more = drive(L, e, t);
  bool is_last = ws_ev_release(e->ev);
  bool is_interrupted = is_last && e->signals > signals;
  if (is_last) e->signals = 0;
  if (t->woken == WS_WAKE_NONE)
    settle(t, more ? WS_WAKE_INTERRUPTED : WS_WAKE_STUCK);
  if (is_interrupted) raise(SIGINT); /* as if we had never caught it */
  /* by value: k may raise, and this frame would be gone */
  e->driven_why = t->woken;
  e->driven_until = t->until;
  return k(L, LUA_OK, 0);
}

int ws_task_wait(lua_State *L, struct ws_engine *e, struct ws_task *t,
                 lua_KFunction k) {
  if (!t->co) return drive_and_go_on(L, e, t, k);
  t->is_waiting = true;
  return lua_yieldk(L, 0, 0, k);
}

struct ws_task *ws_task_running(lua_State *L, struct ws_engine *e) {
  struct ws_task *t = e->current;
  if (!t || t->co != L)
    luaL_error(L, "a waiting task cannot be resumed from outside");
  return t;
}

struct ws_woken ws_task_woken(lua_State *L, struct ws_engine *e, int status) {
  struct ws_woken w = {(enum ws_wake)e->driven_why, -1};
  double until = e->driven_until;
  if (status == LUA_YIELD) {
    struct ws_task *t = ws_task_running(L, e);
    w.why = (enum ws_wake)t->woken;
    until = t->until;
  }
  if (until >= 0) w.time_left = fmax(until - ws_loop_now(&e->loop), 0);
  return w;
}

double ws_check_timeout(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return -1;
  double seconds = luaL_checknumber(L, arg);
  luaL_argcheck(L, seconds >= 0 && !isnan(seconds), arg,
                "seconds must not be negative");
  return seconds;
}
