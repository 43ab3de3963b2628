/* run.c: ws.run, ws.step, ws.stop: driving the loop from a script; ws.fd and
 * ws.timeout: for a loop that drives it from outside. */
#include "binding/run.h"

#include <errno.h>
#include <string.h>

#include "binding/lua_backplane.h"
#include "binding/task.h"
#include "binding/waiting.h"
#include "binding/worker.h"
#include "engine/farewell.h"
#include "engine/retire.h"

#define CLOSE_TIMEOUT 10.0 /* seconds, after the first signal */

static void check_not_running(lua_State *L, struct ws_state *st) {
  ws_state_check_fork(L, st);
  if (st->loop.in_turn || st->driver || st->is_logging || st->is_viewing)
    luaL_error(L, "the loop is already running");
}

/* The first signal asks everyone to leave, the second one cuts. */
static void close_servers(struct ws_state *st) {
  struct ws_slice reason = {"", 0};
  struct ws_list *l = st->servers.next;
  while (l != &st->servers) {
    struct lua_server *ls = WS_LIST_ENTRY(l, struct lua_server, link);
    l = l->next; /* closing may take it out of the list */
    if (ls->s.is_shared && st->signals == 1)
      ws_retire_begin(&ls->s, 0, 1001, CLOSE_TIMEOUT);
    else
      ws_farewell_begin(&ls->s, 1001, reason,
                        st->signals > 1 ? 0 : CLOSE_TIMEOUT);
  }
}

static void main_done(struct ws_task *t, bool ok) {
  struct ws_state *st = t->st;
  st->main = NULL;
  if (!ok && t->keeps_error) st->has_main_failed = true;
}

static int main_body(lua_State *L) {
  return ws_task_call(L, 0, NULL);
}

static void start_main(lua_State *L, struct ws_state *st) {
  struct ws_task *t = ws_task_new(st);
  if (!t) {
    luaL_error(L, "not enough memory");
    return;
  }
  t->keeps_error = true;
  st->main = t;
  t->done = main_done;
  lua_pushcfunction(t->co, main_body);
  lua_pushvalue(L, 1);
  lua_xmove(L, t->co, 1);
  if (ws_task_start_later(t, 1)) return;
  st->main = NULL;
  luaL_error(L, "not enough memory");
}

/* An options table may stand for main, or behind it. */
static bool read_arguments(lua_State *L) {
  bool with_signals = true;
  if (lua_istable(L, 1)) {
    lua_settop(L, 1);
    lua_pushnil(L);
    lua_insert(L, 1);
  }
  lua_settop(L, 2);
  if (!lua_isnil(L, 1)) luaL_checktype(L, 1, LUA_TFUNCTION);
  if (lua_isnil(L, 2)) return true;
  luaL_checktype(L, 2, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    const char *name = luaL_tolstring(L, -2, NULL);
    if (strcmp(name, "signals") != 0)
      luaL_error(L, "unknown option '%s' for 'run'", name);
    lua_pop(L, 1);
    if (!lua_isboolean(L, -1))
      luaL_error(L, "bad option 'signals' (boolean expected)");
    with_signals = lua_toboolean(L, -1);
  }
  return with_signals;
}

/* The servers are gone, and Redis has what was published by then; it is not
 * waited for behind a second signal, nor for ever. */
static bool is_left(struct ws_state *st, double *since) {
  double now = ws_loop_now(&st->loop);
  if (!ws_list_is_empty(&st->servers)) return false;
  if (*since < 0) {
    *since = now;
    ws_backplanes_fence(st);
  }
  return st->signals > 1 || now >= *since + CLOSE_TIMEOUT ||
         !ws_backplanes_are_behind(st);
}

static void drive(lua_State *L, struct ws_state *st) {
  double since = -1;
  int handled = 0;
  bool more = true;
  st->driver = L;
  st->is_served = true;
  if (st->worker) ws_worker_turned(st);
  while (more && !st->is_stopped && !st->has_main_failed) {
    more = st->drive->step(st->drive, since < 0 ? -1 : CLOSE_TIMEOUT, L);
    if (st->signals > handled) {
      handled = st->signals;
      close_servers(st);
    }
    if (st->worker) ws_worker_turned(st);
    if ((handled || st->is_retiring) && is_left(st, &since)) break;
  }
  st->driver = NULL;
}

/* On a simulated network whoever tests drives: a server's file goes on behind
 * its ws.run, and main is a task as any other. */
static int run_simulated(lua_State *L, struct ws_state *st) {
  if (!lua_isnil(L, 1)) {
    start_main(L, st);
    st->main->keeps_error = false;
    st->main = NULL;
  }
  lua_pushboolean(L, true);
  return 1;
}

int ws_lua_run(lua_State *L) {
  ws_state_check_dot(L, "run");
  struct ws_state *st = ws_state_of(L);
  bool with_signals = read_arguments(L);
  check_not_running(L, st);
  luaL_checkstack(L, 4, NULL);
  if (st->sim) return run_simulated(L, st);
  st->signals = 0;
  st->is_stopped = st->has_main_failed = false;
  if (!lua_isnil(L, 1)) start_main(L, st);
  if (with_signals)
    st->drive->catch_signals(st->drive, true, ws_state_count_signal);
  drive(L, st);
  if (with_signals) st->drive->release_signals(st->drive);
  if (st->main) st->main->keeps_error = false; /* there is no run to raise it */
  st->main = NULL;
  if (st->has_main_failed) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->main_error);
    lua_pushboolean(L, false);
    lua_rawseti(L, LUA_REGISTRYINDEX, st->main_error);
    return lua_error(L);
  }
  if (st->signals || st->is_retiring) {
    lua_pushnil(L);
    lua_pushliteral(L, "interrupted");
    return 2;
  }
  lua_pushboolean(L, true);
  return 1;
}

int ws_lua_step(lua_State *L) {
  ws_state_check_dot(L, "step");
  struct ws_state *st = ws_state_of(L);
  double timeout = ws_check_timeout(L, 1);
  check_not_running(L, st);
  luaL_checkstack(L, 4, NULL);
  st->driver = L;
  st->is_served = true;
  if (st->worker) ws_worker_turned(st);
  st->drive->step(st->drive, timeout < 0 ? 0 : timeout, L);
  st->driver = NULL;
  lua_pushboolean(L, true);
  return 1;
}

int ws_lua_stop(lua_State *L) {
  ws_state_of(L)->is_stopped = true;
  return 0;
}

int ws_lua_fd(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  ws_state_check_fork(L, st);
  if (st->sim) return luaL_error(L, "a simulated network has no descriptor");
  int fd = ws_ev_fd(st->ev);
  if (fd >= 0) {
    lua_pushinteger(L, fd);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, fd == -ENOTSUP ? "not supported" : strerror(-fd));
  return 2;
}

int ws_lua_timeout(lua_State *L) {
  struct ws_state *st = ws_state_of(L);
  ws_state_check_fork(L, st);
  if (st->sim) return luaL_error(L, "a simulated network has no descriptor");
  double seconds = ws_ev_timeout(st->ev);
  if (seconds < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, seconds);
  return 1;
}
