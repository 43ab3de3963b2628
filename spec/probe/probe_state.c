/* probe_state: other Lua states of this process, and a copy of the process.
 *
 * new() -> state         a fresh one, which finds what this one finds
 * state:run(code[, text])  -> is it without error?, what it returned as text,
 *                          or why not
 * state:refuse(n)        after n more requests for memory all are refused;
 *                        negative: none is
 * state:close()
 * fork() -> 0 in the child, where whoever is there has to end, and is ended by
 *   SIGALRM after a minute; in this process its id
 * reap(id) -> "exit" or "signal", number   waits for its end
 * setenv(name, value)    nil: it is gone
 * catch_urgent(how)      somebody else handles SIGURG ("own"), it is ignored
 *                        ("ignore"), or nobody does ("none")
 * has_own_urgent()       is that one still there? */
#include "probe.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#define STATE "probe.state"

void probe_open_state(lua_State *L);

struct state {
  lua_State *L; /* NULL: closed */
  lua_Alloc allocate;
  void *ud;
  lua_Integer left; /* requests until memory is refused; negative: never */
};

static struct state *check(lua_State *L) {
  struct state *s = luaL_checkudata(L, 1, STATE);
  if (!s->L) luaL_error(L, "closed");
  return s;
}

/* Giving back and shrinking never fail. */
static void *allocate(void *ud, void *at, size_t before, size_t n) {
  struct state *s = ud;
  bool is_request = n > 0 && (!at || n > before);
  if (is_request && s->left == 0) return NULL;
  if (is_request && s->left > 0) s->left--;
  return s->allocate(s->ud, at, before, n);
}

static void copy_path(lua_State *from, lua_State *to, const char *name) {
  lua_getglobal(from, "package");
  lua_getfield(from, -1, name);
  lua_getglobal(to, "package");
  lua_pushstring(to, lua_tostring(from, -1));
  lua_setfield(to, -2, name);
  lua_pop(to, 1);
  lua_pop(from, 2);
}

static int state_new(lua_State *L) {
  struct state *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (struct state){.left = -1};
  luaL_setmetatable(L, STATE);
  s->L = luaL_newstate();
  if (!s->L) return luaL_error(L, "no state");
  luaL_openlibs(s->L);
  copy_path(L, s->L, "path");
  copy_path(L, s->L, "cpath");
  s->allocate = lua_getallocf(s->L, &s->ud);
  lua_setallocf(s->L, allocate, s);
  return 1;
}

static int state_run(lua_State *L) {
  struct state *s = check(L);
  const char *code = luaL_checkstring(L, 2), *text = lua_tostring(L, 3);
  bool ok = luaL_loadstring(s->L, code) == LUA_OK;
  if (ok) {
    lua_pushstring(s->L, text);
    ok = lua_pcall(s->L, 1, 1, 0) == LUA_OK;
  }
  lua_pushboolean(L, ok);
  lua_pushstring(L, lua_tostring(s->L, -1));
  lua_settop(s->L, 0);
  return 2;
}

static int state_refuse(lua_State *L) {
  check(L)->left = luaL_checkinteger(L, 2);
  return 0;
}

static int state_close(lua_State *L) {
  struct state *s = luaL_checkudata(L, 1, STATE);
  if (s->L) lua_close(s->L);
  s->L = NULL;
  return 0;
}

/* ---- processes ---- */

/* By a pointer, as gcov's own would forget what a fork itself has called. */
static int process_fork(lua_State *L) {
  pid_t (*volatile plain)(void) = fork;
  pid_t id = plain();
  if (id == 0) alarm(60);
  lua_pushinteger(L, id);
  return 1;
}

static int process_reap(lua_State *L) {
  int status = 0;
  if (waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) < 0) return 0;
  lua_pushstring(L, WIFEXITED(status) ? "exit" : "signal");
  lua_pushinteger(L,
                  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  return 2;
}

static int process_setenv(lua_State *L) {
  const char *name = luaL_checkstring(L, 1), *value = lua_tostring(L, 2);
  if (value)
    setenv(name, value, 1);
  else
    unsetenv(name);
  return 0;
}

static void on_urgent(int signum) {
  (void)signum;
}

static int process_catch_urgent(lua_State *L) {
  static const char *const ways[] = {"none", "ignore", "own", NULL};
  static void (*const handlers[])(int) = {SIG_DFL, SIG_IGN, on_urgent};
  signal(SIGURG, handlers[luaL_checkoption(L, 1, NULL, ways)]);
  return 0;
}

static int process_has_own_urgent(lua_State *L) {
  struct sigaction is;
  lua_pushboolean(L, sigaction(SIGURG, NULL, &is) == 0 &&
                       is.sa_handler == on_urgent);
  return 1;
}

void probe_open_state(lua_State *L) {
  static const luaL_Reg methods[] = {{"run", state_run},
                                     {"refuse", state_refuse},
                                     {"close", state_close},
                                     {"__gc", state_close},
                                     {NULL, NULL}};
  static const luaL_Reg functions[] = {
    {"new", state_new},
    {"fork", process_fork},
    {"reap", process_reap},
    {"setenv", process_setenv},
    {"catch_urgent", process_catch_urgent},
    {"has_own_urgent", process_has_own_urgent},
    {NULL, NULL}};
  luaL_newmetatable(L, STATE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}
