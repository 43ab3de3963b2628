/* lua_input.c: core.input(fd), for evws's own tools: waiting for what comes by
 * a descriptor that others gave us, such as standard input. It stays as it is
 * (blocking: its flags are shared with the shell, and with whoever else has
 * it), so it is read once for each time that it is ready. */
#include "binding/lua_input.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "binding/task.h"
#include "binding/waiting.h"

#define INPUT_NAME "evws.input"
#define PIECE 16384 /* bytes */
#define COLUMNS 80  /* of a terminal that does not say */

struct lua_input {
  struct ws_watch watch;
  struct ws_state *st;
  struct ws_task *waiting;
  bool is_deaf;         /* it cannot be watched: reading might wait */
  bool has_keys;        /* a terminal that is set to give keys, not lines */
  struct termios lines; /* what it is set back to */
};

static void on_ready(struct ws_watch *w) {
  struct lua_input *i = WS_LIST_ENTRY(w, struct lua_input, watch);
  i->is_deaf = w->got & WS_DEAF;
  ws_loop_unwatch(&i->st->loop, w);
  if (i->waiting) ws_task_wake(i->waiting, WS_WAKE_DONE);
}

static int wait_for_input(lua_State *L, struct lua_input *i, double timeout);

/* The bytes; nil at the end, which an error is too: a descriptor that is
 * closed, a terminal that is gone. */
static int read_once(lua_State *L, struct lua_input *i, double timeout) {
  struct ws_io *io = i->st->loop.io;
  luaL_Buffer b;
  struct iovec iov = {luaL_buffinitsize(L, &b, PIECE), PIECE};
  ssize_t n = io->ops->readv(io, i->watch.fd, &iov, 1);
  luaL_pushresultsize(&b, n > 0 ? (size_t)n : 0);
  if (n > 0) return 1;
  if (n == -EAGAIN || n == -EWOULDBLOCK || n == -EINTR)
    return wait_for_input(L, i, timeout);
  lua_pushnil(L);
  lua_pushliteral(L, "closed");
  return 2;
}

static int input_k(lua_State *L, const struct ws_woken *w) {
  struct lua_input *i = lua_touserdata(L, 1);
  ws_loop_unwatch(&i->st->loop, &i->watch);
  if (w->why == WS_WAKE_DONE && !i->is_deaf)
    return read_once(L, i, w->time_left);
  lua_pushnil(L);
  lua_pushstring(L, w->why == WS_WAKE_DONE      ? "closed"
                    : w->why == WS_WAKE_TIMEOUT ? "timeout"
                                                : "interrupted");
  return 2;
}

static int wait_for_input(lua_State *L, struct lua_input *i, double timeout) {
  struct ws_task here, *t = ws_task_waiter(L, i->st, &here);
  if (timeout >= 0 && !ws_task_set_timeout(t, timeout))
    return luaL_error(L, "not enough memory");
  lua_settop(L, 1);
  ws_task_wait_in(t, &i->waiting);
  ws_loop_watch(&i->st->loop, &i->watch, WS_READ);
  return ws_task_wait(L, i->st, t, input_k);
}

/* input:read([timeout]) -> bytes | nil, "closed" | nil, "timeout" */
static int input_read(lua_State *L) {
  struct lua_input *i = luaL_checkudata(L, 1, INPUT_NAME);
  double timeout = ws_check_timeout(L, 2);
  if (i->waiting) return luaL_error(L, "cannot read: another task is reading");
  return wait_for_input(L, i, timeout);
}

static int input_is_terminal(lua_State *L) {
  struct lua_input *i = luaL_checkudata(L, 1, INPUT_NAME);
  lua_pushboolean(L, isatty(i->watch.fd));
  return 1;
}

static void give_lines(struct lua_input *i) {
  if (i->has_keys) tcsetattr(i->watch.fd, TCSADRAIN, &i->lines);
  i->has_keys = false;
}

/* Ctrl-C stays a signal, so that it is heard while nobody reads. Ctrl-Z and
 * Ctrl-\ are keys: whoever takes them leaves the terminal as it was first. */
static bool give_keys(struct lua_input *i) {
  struct termios keys;
  if (i->has_keys) return true;
  if (tcgetattr(i->watch.fd, &i->lines)) return false;
  keys = i->lines;
  keys.c_iflag &= (tcflag_t) ~(IXON | INLCR | IGNCR);
  keys.c_iflag |= ICRNL;
  keys.c_lflag &= (tcflag_t) ~(ICANON | ECHO | IEXTEN);
  keys.c_lflag |= ISIG;
  keys.c_cc[VSUSP] = keys.c_cc[VQUIT] = _POSIX_VDISABLE;
  keys.c_cc[VMIN] = 1;
  keys.c_cc[VTIME] = 0;
  i->has_keys = tcsetattr(i->watch.fd, TCSADRAIN, &keys) == 0;
  return i->has_keys;
}

/* input:keys(on) -> true | false, it is no terminal. What is typed comes key
 * by key and is not shown, until it is turned off or the state is closed. */
static int input_keys(lua_State *L) {
  struct lua_input *i = luaL_checkudata(L, 1, INPUT_NAME);
  bool on = lua_toboolean(L, 2);
  if (!on) give_lines(i);
  lua_pushboolean(L, on ? give_keys(i) : isatty(i->watch.fd));
  return 1;
}

static int input_columns(lua_State *L) {
  struct lua_input *i = luaL_checkudata(L, 1, INPUT_NAME);
  struct winsize size = {0};
  bool says = !ioctl(i->watch.fd, TIOCGWINSZ, &size) && size.ws_col > 0;
  lua_pushinteger(L, says ? size.ws_col : COLUMNS);
  return 1;
}

/* input:signal("suspend" or "quit"): to all who share the terminal, as it does
 * itself. */
static int input_signal(lua_State *L) {
  static const char *const names[] = {"suspend", "quit", NULL};
  luaL_checkudata(L, 1, INPUT_NAME);
  kill(0, luaL_checkoption(L, 2, NULL, names) ? SIGQUIT : SIGTSTP);
  return 0;
}

static int input_gc(lua_State *L) {
  struct lua_input *i = luaL_checkudata(L, 1, INPUT_NAME);
  give_lines(i);
  if (i->st->is_closed) return 0;
  ws_loop_unwatch(&i->st->loop, &i->watch);
  if (i->waiting) ws_task_wake(i->waiting, WS_WAKE_CLOSED); /* it was closed */
  return 0;
}

int ws_lua_input(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"columns", input_columns}, {"is_terminal", input_is_terminal},
    {"keys", input_keys},       {"read", input_read},
    {"signal", input_signal},   {NULL, NULL}};
  lua_Integer fd = luaL_checkinteger(L, 1);
  luaL_argcheck(L, fd >= 0 && fd < 1 << 20, 1, "a descriptor expected");
  struct lua_input *i = lua_newuserdatauv(L, sizeof *i, 0);
  *i = (struct lua_input){.st = ws_state_of(L)};
  i->watch.fd = (int)fd;
  i->watch.fn = on_ready;
  ws_list_init(&i->watch.ready);
  if (luaL_newmetatable(L, INPUT_NAME)) {
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, input_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return 1;
}
