/* watchdog.c: who holds the loop up.
 *
 * The thread knows nothing of Lua: it sees that the number of the turn stays
 * the same for too long, and sends SIGURG (ignored by default, so a late one
 * is harmless) to the thread of the loop. The handler does what lua.c does at
 * SIGINT: it sets a hook on the coroutine that it has interrupted. The hook
 * runs when Lua code goes on, takes the traceback, and is gone. */
#include "binding/watchdog.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "binding/log.h"
#include "binding/task.h"

#define LOOKS 4 /* within the time that is allowed */

struct ws_watchdog {
  struct ws_state *st;
  struct ws_watchdog *next; /* of the same thread */
  pthread_t loop, thread;
  pthread_mutex_t lock;
  pthread_cond_t ended;
  bool is_ending; /* under the lock */
  double limit;
  int fn; /* registry, LUA_NOREF: the log */

  atomic_ulong turn; /* odd: inside of one */
  atomic_ulong held; /* the turn that takes too long, 0 for none */
  _Atomic double since;

  /* of the loop's thread */
  lua_Hook before; /* what the coroutine's hook was */
  int before_mask, before_count;
  unsigned long hooked; /* the turn in which the hook was set */
  unsigned long told;
};

/* Those of a thread: the handler has no other way to them. */
static _Thread_local struct ws_watchdog *volatile watchdogs;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- telling ---- */

static int tell_body(lua_State *L) {
  const struct ws_watchdog *w = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, w->fn);
  lua_pushnumber(L, now() - w->since);
  lua_pushvalue(L, 2);
  lua_call(L, 2, 0);
  return 0;
}

/* The traceback, or nil, is on top of the stack; it is taken away. */
static void tell(struct ws_watchdog *w, lua_State *L) {
  char text[96];
  struct ws_state *st = w->st; /* fn may be the end of w */
  bool was_logging = st->is_logging;
  double seconds = now() - w->since;
  const char *trace = lua_tostring(L, -1);
  w->told = w->turn;
  snprintf(text, sizeof text, "the loop has been held up for %.3f s", seconds);
  if (w->fn != LUA_NOREF) {
    st->is_logging = true; /* it may not wait */
    lua_pushcfunction(L, tell_body);
    lua_pushlightuserdata(L, w);
    lua_pushvalue(L, -3);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
      ws_log_print_value("error in ws.watchdog: ", L, -1);
      lua_pop(L, 1);
    }
    st->is_logging = was_logging;
  } else {
    struct ws_log_field f[] = {
      {"message", WS_LOG_LINE, .text = {text, strlen(text)}},
      {"seconds", WS_LOG_NUMBER, .number = seconds},
      {"traceback", WS_LOG_LINE, .text = {trace, trace ? strlen(trace) : 0}}};
    if (!ws_log_event(st, "warning", "held_up", f, trace ? 3 : 2)) {
      const struct ws_slice none = {"", 0};
      ws_log_print("", f[0].text, none);
      if (trace) ws_log_print("", none, f[2].text);
    }
  }
  lua_pop(L, 1);
}

static int trace_body(lua_State *L) {
  luaL_traceback(L, L, NULL, 1);
  return 1;
}

static void on_hook(lua_State *L, lua_Debug *ar) {
  struct ws_watchdog *w = ws_state_of(L)->watchdog;
  (void)ar;
  if (!w) {
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  lua_sethook(L, w->before, w->before_mask, w->before_count);
  if (w->hooked != w->turn) return; /* of another turn */
  lua_pushcfunction(L, trace_body);
  if (lua_pcall(L, 0, 1, 0) != LUA_OK) { /* no memory for it */
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  tell(w, L);
}

/* ---- the signal ---- */

static void set_hook(struct ws_watchdog *w) {
  struct ws_task *t = w->st->current;
  if (w->held != w->turn || w->hooked == w->turn) return;
  if (!t) return;
  lua_Hook before = lua_gethook(t->co);
  if (before != on_hook) {
    w->before = before;
    w->before_mask = lua_gethookmask(t->co);
    w->before_count = lua_gethookcount(t->co);
  }
  w->hooked = w->turn;
  lua_sethook(t->co, on_hook,
              LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void on_signal(int signum) {
  int error = errno;
  (void)signum;
  for (struct ws_watchdog *w = watchdogs; w; w = w->next) set_hook(w);
  errno = error;
}

/* ---- the thread ---- */

static bool wait_a_little(struct ws_watchdog *w) {
  double at = now() + w->limit / LOOKS;
  struct timespec t = {.tv_sec = (time_t)at};
  t.tv_nsec = (long)((at - (double)t.tv_sec) * 1e9);
  pthread_mutex_lock(&w->lock);
  while (!w->is_ending &&
         pthread_cond_timedwait(&w->ended, &w->lock, &t) != ETIMEDOUT) {
  }
  bool goes_on = !w->is_ending;
  pthread_mutex_unlock(&w->lock);
  return goes_on;
}

static void *watch(void *arg) {
  struct ws_watchdog *w = arg;
  unsigned long last = 0;
  double since = 0;
  while (wait_a_little(w)) {
    unsigned long turn = atomic_load(&w->turn);
    if (turn != last) {
      last = turn;
      since = now();
    } else if (turn & 1 && now() - since >= w->limit &&
               atomic_load(&w->held) != turn) {
      atomic_store(&w->since, since);
      atomic_store(&w->held, turn);
      pthread_kill(w->loop, SIGURG);
    }
  }
  return NULL;
}

void ws_watchdog_enter(struct ws_watchdog *w) {
  atomic_fetch_add_explicit(&w->turn, 1, memory_order_relaxed);
}

void ws_watchdog_leave(struct ws_watchdog *w) {
  struct ws_state *st = w->st;
  lua_State *L = ws_state_thread(st);
  if (atomic_load(&w->held) == w->turn && w->told != w->turn &&
      lua_checkstack(L, 8)) {
    lua_pushnil(L); /* no Lua code ran since: nobody could say where */
    tell(w, L);
  }
  if (st->watchdog == w)
    atomic_fetch_add_explicit(&w->turn, 1, memory_order_relaxed);
}

/* ---- beginning and ending ---- */

static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static int users; /* of the signal, in the process */
static struct sigaction signal_before;

static bool take_signal(void) {
  struct sigaction own = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  pthread_mutex_lock(&users_lock);
  bool ok = users > 0;
  if (!ok && sigaction(SIGURG, NULL, &signal_before) == 0)
    ok = (signal_before.sa_handler == SIG_DFL ||
          signal_before.sa_handler == SIG_IGN) &&
         sigaction(SIGURG, &own, NULL) == 0;
  users += ok;
  pthread_mutex_unlock(&users_lock);
  return ok;
}

static void leave_signal(void) {
  struct sigaction is;
  pthread_mutex_lock(&users_lock);
  if (--users == 0 && sigaction(SIGURG, NULL, &is) == 0 &&
      is.sa_handler == on_signal)
    sigaction(SIGURG, &signal_before, NULL);
  pthread_mutex_unlock(&users_lock);
}

static int start_thread(struct ws_watchdog *w) {
  sigset_t all, before;
  pthread_condattr_t clock;
  pthread_mutex_init(&w->lock, NULL);
  pthread_condattr_init(&clock);
#ifndef __APPLE__
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
#endif
  pthread_cond_init(&w->ended, &clock);
  pthread_condattr_destroy(&clock);
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  int error = pthread_create(&w->thread, NULL, watch, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

static void end_thread(struct ws_watchdog *w) {
  pthread_mutex_lock(&w->lock);
  w->is_ending = true;
  pthread_cond_signal(&w->ended);
  pthread_mutex_unlock(&w->lock);
  pthread_join(w->thread, NULL);
  pthread_cond_destroy(&w->ended);
  pthread_mutex_destroy(&w->lock);
}

static void unlink_from_thread(struct ws_watchdog *w) {
  struct ws_watchdog *at = watchdogs;
  if (at == w) {
    watchdogs = w->next;
    return;
  }
  while (at && at->next != w) at = at->next;
  if (at) at->next = w->next;
}

/* In a forked child there is no thread to end. */
void ws_watchdog_stop(struct ws_state *st) {
  struct ws_watchdog *w = st->watchdog;
  if (!w) return;
  st->watchdog = NULL;
  if (!ws_loop_is_forked(&st->loop)) end_thread(w);
  unlink_from_thread(w);
  leave_signal();
  luaL_unref(ws_state_thread(st), LUA_REGISTRYINDEX, w->fn);
  ws_mem_free(w);
}

/* What is needed of the system; NULL, or why not. */
static const char *start(struct ws_watchdog *w) {
  if (!take_signal()) return "SIGURG has a handler already";
  w->next = watchdogs;
  watchdogs = w;
  if (start_thread(w) == 0) return NULL;
  watchdogs = w->next;
  leave_signal();
  return "no thread for the watchdog";
}

int ws_lua_watchdog(lua_State *L) {
  ws_state_check_dot(L, "watchdog");
  struct ws_state *st = ws_state_of(L);
  bool is_off = lua_isboolean(L, 1) && !lua_toboolean(L, 1);
  double limit = is_off ? 1 : luaL_checknumber(L, 1);
  luaL_argcheck(L, limit >= 0.001 && limit <= 1e6, 1,
                "seconds of at least 0.001, or false, expected");
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  ws_state_check_fork(L, st);
  ws_watchdog_stop(st);
  lua_pushboolean(L, true);
  if (is_off) return 1;
  lua_insert(L, 2);
  int fn = lua_isnil(L, 3) ? LUA_NOREF : luaL_ref(L, LUA_REGISTRYINDEX);
  struct ws_watchdog *w = ws_mem_zero(sizeof *w);
  const char *why = "out of memory";
  if (w) {
    w->st = st;
    w->loop = pthread_self();
    w->limit = limit;
    w->fn = fn;
    atomic_init(&w->turn, st->loop.in_turn ? 1 : 0);
    why = start(w);
  }
  st->watchdog = why ? NULL : w;
  lua_settop(L, 2);
  if (!why) return 1;
  luaL_unref(L, LUA_REGISTRYINDEX, fn);
  ws_mem_free(w);
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}
