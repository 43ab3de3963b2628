/* probe_seam: calls of the seam (src/transport/io.h), of the kernel's provider
 * or of the simulated network's, which should answer alike.
 *
 * new("kernel") or new("sim"[, { delay=, buffer=, limit= }]) -> seam
 * seam(name, ...) -> what the call returns, 0 and up, or nil and an error as
 *   text; names and what they take:
 *   socket([family[, datagrams]])  4, 6, or 1 for Unix sockets
 *   bind(fd, address, port), connect(fd, address, port)   or a path
 *   listen(fd, backlog), accept(fd), adopt(fd), close(fd), hangup(fd)
 *   shutdown(fd[, both]), sockname(fd) -> port
 *   getsockopt(fd, name)   "error", "type", "listens", "nodelay"
 *   setsockopt(fd)
 *   send(fd, bytes), writev(fd, bytes, bytes), recv(fd, n) -> bytes,
 *     peek(fd, n) -> bytes, readv(fd, n, m) -> bytes
 *   send_fds(fd, bytes), recv_fds(fd), chmod(path), unlink(path)
 * seam:await(fd, want[, seconds]) -> what it is ready for (1 to read, 2 to
 *   write, 8: it cannot be watched), or nil: it never will be. want: 1, 2, 3,
 *   and 16: it alone keeps nobody waiting
 *
 * Of the simulated network:
 * seam:step([seconds]) -> boolean, seam:now()
 * seam:link(fd[, delay]) -> delay; seam:hold(fd, on), seam:reset(fd, bytes)
 *   -> boolean */
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include <lauxlib.h>

#include "transport/io_kernel.h"
#include "transport/net.h"
#include "transport/sim.h"

#define SEAM "probe.seam"
#define BYTES_MAX 65536
#define WAIT_MS 20000

void probe_open_seam(lua_State *L);

struct seam {
  struct ws_io *io, kernel;
  struct ws_io_ops ops;
  struct ws_sim *sim;
  struct ws_loop loop;
};

static struct seam *check(lua_State *L) {
  return luaL_checkudata(L, 1, SEAM);
}

static struct ws_sim *check_sim(lua_State *L) {
  struct seam *s = check(L);
  luaL_argcheck(L, s->sim, 1, "not the simulated network's");
  return s->sim;
}

static int push_result(lua_State *L, ssize_t r) {
  if (r >= 0) {
    lua_pushinteger(L, r);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, strerror((int)-r));
  return 2;
}

static int fd_at(lua_State *L, int arg) {
  return (int)luaL_checkinteger(L, arg);
}

static struct ws_address address_at(lua_State *L, int arg) {
  const char *text = luaL_checkstring(L, arg);
  int port = (int)luaL_optinteger(L, arg + 1, 0);
  struct ws_address a;
  struct sockaddr_in *v4 = (void *)&a.any;
  struct sockaddr_in6 *v6 = (void *)&a.any;
  memset(&a, 0, sizeof a);
  if (text[0] == '/') {
    luaL_argcheck(L, ws_net_unix(&a, text), arg, "too long");
  } else if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    *v4 = (struct sockaddr_in){.sin_family = AF_INET,
                               .sin_addr = v4->sin_addr,
                               .sin_port = htons((uint16_t)port)};
    a.len = sizeof *v4;
  } else {
    luaL_argcheck(L, inet_pton(AF_INET6, text, &v6->sin6_addr) == 1, arg,
                  "no address");
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    a.len = sizeof *v6;
  }
  return a;
}

/* ---- the calls; arguments begin at 3 ---- */

static int call_socket(lua_State *L, struct ws_io *io) {
  lua_Integer family = luaL_optinteger(L, 3, 4);
  return push_result(
    L, io->ops->socket(io,
                       family == 4   ? AF_INET
                       : family == 6 ? AF_INET6
                                     : AF_UNIX,
                       lua_toboolean(L, 4) ? SOCK_DGRAM : SOCK_STREAM));
}

static int call_bind(lua_State *L, struct ws_io *io) {
  struct ws_address a = address_at(L, 4);
  return push_result(L, io->ops->bind(io, fd_at(L, 3), &a));
}

static int call_connect(lua_State *L, struct ws_io *io) {
  struct ws_address a = address_at(L, 4);
  return push_result(L, io->ops->connect(io, fd_at(L, 3), &a));
}

static int call_listen(lua_State *L, struct ws_io *io) {
  return push_result(
    L, io->ops->listen(io, fd_at(L, 3), (int)luaL_optinteger(L, 4, 16)));
}

static int call_accept(lua_State *L, struct ws_io *io) {
  struct ws_address peer;
  return push_result(L, io->ops->accept(io, fd_at(L, 3), &peer));
}

static int call_adopt(lua_State *L, struct ws_io *io) {
  return push_result(L, io->ops->adopt(io, fd_at(L, 3)));
}

static int call_close(lua_State *L, struct ws_io *io) {
  return push_result(L, io->ops->close(io, fd_at(L, 3)));
}

static int call_hangup(lua_State *L, struct ws_io *io) {
  return push_result(L, io->ops->hangup(io, fd_at(L, 3)));
}

static int call_shutdown(lua_State *L, struct ws_io *io) {
  return push_result(L,
                     io->ops->shutdown(io, fd_at(L, 3), lua_toboolean(L, 4)));
}

static int call_sockname(lua_State *L, struct ws_io *io) {
  struct ws_address a;
  char text[WS_NET_TEXT_MAX];
  int r = io->ops->getsockname(io, fd_at(L, 3), &a);
  return push_result(L, r < 0 ? r : ws_net_text(&a, text));
}

static int call_getsockopt(lua_State *L, struct ws_io *io) {
  static const char *const names[] = {"error", "type", "listens", "nodelay",
                                      NULL};
  static const int numbers[] = {SO_ERROR, SO_TYPE, SO_ACCEPTCONN, TCP_NODELAY};
  int which = luaL_checkoption(L, 4, NULL, names), value = 0;
  int r =
    io->ops->getsockopt(io, fd_at(L, 3), which == 3 ? IPPROTO_TCP : SOL_SOCKET,
                        numbers[which], &value);
  return push_result(L, r < 0 ? r : value);
}

static int call_setsockopt(lua_State *L, struct ws_io *io) {
  return push_result(
    L, io->ops->setsockopt(io, fd_at(L, 3), SOL_SOCKET, SO_REUSEADDR, 1));
}

static int call_send(lua_State *L, struct ws_io *io) {
  size_t n;
  const char *bytes = luaL_checklstring(L, 4, &n);
  return push_result(L, io->ops->send(io, fd_at(L, 3), bytes, n));
}

static int call_writev(lua_State *L, struct ws_io *io) {
  struct iovec iov[2];
  for (int i = 0; i < 2; i++)
    iov[i].iov_base = (void *)luaL_checklstring(L, 4 + i, &iov[i].iov_len);
  return push_result(L, io->ops->writev(io, fd_at(L, 3), iov, 2));
}

static int push_bytes(lua_State *L, const char *bytes, ssize_t r) {
  if (r < 0) return push_result(L, r);
  lua_pushlstring(L, bytes, (size_t)r);
  return 1;
}

static size_t size_at(lua_State *L, int arg) {
  lua_Integer n = luaL_optinteger(L, arg, BYTES_MAX);
  luaL_argcheck(L, n >= 0 && n <= BYTES_MAX, arg, "too many");
  return (size_t)n;
}

static int call_recv(lua_State *L, struct ws_io *io) {
  char bytes[BYTES_MAX];
  return push_bytes(L, bytes,
                    io->ops->recv(io, fd_at(L, 3), bytes, size_at(L, 4)));
}

static int call_peek(lua_State *L, struct ws_io *io) {
  char bytes[BYTES_MAX];
  return push_bytes(L, bytes,
                    io->ops->peek(io, fd_at(L, 3), bytes, size_at(L, 4)));
}

static int call_readv(lua_State *L, struct ws_io *io) {
  char bytes[BYTES_MAX];
  size_t n = size_at(L, 4), m = size_at(L, 5);
  luaL_argcheck(L, n + m <= BYTES_MAX, 5, "too many");
  struct iovec iov[2] = {{bytes, n}, {bytes + n, m}};
  return push_bytes(L, bytes, io->ops->readv(io, fd_at(L, 3), iov, 2));
}

static int call_send_fds(lua_State *L, struct ws_io *io) {
  int fd = fd_at(L, 3);
  struct iovec iov;
  iov.iov_base = (void *)luaL_checklstring(L, 4, &iov.iov_len);
  return push_result(L, io->ops->send_fds(io, fd, &iov, 1, NULL, 0));
}

static int call_recv_fds(lua_State *L, struct ws_io *io) {
  char bytes[64];
  int fds[WS_IO_FDS], n_fds;
  bool lost;
  return push_bytes(L, bytes,
                    io->ops->recv_fds(io, fd_at(L, 3), bytes, sizeof bytes, fds,
                                      &n_fds, &lost));
}

static int call_chmod(lua_State *L, struct ws_io *io) {
  return push_result(L, io->ops->chmod(io, luaL_checkstring(L, 3), 0600));
}

static int call_unlink(lua_State *L, struct ws_io *io) {
  return push_result(L, io->ops->unlink(io, luaL_checkstring(L, 3)));
}

static const struct {
  const char *name;
  int (*fn)(lua_State *, struct ws_io *);
} calls[] = {
  {"accept", call_accept},
  {"adopt", call_adopt},
  {"bind", call_bind},
  {"chmod", call_chmod},
  {"close", call_close},
  {"connect", call_connect},
  {"getsockopt", call_getsockopt},
  {"hangup", call_hangup},
  {"listen", call_listen},
  {"peek", call_peek},
  {"readv", call_readv},
  {"recv", call_recv},
  {"recv_fds", call_recv_fds},
  {"send", call_send},
  {"send_fds", call_send_fds},
  {"setsockopt", call_setsockopt},
  {"shutdown", call_shutdown},
  {"socket", call_socket},
  {"sockname", call_sockname},
  {"unlink", call_unlink},
  {"writev", call_writev},
};

static int seam_call(lua_State *L) {
  struct ws_io *io = check(L)->io;
  const char *name = luaL_checkstring(L, 2);
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    if (strcmp(calls[i].name, name) == 0) return calls[i].fn(L, io);
  return luaL_argerror(L, 2, "no call of the seam");
}

/* ---- what is ready ---- */

struct waiting {
  struct ws_watch watch;
  uint8_t got;
};

static void on_ready(struct ws_watch *w) {
  WS_LIST_ENTRY(w, struct waiting, watch)->got |= w->got;
  w->got = 0;
}

static bool step(struct seam *s, double seconds) {
  struct ws_driver *driver = ws_sim_driver(s->sim);
  return driver->step(driver, seconds, NULL);
}

static uint8_t await_sim(struct seam *s, int fd, uint8_t want, double seconds) {
  struct waiting w = {.watch = {.fd = fd, .fn = on_ready}};
  ws_list_init(&w.watch.ready);
  ws_loop_watch(&s->loop, &w.watch, want);
  while (!w.got && step(s, seconds) && seconds < 0) continue;
  ws_loop_unwatch(&s->loop, &w.watch);
  return w.got;
}

static uint8_t await_kernel(int fd, uint8_t want, double seconds) {
  int ms = seconds < 0 ? WAIT_MS : (int)(seconds * 1000);
  struct pollfd p = {.fd = fd,
                     .events = (short)((want & WS_READ ? POLLIN : 0) |
                                       (want & WS_WRITE ? POLLOUT : 0))};
  while (poll(&p, 1, ms) < 0 && errno == EINTR) continue;
  if (p.revents & (POLLERR | POLLHUP)) return want;
  return (p.revents & POLLIN ? WS_READ : 0) |
         (p.revents & POLLOUT ? WS_WRITE : 0);
}

static int seam_await(lua_State *L) {
  struct seam *s = check(L);
  int fd = fd_at(L, 2);
  uint8_t want = (uint8_t)luaL_checkinteger(L, 3);
  double seconds = luaL_optnumber(L, 4, -1);
  uint8_t got =
    s->sim ? await_sim(s, fd, want, seconds) : await_kernel(fd, want, seconds);
  if (got)
    lua_pushinteger(L, got);
  else
    lua_pushnil(L);
  return 1;
}

/* ---- the simulated network's own ---- */

static int seam_step(lua_State *L) {
  check_sim(L);
  lua_pushboolean(L, step(check(L), luaL_optnumber(L, 2, -1)));
  return 1;
}

static int seam_now(lua_State *L) {
  lua_pushnumber(L, ws_loop_now(&check(L)->loop));
  return 1;
}

static int seam_link(lua_State *L) {
  struct ws_sim *sim = check_sim(L);
  int fd = fd_at(L, 2);
  struct ws_sim_link link = *ws_sim_link(sim, fd);
  if (lua_isnoneornil(L, 3)) {
    lua_pushnumber(L, link.delay);
    return 1;
  }
  link.delay = luaL_checknumber(L, 3);
  lua_pushboolean(L, ws_sim_set_link(sim, fd, &link));
  return 1;
}

static int seam_hold(lua_State *L) {
  lua_pushboolean(L,
                  ws_sim_hold(check_sim(L), fd_at(L, 2), lua_toboolean(L, 3)));
  return 1;
}

static int seam_reset(lua_State *L) {
  size_t after = (size_t)luaL_optinteger(L, 3, 0);
  lua_pushboolean(L, ws_sim_reset(check_sim(L), fd_at(L, 2), after));
  return 1;
}

static void turn(void *arg) {
  ws_loop_turn(&((struct seam *)arg)->loop);
}

static double number_of(lua_State *L, const char *name, double otherwise) {
  double value = otherwise;
  if (lua_istable(L, 2)) {
    lua_getfield(L, 2, name);
    value = luaL_optnumber(L, -1, otherwise);
    lua_pop(L, 1);
  }
  return value;
}

static int seam_new(lua_State *L) {
  static const char *const kinds[] = {"kernel", "sim", NULL};
  int is_sim = luaL_checkoption(L, 1, NULL, kinds);
  struct ws_sim_options o = {
    .link = {.delay = number_of(L, "delay", 0.001),
             .buffer = (size_t)number_of(L, "buffer", 65536)},
    .seed = 1,
    .limit = number_of(L, "limit", 1e6)};
  struct seam *s = lua_newuserdatauv(L, sizeof *s, 0);
  memset(s, 0, sizeof *s);
  if (is_sim) {
    if (!(s->sim = ws_sim_new(&o, turn, s))) return luaL_error(L, "no memory");
    s->io = ws_sim_io(s->sim);
    ws_loop_init(&s->loop, s->io);
    ws_sim_attach(s->sim, &s->loop);
  } else {
    ws_io_kernel_fill(&s->ops);
    s->kernel.ops = &s->ops;
    s->io = &s->kernel;
  }
  luaL_setmetatable(L, SEAM);
  return 1;
}

static int seam_gc(lua_State *L) {
  struct seam *s = check(L);
  if (s->sim) ws_loop_free(&s->loop);
  ws_sim_free(s->sim);
  s->sim = NULL;
  return 0;
}

void probe_open_seam(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"await", seam_await}, {"step", seam_step}, {"now", seam_now},
    {"link", seam_link},   {"hold", seam_hold}, {"reset", seam_reset},
    {"__call", seam_call}, {"__gc", seam_gc},   {NULL, NULL}};
  luaL_newmetatable(L, SEAM);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushcfunction(L, seam_new);
  lua_setfield(L, -2, "new");
}
