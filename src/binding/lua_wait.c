/* lua_wait.c: ws.wait: a task waits for a descriptor of another library. It is
 * watched while it is waited for and at no other time, so that its owner may
 * do with it what it likes in between. */
#include "binding/lua_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "binding/task.h"
#include "binding/waiting.h"

#define WATCH_NAME "evws.watch" /* no script sees it */

struct lua_watch {
  struct ws_watch watch; /* first */
  struct ws_state *st;
  struct ws_task *waiting; /* the one, by its `next` */
  int error;               /* it cannot be watched: an errno */
};

static void stop(void *watch) {
  struct lua_watch *lw = watch;
  if (!lw->st->is_closed) ws_loop_unwatch(&lw->st->loop, &lw->watch);
}

static void on_ready(struct ws_watch *w) {
  struct lua_watch *lw = WS_LIST_ENTRY(w, struct lua_watch, watch);
  lw->error = w->got & WS_DEAF ? w->error : 0;
  stop(lw);
  if (lw->waiting) ws_task_wake(lw->waiting, WS_WAKE_DONE);
}

/* Whoever closes the coroutine of a task that waits leaves it to this. */
static int watch_gc(lua_State *L) {
  struct lua_watch *lw = lua_touserdata(L, 1);
  bool is_alive = !lw->st->is_closed;
  stop(lw);
  if (is_alive && lw->waiting) ws_task_wake(lw->waiting, WS_WAKE_CLOSED);
  return 0;
}

/* A regular file cannot be watched: it is always ready. */
static int wait_k(lua_State *L, const struct ws_woken *w) {
  struct lua_watch *lw = lua_touserdata(L, -1);
  stop(lw);
  if (w->why != WS_WAKE_DONE) return ws_push_why(L, w->why);
  if (lw->error && lw->error != EPERM) {
    lua_pushnil(L);
    lua_pushstring(L, strerror(lw->error));
    return 2;
  }
  lua_pushboolean(L, true);
  return 1;
}

/* A number, or an object that tells it, as those of luasocket do. */
static int check_descriptor(lua_State *L) {
  bool is_object = lua_isuserdata(L, 1) || lua_istable(L, 1);
  if (is_object && lua_getfield(L, 1, "getfd") == LUA_TFUNCTION) {
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    lua_replace(L, 1);
  }
  int is_int = lua_type(L, 1) == LUA_TNUMBER; /* luasocket's are floats */
  lua_Integer fd = is_int ? lua_tointegerx(L, 1, &is_int) : -1;
  luaL_argcheck(L, is_int && fd >= 0 && fd <= INT_MAX, 1,
                "a descriptor, or an object with getfd, expected");
  return (int)fd;
}

static struct lua_watch *push_watch(lua_State *L, struct ws_state *st, int fd) {
  struct lua_watch *lw = lua_newuserdatauv(L, sizeof *lw, 0);
  *lw = (struct lua_watch){.watch = {.fd = fd, .fn = on_ready}, .st = st};
  ws_list_init(&lw->watch.ready);
  if (luaL_newmetatable(L, WATCH_NAME)) {
    lua_pushcfunction(L, watch_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return lw;
}

int ws_lua_wait(lua_State *L) {
  static const char *const modes[] = {"r", "w", NULL};
  struct ws_state *st = ws_state_of(L);
  struct ws_task here, *t;
  ws_state_check_dot(L, "wait");
  int fd = check_descriptor(L);
  uint8_t want = luaL_checkoption(L, 2, "r", modes) ? WS_WRITE : WS_READ;
  double seconds = ws_check_timeout(L, 3);
  lua_settop(L, 3);
  t = ws_task_waiter(L, st, &here);
  if (fcntl(fd, F_GETFD) < 0) {
    lua_pushnil(L);
    lua_pushstring(L, strerror(errno));
    return 2;
  }
  struct lua_watch *lw = push_watch(L, st, fd);
  if (seconds >= 0 && !ws_task_set_timeout(t, seconds))
    return luaL_error(L, "not enough memory");
  ws_task_wait_in(t, &lw->waiting);
  t->undo = stop;
  t->undone = lw;
  ws_loop_watch(&st->loop, &lw->watch, want);
  return ws_task_wait(L, st, t, wait_k);
}
