/* lua_process.c: core.process: a command of the shell as an object. Nothing
 * here waits: lua/evws/popen.lua does, by ws.wait. */
#include "binding/lua_process.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include <lauxlib.h>

#include "transport/process.h"

#define PROCESS_NAME "evws.process.raw" /* no script sees it */
#define PIECE 65536                     /* bytes */

static struct ws_process *check(lua_State *L) {
  return luaL_checkudata(L, 1, PROCESS_NAME);
}

static int failure(lua_State *L, ssize_t error) {
  lua_pushnil(L);
  lua_pushstring(L, error == -EAGAIN || error == -EINTR ? "again"
                    : error == -EPIPE                   ? "closed"
                                      : strerror((int)-error));
  return 2;
}

static int process_fd(lua_State *L) {
  const struct ws_process *p = check(L);
  if (p->fd < 0) return 0;
  lua_pushinteger(L, p->fd);
  return 1;
}

/* Bytes; nil and "again", "closed" or why not. */
static int process_read(lua_State *L) {
  struct ws_process *p = check(L);
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, PIECE);
  ssize_t n = ws_process_read(p, to, PIECE);
  luaL_pushresultsize(&b, n > 0 ? (size_t)n : 0);
  return n > 0 ? 1 : failure(L, n);
}

/* (bytes, from) -> how many of those from there on were taken */
static int process_write(lua_State *L) {
  struct ws_process *p = check(L);
  size_t n;
  const char *data = luaL_checklstring(L, 2, &n);
  lua_Integer from = luaL_checkinteger(L, 3);
  size_t at = from >= 1 && (size_t)from <= n ? (size_t)from - 1 : n;
  ssize_t taken = ws_process_write(p, data + at, n - at);
  if (taken < 0) return failure(L, taken);
  lua_pushinteger(L, taken);
  return 1;
}

static int process_shut(lua_State *L) {
  ws_process_shut(check(L));
  return 0;
}

/* nil: it goes on; or "exit" or "signal" and its number, or "lost" */
static int process_poll(lua_State *L) {
  struct ws_process *p = check(L);
  if (!ws_process_is_over(p)) return 0;
  bool is_exit = WIFEXITED(p->status);
  lua_pushstring(L, p->is_lost ? "lost" : is_exit ? "exit" : "signal");
  if (p->is_lost) return 1;
  lua_pushinteger(L, is_exit ? WEXITSTATUS(p->status) : WTERMSIG(p->status));
  return 2;
}

static int process_pidfd(lua_State *L) {
  const struct ws_process *p = check(L);
  if (p->pidfd < 0) return 0;
  lua_pushinteger(L, p->pidfd);
  return 1;
}

static int process_kill(lua_State *L) {
  struct ws_process *p = check(L);
  int signum = (int)luaL_checkinteger(L, 2);
  lua_pushboolean(L, ws_process_signal(p, signum));
  return 1;
}

static int process_gc(lua_State *L) {
  ws_process_forget(check(L));
  return 0;
}

struct ws_process *ws_process_push(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"fd", process_fd},       {"kill", process_kill},
    {"pidfd", process_pidfd}, {"poll", process_poll},
    {"read", process_read},   {"shut", process_shut},
    {"write", process_write}, {NULL, NULL}};
  struct ws_process *p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = (struct ws_process)WS_PROCESS_NONE;
  if (luaL_newmetatable(L, PROCESS_NAME)) {
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, process_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return p;
}

int ws_lua_process(lua_State *L) {
  static const char *const modes[] = {"r", "w", NULL};
  const char *command = luaL_checkstring(L, 1);
  bool is_write = luaL_checkoption(L, 2, "r", modes);
  struct ws_process *p = ws_process_push(L);
  int error = ws_process_start(p, command, is_write);
  return error < 0 ? failure(L, error) : 1;
}
