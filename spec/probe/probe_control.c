/* probe_control: what no script has of a control socket
 * (src/transport/control.h), over the kernel's provider.
 *
 * new(fd) -> control     fd is its own
 * control:send(bytes[, n, fd]) -> true | nil, error   with fd n times
 * control:next() -> bytes | nil   of those that have been read
 * control:read(), control:wait(seconds) -> true | nil, error
 * control:close() */
#include "probe.h"

#include <string.h>

#include <lauxlib.h>

#include "transport/control.h"
#include "transport/io_kernel.h"

#define CONTROL "probe.control"

void probe_open_control(lua_State *L);

struct control {
  struct ws_control c;
  struct ws_io io;
  struct ws_io_ops ops;
};

static struct control *check(lua_State *L) {
  return luaL_checkudata(L, 1, CONTROL);
}

static int push_result(lua_State *L, int r) {
  if (r >= 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, strerror(-r));
  return 2;
}

static int control_new(lua_State *L) {
  struct control *c = lua_newuserdatauv(L, sizeof *c, 0);
  ws_io_kernel_fill(&c->ops);
  c->io.ops = &c->ops;
  ws_control_init(&c->c, &c->io, (int)luaL_checkinteger(L, 1));
  luaL_setmetatable(L, CONTROL);
  return 1;
}

static int control_send(lua_State *L) {
  struct ws_slice bytes, none = {NULL, 0};
  int fds[2 * WS_CONTROL_FDS], n = (int)luaL_optinteger(L, 3, 0);
  bytes.p = luaL_checklstring(L, 2, &bytes.n);
  luaL_argcheck(L, n <= 2 * WS_CONTROL_FDS, 3, "too many");
  for (int i = 0; i < n; i++) fds[i] = (int)luaL_checkinteger(L, 4);
  return push_result(L, ws_control_send(&check(L)->c, bytes, none, fds, n));
}

static int control_next(lua_State *L) {
  struct control *c = check(L);
  struct ws_slice record;
  int fds[WS_CONTROL_FDS], n;
  if (!ws_control_next(&c->c, &record, fds, &n)) return 0;
  while (n > 0) c->ops.close(&c->io, fds[--n]);
  lua_pushlstring(L, record.p, record.n);
  return 1;
}

static int control_read(lua_State *L) {
  return push_result(L, ws_control_read(&check(L)->c));
}

static int control_wait(lua_State *L) {
  return push_result(L, ws_control_wait(&check(L)->c, luaL_checknumber(L, 2)));
}

static int control_close(lua_State *L) {
  ws_control_close(&check(L)->c);
  return 0;
}

void probe_open_control(lua_State *L) {
  static const luaL_Reg methods[] = {{"send", control_send},
                                     {"next", control_next},
                                     {"read", control_read},
                                     {"wait", control_wait},
                                     {"close", control_close},
                                     {"__gc", control_close},
                                     {NULL, NULL}};
  luaL_newmetatable(L, CONTROL);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushcfunction(L, control_new);
  lua_setfield(L, -2, "new");
}
