/* task.c: the coroutine pool, waiting and waking. */
#include "binding/task.h"

#include <assert.h>
#include <math.h>
#include <signal.h>

#include "base/buf.h"
#include "binding/anchors.h"

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

static void init(struct ws_task *t, struct ws_state *st) {
  *t = (struct ws_task){.st = st, .ref = LUA_NOREF};
  ws_list_init(&t->link);
  ws_list_init(&t->job.link);
  t->job.run = on_job;
  t->timer.fn = on_timer;
}

static struct ws_task *make(struct ws_state *st) {
  struct ws_task *t = ws_mem_alloc(sizeof *t);
  if (!t) return NULL;
  init(t, st);
  if (ws_state_protect(st, make_thread, t)) return t;
  ws_mem_free(t);
  return NULL;
}

/* A debug hook stays with its coroutine, and Lua's library keeps the function
 * beside it: neither is for whoever comes next. A script may set one at any
 * time that still holds the coroutine of a task that has ended. */
static bool is_hooked(const struct ws_task *t) {
  return lua_gethook(t->co) != NULL;
}

static void drop(struct ws_task *t);

static struct ws_task *from_pool(struct ws_state *st) {
  struct ws_list *at_rest;
  while ((at_rest = ws_list_shift(&st->pool))) {
    struct ws_task *t = WS_LIST_ENTRY(at_rest, struct ws_task, link);
    st->pooled--;
    if (!is_hooked(t)) return t;
    drop(t);
  }
  return NULL;
}

struct ws_task *ws_task_new(struct ws_state *st) {
  struct ws_task *t = from_pool(st);
  if (!t && !(t = make(st))) return NULL;
  ws_list_append(&st->tasks, &t->link);
  return t;
}

void ws_task_set_conn(struct ws_task *t, struct lua_conn *lc) {
  t->conn = lc;
  lc->tasks++;
}

static void leave_conn(struct ws_task *t) {
  if (t->conn) ws_anchor_leave(t->st, t->conn);
  t->conn = NULL;
}

static void drop(struct ws_task *t) {
  leave_conn(t);
  ws_list_remove(&t->link);
  luaL_unref(ws_state_thread(t->st), LUA_REGISTRYINDEX, t->ref);
  ws_mem_free(t);
}

static void rest(struct ws_task *t) {
  struct ws_state *st = t->st;
  leave_conn(t);
  lua_settop(t->co, 0);
  if (st->pooled >= POOL_MAX || is_hooked(t)) {
    drop(t);
    return;
  }
  t->done = NULL;
  t->raised = NULL;
  t->arg = NULL;
  t->undo = NULL;
  t->handler = NULL;
  t->is_cancelled = t->was_cancelled = false;
  t->keeps_error = t->is_busy = t->is_error = t->is_untried = false;
  ws_list_remove(&t->link);
  ws_list_append(&st->pool, &t->link);
  st->pooled++;
}

void ws_task_discard(struct ws_task *t) {
  rest(t);
}

/* ---- running ---- */

static void ended(struct ws_task *t, bool ok) {
  void (*done)(struct ws_task *, bool) = t->done;
  t->done = NULL;
  if (done) done(t, ok);
}

/* Is it the error of a cancelled wait, which came through unchanged? */
static bool is_cancellation(const struct ws_task *t, lua_State *from) {
  if (!t->was_cancelled || !lua_checkstack(from, 1)) return false;
  lua_rawgeti(from, LUA_REGISTRYINDEX, t->st->cancel_error);
  bool is_it = lua_rawequal(from, -1, -2);
  lua_pop(from, 1);
  return is_it;
}

/* The error on top of a thread's stack is taken: ws.run raises it, and gets it
 * by the registry, for somebody else may drive the loop then; or it is told. */
static void tell(struct ws_task *t, lua_State *from) {
  struct ws_state *st = t->st;
  bool is_cancel = is_cancellation(t, from);
  if (t->raised) t->raised(t, from, is_cancel);
  if (is_cancel) {
    lua_pop(from, 1);
    return;
  }
  if (t->keeps_error) {
    lua_rawseti(from, LUA_REGISTRYINDEX, st->main_error);
    return;
  }
  st->failed(t, from);
  lua_pop(from, 1);
}

/* There was no memory before its body had called anything. */
static bool is_unbegun(lua_State *co, int status) {
  lua_Debug called;
  return status == LUA_ERRMEM && !lua_getstack(co, 1, &called);
}

static void failed(struct ws_task *t, int status) {
  t->is_unbegun = t->is_untried && is_unbegun(t->co, status);
  if (!t->is_unbegun) tell(t, t->co);
  ended(t, false);
  lua_resetthread(t->co); /* closes its to-be-closed variables */
  drop(t);
}

/* Somebody has closed its coroutine, or is about to: nothing of it may be
 * touched, and what it would have done is not done. */
static void lost(struct ws_task *t) {
  lua_State *L = ws_state_thread(t->st);
  if (lua_checkstack(L, 2)) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->st->lost_error);
    tell(t, L);
  }
  ended(t, false);
  drop(t);
}

static void run(struct ws_task *t, int n_args) {
  struct ws_state *st = t->st;
  struct ws_task *before = st->current;
  int n = 0;
  st->current = t;
  int status = lua_resume(t->co, ws_state_thread(st), n_args, &n);
  st->current = before;
  if (st->is_closed) return; /* os.exit(0, true) in a handler */
  if (status == LUA_OK) {
    ended(t, true);
    rest(t);
  } else if (status == LUA_YIELD && t->is_waiting) {
    lua_pop(t->co, n);
  } else {
    if (status == LUA_YIELD) {
      lua_settop(t->co, 0);
      lua_rawgeti(t->co, LUA_REGISTRYINDEX, st->yield_error);
    }
    failed(t, status);
  }
}

static int returned(lua_State *L, int status, lua_KContext ctx) {
  (void)L;
  (void)status;
  (void)ctx;
  return 0;
}

int ws_task_call(lua_State *L, int n_args, const char *handler) {
  if (handler) ws_state_of(L)->current->handler = handler;
  lua_callk(L, n_args, 0, 0, returned);
  return 0;
}

void ws_task_start(struct ws_task *t, int n_args) {
  t->is_waiting = false;
  run(t, n_args);
}

/* 1: the body, then its arguments. */
static int later_k(lua_State *L, const struct ws_woken *w) {
  (void)w;
  return ws_task_call(L, lua_gettop(L) - 1, NULL);
}

static int later_body(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  return ws_task_wait(L, st, st->current, later_k);
}

/* It waits from the first, so that nothing of it stands bare on a coroutine
 * that a script may hold from the task that it was before. */
bool ws_task_start_later(struct ws_task *t, int n_args) {
  struct ws_state *st = t->st;
  struct ws_task *before = st->current;
  int n = 0;
  t->woken = WS_WAKE_NONE;
  t->until = -1;
  lua_pushcfunction(t->co, later_body);
  lua_insert(t->co, 1);
  st->current = t;
  int status = lua_resume(t->co, ws_state_thread(st), n_args + 1, &n);
  st->current = before;
  if (status != LUA_YIELD) { /* there was no memory to begin */
    lua_resetthread(t->co);
    drop(t);
    return false;
  }
  ws_task_wake(t, WS_WAKE_DONE);
  return true;
}

static void go_on(struct ws_task *t) {
  t->is_waiting = false;
  if (lua_status(t->co) == LUA_YIELD)
    run(t, 0);
  else
    lost(t);
}

static void on_job(struct ws_job *job) {
  go_on(WS_LIST_ENTRY(job, struct ws_task, job));
}

/* ---- waking ---- */

static void unlink_from(struct ws_task **list, struct ws_task *t) {
  while (*list != t) list = &(*list)->next;
  *list = t->next;
  t->next = NULL;
}

/* It does not wait any more: whoever would have woken it forgets it. */
static void settle(struct ws_task *t, enum ws_wake why) {
  ws_heap_clear(&t->st->loop.timers, &t->timer);
  if (t->list) unlink_from(t->list, t);
  if (t->seat) ws_list_remove(t->seat);
  t->list = NULL;
  t->seat = NULL;
  if (t->wait_for == WS_FOR_MESSAGE) t->on->c.is_receiving = false;
  t->on = NULL;
  t->wait_for = WS_FOR_NOTHING;
  t->woken = (uint8_t)why;
}

void ws_task_wake(struct ws_task *t, enum ws_wake why) {
  if (t->woken != WS_WAKE_NONE) return;
  settle(t, why);
  if (t->co) ws_loop_job(&t->st->loop, &t->job);
}

void ws_task_wake_now(struct ws_task *t, enum ws_wake why) {
  assert(t->woken == WS_WAKE_NONE); /* it stood in a list */
  settle(t, why);
  if (!t->co || t->st->current) {
    if (t->co) ws_loop_job(&t->st->loop, &t->job);
    return;
  }
  go_on(t);
}

static void on_timer(struct ws_timer *timer) {
  ws_task_wake(WS_LIST_ENTRY(timer, struct ws_task, timer), WS_WAKE_TIMEOUT);
}

bool ws_task_set_timeout(struct ws_task *t, double seconds) {
  t->until = ws_loop_now(&t->st->loop) + seconds;
  return ws_loop_timer(&t->st->loop, &t->timer, seconds);
}

/* ---- the end of the state ---- */

void ws_task_free_all(struct ws_state *st) {
  struct ws_list *e1;
  st->current = st->main = NULL;
  ws_list_splice(&st->pool, &st->tasks);
  while ((e1 = ws_list_shift(&st->pool))) {
    struct ws_task *t = WS_LIST_ENTRY(e1, struct ws_task, link);
    settle(t, WS_WAKE_CLOSED); /* what it waited for is there a while longer */
    ws_list_remove(&t->job.link);
    ws_mem_free(t);
  }
}

/* ---- waiting ---- */

/* While a finalizer runs the collector refuses to answer (Lua 5.4.4 on). */
static bool is_in_finalizer(lua_State *L) {
  return lua_gc(L, LUA_GCCOUNT) < 0;
}

void ws_task_check_opener(lua_State *L) {
  if (is_in_finalizer(L)) luaL_error(L, "cannot open here (use ws.spawn)");
}

static bool is_own(lua_State *L, const struct ws_state *st) {
  return st->current && st->current->co == L && lua_isyieldable(L);
}

bool ws_task_can_wait(lua_State *L, struct ws_state *st) {
  if (st->is_logging || st->is_viewing || st->is_joining || st->is_closed)
    return false;
  if (is_own(L, st)) return true;
  return !st->current && !st->loop.in_turn && !is_in_finalizer(L);
}

static int raise_cancel(lua_State *L, struct ws_task *t) {
  t->is_cancelled = false;
  t->was_cancelled = true;
  if (t->undo) t->undo(t->undone);
  t->undo = NULL;
  lua_rawgeti(L, LUA_REGISTRYINDEX, t->st->cancel_error);
  return lua_error(L);
}

void ws_task_cancel(lua_State *L, struct ws_task *t) {
  t->is_cancelled = true;
  if (t == t->st->current)
    raise_cancel(L, t);
  else if (t->is_waiting)
    ws_task_wake(t, WS_WAKE_CANCELLED);
}

struct ws_task *ws_task_waiter(lua_State *L, struct ws_state *st,
                               struct ws_task *here) {
  ws_state_check_fork(L, st);
  if (!ws_task_can_wait(L, st))
    luaL_error(L, "cannot wait here (use ws.spawn)");
  struct ws_task *t = st->current;
  if (!t) {
    init(here, st);
    t = here;
  }
  if (t->is_cancelled) raise_cancel(L, t);
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

/* Somebody may drive already: a callback of another library that libev has
 * called may wait too. */
static bool drive(lua_State *L, struct ws_state *st, const struct ws_task *t) {
  lua_State *before = st->driver;
  int signals = st->signals;
  bool more = true;
  st->driver = L;
  while (more && st->signals == signals && t->woken == WS_WAKE_NONE)
    more = st->drive->step(st->drive, -1, L);
  st->driver = before;
  return more;
}

struct ws_woken ws_task_woken(const struct ws_task *t) {
  struct ws_woken w = {t->st, (enum ws_wake)t->woken, t->co != NULL, -1};
  if (t->until >= 0)
    w.time_left = fmax(t->until - ws_loop_now(&t->st->loop), 0);
  return w;
}

static int call_k(lua_State *L, struct ws_task *t) {
  struct ws_woken w = ws_task_woken(t);
  t->undo = NULL;
  return t->k(L, &w);
}

static int drive_and_go_on(lua_State *L, struct ws_state *st,
                           struct ws_task *t) {
  int signals = st->signals;
  st->drive->catch_signals(st->drive, false, ws_state_count_signal);
  bool more = drive(L, st, t);
  bool is_last = st->drive->release_signals(st->drive);
  bool is_interrupted = is_last && st->signals > signals;
  if (is_last) st->signals = 0;
  if (t->woken == WS_WAKE_NONE)
    settle(t, more ? WS_WAKE_INTERRUPTED : WS_WAKE_STUCK);
  if (is_interrupted) raise(SIGINT); /* as if we had never caught it */
  return call_k(L, t);
}

/* The task is looked at only while there is a state: it goes with that. */
static int waited(lua_State *L, int status, lua_KContext ctx) {
  struct ws_state *st = ws_state_of(L);
  struct ws_task *t = (struct ws_task *)ctx;
  (void)status;
  if (st->current == t) {
    if (t->is_cancelled) return raise_cancel(L, t);
    return call_k(L, t);
  }
  if (st->is_closed) return luaL_error(L, "evws is closed");
  lua_settop(L, t->top);
  lua_pushnil(L);
  lua_pushliteral(L, "a waiting task cannot be resumed from outside");
  return lua_yieldk(L, 2, ctx, waited);
}

int ws_task_wait(lua_State *L, struct ws_state *st, struct ws_task *t,
                 ws_task_k *k) {
  t->k = k;
  if (!t->co) return drive_and_go_on(L, st, t);
  t->is_waiting = true;
  t->top = lua_gettop(L);
  return lua_yieldk(L, 0, (lua_KContext)t, waited);
}
