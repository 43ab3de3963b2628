/* probe_foreign: loops beside the engine's: one that polls, as a program
 * does that drives the engine by ws.fd; and watchers of other libraries on
 * libev's default loop, called the way lua-ev calls its own.
 *
 * poll(fds, timeout) -> set of those that can be read   fds: a list of numbers
 * watch(fd, fn) -> watcher   on the default loop, for reading; fn in its
 *                            callback, in the thread that libev's user data is
 * watcher:stop() */
#define _GNU_SOURCE
#include "probe.h"

#include <poll.h>
#include <time.h>

#include <ev.h>
#include <lauxlib.h>

#define WATCHER "probe.watcher"
#define FDS_MAX 16

void probe_open_foreign(lua_State *L);

struct watcher {
  ev_io io; /* first */
  int fn;   /* registry */
};

static int foreign_poll(lua_State *L) {
  struct pollfd set[FDS_MAX];
  lua_Number timeout = luaL_checknumber(L, 2);
  lua_Integer n = luaL_len(L, 1);
  luaL_argcheck(L, n > 0 && n <= FDS_MAX, 1, "out of range");
  luaL_argcheck(L, timeout >= 0 && timeout <= 60, 2, "out of range");
  for (lua_Integer i = 0; i < n; i++) {
    lua_geti(L, 1, i + 1);
    set[i] =
      (struct pollfd){.fd = (int)luaL_checkinteger(L, -1), .events = POLLIN};
    lua_pop(L, 1);
  }
  struct timespec t = {.tv_sec = (time_t)timeout};
  t.tv_nsec = (long)((timeout - (lua_Number)t.tv_sec) * 1e9);
  int ready = ppoll(set, (nfds_t)n, &t, NULL);
  lua_newtable(L);
  for (lua_Integer i = 0; ready > 0 && i < n; i++) {
    if (!set[i].revents) continue;
    lua_pushboolean(L, true);
    lua_rawseti(L, -2, set[i].fd);
  }
  return 1;
}

static void on_io(struct ev_loop *ev, ev_io *io, int events) {
  struct watcher *w = (struct watcher *)(void *)io;
  lua_State *L = ev_userdata(ev);
  (void)events;
  if (!L) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, w->fn);
  lua_call(L, 0, 0); /* as lua-ev: the specs' functions do not raise */
}

static int foreign_watch(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  struct watcher *w = lua_newuserdatauv(L, sizeof *w, 0);
  ev_io_init(&w->io, on_io, fd, EV_READ);
  lua_insert(L, 2);
  w->fn = luaL_ref(L, LUA_REGISTRYINDEX);
  luaL_setmetatable(L, WATCHER);
  ev_io_start(ev_default_loop(0), &w->io);
  return 1;
}

static int watcher_stop(lua_State *L) {
  struct watcher *w = luaL_checkudata(L, 1, WATCHER);
  ev_io_stop(ev_default_loop(0), &w->io);
  luaL_unref(L, LUA_REGISTRYINDEX, w->fn);
  w->fn = LUA_NOREF;
  return 0;
}

void probe_open_foreign(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"poll", foreign_poll}, {"watch", foreign_watch}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
    {"stop", watcher_stop}, {"__gc", watcher_stop}, {NULL, NULL}};
  luaL_newmetatable(L, WATCHER);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}
