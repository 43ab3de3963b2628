/* run.c: ws.run, ws.step, ws.stop: driving the loop from a script; ws.fd and
 * ws.timeout: for a loop that drives it from outside. */
#include <errno.h>
#include <string.h>

#include "binding/task.h"

#define CLOSE_TIMEOUT 10.0 /* seconds, after the first signal */

static void check_not_running(lua_State *L, struct ws_engine *e) {
  ws_engine_check_fork(L, e);
  if (e->loop.in_turn || e->driver || e->is_logging)
    luaL_error(L, "the loop is already running");
}

static void on_signal(void *arg, int signum) {
  struct ws_engine *e = arg;
  (void)signum;
  e->signals++;
}

/* The first signal asks everyone to leave, the second one cuts. */
static void close_servers(struct ws_engine *e) {
  struct ws_slice reason = {"", 0};
  struct ws_list *l = e->servers.next;
  while (l != &e->servers) {
    struct lua_server *ls = WS_LIST_ENTRY(l, struct lua_server, link);
    l = l->next; /* closing may take it out of the list */
    ws_server_close(&ls->s, 1001, reason, e->signals > 1 ? 0 : CLOSE_TIMEOUT);
  }
}

static void main_done(struct ws_task *t, bool ok) {
  struct ws_engine *e = t->engine;
  e->main = NULL;
  if (!ok && t->keeps_error) e->has_main_failed = true;
}

static int main_k(lua_State *L, int status, lua_KContext ctx) {
  (void)L;
  (void)status;
  (void)ctx;
  return 0;
}

static int main_body(lua_State *L) {
  lua_callk(L, 0, 0, 0, main_k);
  return 0;
}

static void start_main(lua_State *L, struct ws_engine *e) {
  struct ws_task *t = ws_task_new(e);
  if (!t) {
    luaL_error(L, "not enough memory");
    return;
  }
  t->keeps_error = true;
  e->main = t;
  t->done = main_done;
  lua_pushcfunction(t->co, main_body);
  lua_pushvalue(L, 1);
  lua_xmove(L, t->co, 1);
  ws_task_start_later(t, 1);
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

static void drive(lua_State *L, struct ws_engine *e) {
  int handled = 0;
  bool more = true;
  e->driver = L;
  while (more && !e->is_stopped && !e->has_main_failed) {
    more = ws_ev_step(e->ev, -1, L);
    if (e->signals > handled) {
      handled = e->signals;
      close_servers(e);
    }
    if (handled && ws_list_is_empty(&e->servers)) break;
  }
  e->driver = NULL;
}

int ws_lua_run(lua_State *L) {
  struct ws_engine *e = ws_engine_of(L);
  bool with_signals = read_arguments(L);
  check_not_running(L, e);
  luaL_checkstack(L, 4, NULL);
  e->signals = 0;
  e->is_stopped = e->has_main_failed = false;
  if (!lua_isnil(L, 1)) start_main(L, e);
  if (with_signals) ws_ev_catch(e->ev, true, on_signal);
  drive(L, e);
  if (with_signals) ws_ev_release(e->ev);
  if (e->main) e->main->keeps_error = false; /* there is no run to raise it */
  e->main = NULL;
  if (e->has_main_failed) return lua_error(L);
  if (e->signals) {
    lua_pushnil(L);
    lua_pushliteral(L, "interrupted");
    return 2;
  }
  lua_pushboolean(L, true);
  return 1;
}

int ws_lua_step(lua_State *L) {
  struct ws_engine *e = ws_engine_of(L);
  double timeout = ws_check_timeout(L, 1);
  check_not_running(L, e);
  luaL_checkstack(L, 4, NULL);
  e->driver = L;
  ws_ev_step(e->ev, timeout < 0 ? 0 : timeout, L);
  e->driver = NULL;
  lua_pushboolean(L, true);
  return 1;
}

int ws_lua_stop(lua_State *L) {
  ws_engine_of(L)->is_stopped = true;
  return 0;
}

int ws_lua_fd(lua_State *L) {
  struct ws_engine *e = ws_engine_of(L);
  ws_engine_check_fork(L, e);
  int fd = ws_ev_fd(e->ev);
  if (fd >= 0) {
    lua_pushinteger(L, fd);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, fd == -ENOTSUP ? "not supported" : strerror(-fd));
  return 2;
}

int ws_lua_timeout(lua_State *L) {
  struct ws_engine *e = ws_engine_of(L);
  ws_engine_check_fork(L, e);
  double seconds = ws_ev_timeout(e->ev);
  if (seconds < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, seconds);
  return 1;
}
