/* lua_serve.c: see lua_serve.h. */
#include "binding/lua_serve.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "binding/lua_process.h"
#include "binding/state.h"
#include "engine/share.h"
#include "transport/control.h"
#include "transport/pidfile.h"
#include "transport/process.h"
#include "transport/signals.h"

#define CONTROL_NAME "evws.control" /* no script sees these */
#define PAGE_NAME "evws.page"
#define SIGNALS_MAX 64 /* bytes */

static struct ws_io *io_of(lua_State *L) {
  return ws_state_of(L)->loop.io;
}

static int failure(lua_State *L, int error) {
  lua_pushnil(L);
  lua_pushstring(L, error == -EAGAIN  ? "again"
                    : error == -EPIPE ? "closed"
                                      : strerror(-error));
  lua_pushinteger(L, -error);
  return 3;
}

static int success(lua_State *L) {
  lua_pushboolean(L, true);
  return 1;
}

static void class(lua_State *L, const char *name, const luaL_Reg *methods,
                  lua_CFunction gc) {
  if (luaL_newmetatable(L, name)) {
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
}

/* ---- programs ---- */

/* The strings of the list at arg, and NULL; the memory is a userdata's, which
 * stays on the stack, as the strings do in their table. */
static char **strings(lua_State *L, int arg) {
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_Integer n = luaL_len(L, arg);
  char **list = lua_newuserdatauv(L, sizeof *list * ((size_t)n + 1), 0);
  for (lua_Integer i = 0; i < n; i++) {
    lua_rawgeti(L, arg, i + 1);
    if (lua_type(L, -1) != LUA_TSTRING) luaL_typeerror(L, arg, "strings");
    list[i] = (char *)lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  list[n] = NULL;
  return list;
}

static int serve_spawn(lua_State *L) {
  int fds[WS_CONTROL_FDS], n = 0;
  lua_settop(L, 3);
  luaL_checktype(L, 3, LUA_TTABLE);
  for (; n < WS_CONTROL_FDS && lua_rawgeti(L, 3, n + 1) == LUA_TNUMBER; n++)
    fds[n] = (int)lua_tointeger(L, -1);
  lua_settop(L, 3);
  char **argv = strings(L, 1), **env = strings(L, 2);
  if (!argv[0]) return luaL_typeerror(L, 1, "a program");
  struct ws_process *p = ws_process_push(L);
  int error = ws_process_spawn(p, argv, env, fds, n);
  return error < 0 ? failure(L, error) : 1;
}

/* The environment as a list of "name=value". */
static int serve_environment(lua_State *L) {
  char *const *all = ws_process_environment();
  lua_newtable(L);
  for (int i = 0; all[i]; i++) {
    lua_pushstring(L, all[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int serve_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

/* ---- the control socket ---- */

static struct ws_control *check_control(lua_State *L) {
  return luaL_checkudata(L, 1, CONTROL_NAME);
}

static int control_send(lua_State *L) {
  struct ws_control *c = check_control(L);
  struct ws_slice line, rest = {NULL, 0};
  int fds[WS_CONTROL_FDS], n = 0;
  line.p = luaL_checklstring(L, 2, &line.n);
  if (!lua_isnoneornil(L, 3)) rest.p = luaL_checklstring(L, 3, &rest.n);
  for (; n < WS_CONTROL_FDS && !lua_isnoneornil(L, 4 + n); n++)
    fds[n] = (int)luaL_checkinteger(L, 4 + n);
  int r = ws_control_send(c, line, rest, fds, n);
  return r < 0 ? failure(L, r) : success(L);
}

static void push_record(lua_State *L, struct ws_slice bytes, const int *fds,
                        int n) {
  lua_createtable(L, 1, 1);
  lua_pushlstring(L, bytes.p, bytes.n);
  lua_rawseti(L, -2, 1);
  if (n <= 0) return;
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, fds[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "fds");
}

static int control_read(lua_State *L) {
  struct ws_control *c = check_control(L);
  struct ws_slice bytes;
  int fds[WS_CONTROL_FDS], n;
  int r = ws_control_read(c);
  if (r < 0) return failure(L, r == -EPROTO ? -EPIPE : r);
  lua_newtable(L);
  for (int i = 1; ws_control_next(c, &bytes, fds, &n); i++) {
    push_record(L, bytes, fds, n);
    lua_rawseti(L, -2, i);
  }
  return 1;
}

static int control_flush(lua_State *L) {
  int r = ws_control_flush(check_control(L));
  return r < 0 ? failure(L, r) : success(L);
}

static int control_fd(lua_State *L) {
  lua_pushinteger(L, check_control(L)->fd);
  return 1;
}

static int control_close(lua_State *L) {
  ws_control_close(check_control(L));
  return 0;
}

static int serve_control(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"close", control_close}, {"fd", control_fd},     {"flush", control_flush},
    {"read", control_read},   {"send", control_send}, {NULL, NULL}};
  int given = (int)luaL_optinteger(L, 1, -1), fds[2];
  struct ws_control *c = lua_newuserdatauv(L, sizeof *c, 0);
  ws_control_init(c, io_of(L), -1);
  class(L, CONTROL_NAME, methods, control_close);
  if (given >= 0) {
    c->fd = given;
    return 1;
  }
  int r = ws_control_pair(c->io, fds);
  if (r < 0) return failure(L, r);
  c->fd = fds[0];
  lua_pushinteger(L, fds[1]);
  return 2;
}

/* ---- the page ---- */

static struct ws_share *check_page(lua_State *L) {
  struct ws_share *share = luaL_checkudata(L, 1, PAGE_NAME);
  if (!share->page) luaL_typeerror(L, 1, "an open page");
  return share;
}

static int check_slot(lua_State *L) {
  lua_Integer slot = luaL_checkinteger(L, 2);
  if (slot < 1 || slot >= WS_SHARE_SLOTS) luaL_typeerror(L, 2, "a slot");
  return (int)slot;
}

static int page_set(lua_State *L) {
  struct ws_share *share = check_page(L);
  struct ws_share_worker w = {.state = WS_SHARE_STARTING,
                              .id = (uint32_t)luaL_checkinteger(L, 3),
                              .generation = (uint32_t)luaL_checkinteger(L, 4),
                              .serial = (uint64_t)luaL_checkinteger(L, 5)};
  ws_share_set(share, check_slot(L), w);
  return 0;
}

static int page_state(lua_State *L) {
  static const char *const names[] = {"free", "starting", "ready", "retiring",
                                      NULL};
  struct ws_share *share = check_page(L);
  int slot = check_slot(L);
  enum ws_share_state state = luaL_checkoption(L, 3, NULL, names);
  if (state == WS_SHARE_FREE)
    ws_share_set(share, slot, (struct ws_share_worker){.state = state});
  else
    ws_share_set_state(share, slot, state);
  return 0;
}

static int page_restarted(lua_State *L) {
  ws_share_count_restart(check_page(L));
  return 0;
}

static int page_gc(lua_State *L) {
  ws_share_close(luaL_checkudata(L, 1, PAGE_NAME));
  return 0;
}

static int serve_page(lua_State *L) {
  static const luaL_Reg methods[] = {{"restarted", page_restarted},
                                     {"set", page_set},
                                     {"state", page_state},
                                     {NULL, NULL}};
  struct ws_share *share = lua_newuserdatauv(L, sizeof *share, 0);
  *share = (struct ws_share){.page = NULL};
  class(L, PAGE_NAME, methods, page_gc);
  int fd = ws_share_new();
  if (fd < 0) return failure(L, fd);
  int r = ws_share_open(share, fd, 0);
  if (r < 0) {
    close(fd);
    return failure(L, r);
  }
  lua_pushinteger(L, fd);
  return 2;
}

/* ---- sockets ---- */

static const char *text_of(lua_State *L, const char *name) {
  lua_getfield(L, 1, name); /* the table keeps it */
  const char *text = lua_tostring(L, -1);
  lua_pop(L, 1);
  return text;
}

static int number_of(lua_State *L, const char *name, int absent) {
  lua_getfield(L, 1, name);
  int n = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : absent;
  lua_pop(L, 1);
  return n;
}

static int serve_open(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct ws_net_listen what = {.host = text_of(L, "host"),
                               .unix_path = text_of(L, "unix"),
                               .port = number_of(L, "port", 0),
                               .unix_mode = number_of(L, "mode", 0),
                               .backlog = number_of(L, "backlog", 1024)};
  int fds[WS_NET_LISTEN_MAX];
  const char *why = NULL;
  if (!what.host && !what.unix_path) return luaL_typeerror(L, 1, "a place");
  int n = ws_net_listen(io_of(L), &what, fds, &why);
  if (n < 0) {
    lua_pushnil(L);
    lua_pushstring(L, why ? why : strerror(-n));
    lua_pushinteger(L, -n);
    return 3;
  }
  lua_pushinteger(L, what.port);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, fds[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 2;
}

/* One that listens already -> its port (0: a path), its address or path. */
static int serve_adopt(lua_State *L) {
  struct ws_net_listen what = {.fd = (int)luaL_checkinteger(L, 1),
                               .has_fd = true};
  struct ws_io *io = io_of(L);
  int fds[WS_NET_LISTEN_MAX];
  char text[WS_NET_TEXT_MAX];
  struct ws_address a;
  const char *why = NULL;
  int r = ws_net_listen(io, &what, fds, &why);
  if (r >= 0) r = io->ops->getsockname(io, what.fd, &a);
  if (r < 0) return failure(L, r);
  if (ws_net_text(&a, text) == 0) ws_net_unix_path(&a, text);
  lua_pushinteger(L, what.port);
  lua_pushstring(L, text);
  return 2;
}

/* take_pidfile(path) -> fd | nil, why, errno, whose it is */
static int serve_take_pidfile(lua_State *L) {
  long holder;
  int fd = ws_pidfile_take(luaL_checkstring(L, 1), &holder);
  if (fd < 0) {
    failure(L, fd);
    lua_pushinteger(L, holder);
    return 4;
  }
  lua_pushinteger(L, fd);
  return 1;
}

static int serve_leave_pidfile(lua_State *L) {
  ws_pidfile_leave(luaL_checkstring(L, 1), (int)luaL_checkinteger(L, 2));
  return 0;
}

static int serve_close(lua_State *L) {
  struct ws_io *io = io_of(L);
  io->ops->close(io, (int)luaL_checkinteger(L, 1));
  return 0;
}

/* That of a socket alone. */
static int serve_unlink(lua_State *L) {
  struct ws_io *io = io_of(L);
  int r = io->ops->unlink(io, luaL_checkstring(L, 1));
  return r < 0 ? failure(L, r) : success(L);
}

/* ---- signals ---- */

static const struct {
  const char *name;
  int number;
} signals[] = {{"CHLD", SIGCHLD}, {"HUP", SIGHUP},   {"INT", SIGINT},
               {"TERM", SIGTERM}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU}};

#define N_SIGNALS ((int)(sizeof signals / sizeof *signals))

static int serve_signals(lua_State *L) {
  int numbers[N_SIGNALS];
  for (int i = 0; i < N_SIGNALS; i++) numbers[i] = signals[i].number;
  int fd = ws_signals_open(numbers, N_SIGNALS);
  if (fd < 0) return failure(L, fd);
  lua_pushinteger(L, fd);
  return 1;
}

static int serve_take_signals(lua_State *L) {
  unsigned char bytes[SIGNALS_MAX];
  ssize_t n = read((int)luaL_checkinteger(L, 1), bytes, sizeof bytes);
  lua_newtable(L);
  for (ssize_t i = 0; i < n; i++)
    for (int j = 0; j < N_SIGNALS; j++) {
      if (signals[j].number != bytes[i]) continue;
      lua_pushstring(L, signals[j].name);
      lua_rawseti(L, -2, luaL_len(L, -2) + 1);
    }
  return 1;
}

void ws_serve_push(lua_State *L) {
  static const luaL_Reg functions[] = {{"adopt", serve_adopt},
                                       {"close", serve_close},
                                       {"control", serve_control},
                                       {"environment", serve_environment},
                                       {"open", serve_open},
                                       {"page", serve_page},
                                       {"pid", serve_pid},
                                       {"signals", serve_signals},
                                       {"spawn", serve_spawn},
                                       {"take_signals", serve_take_signals},
                                       {"take_pidfile", serve_take_pidfile},
                                       {"leave_pidfile", serve_leave_pidfile},
                                       {"unlink", serve_unlink},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_pushinteger(L, WS_SHARE_SLOTS);
  lua_setfield(L, -2, "slots");
  lua_pushinteger(L, EADDRINUSE);
  lua_setfield(L, -2, "in_use");
}
