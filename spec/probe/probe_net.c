/*
 * probe_net: raw loopback sockets, for specs only. Everything is
 * non-blocking; only poll waits, and it needs something to wait for, so
 * nothing here can serve as a sleep.
 *
 * connect{ host=, port=, unix=, rcvbuf=, sndbuf=, source= }
 *                         -> socket | nil, message
 * listen(host, port[, backlog]) or listen(path)
 *                         -> listener | nil, message
 * poll(sockets, timeout[, writers])  waits until one of `sockets` is
 *   readable or one of `writers` is writable -> how many are | 0
 * rss(), fd_count(), cpu(), now(): probe_process.c
 *
 * socket:send(bytes[, i]) from octet i -> n | nil, "again"
 *   | nil, "reset" | nil, message
 * socket:recv([max])      -> bytes | nil, "again" | nil, "eof"
 *   | nil, "reset" | nil, message
 * socket:connected()      -> true | nil, "again" | nil, message
 * socket:shutdown()       half close -> true | nil, message
 * socket:close(), socket:reset()   FIN or RST; twice is harmless
 * socket:fd(), socket:sockname() and socket:peername() -> address, port
 * listener:inherit()      -> descriptor, a copy that children inherit; close it
 *   with net.close_fd(descriptor)
 * listener.port; listener:accept() -> socket | nil, "again"
 *   | nil, message; listener:close(), listener:fd()
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "probe.h"

#define SOCKET "probe.socket"
#define LISTENER "probe.listener"
#define RECV_DEFAULT (1 << 18)
#define RECV_MAX (1 << 26)

/* the one userdata of both kinds: fd is -1 once closed */
struct probe {
  int fd;
};

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  struct sockaddr_un un;
  struct sockaddr_storage storage;
};

void probe_open_net(lua_State *L);

/* nil and what errno says, in the three words that specs ask for */
static int push_failure(lua_State *L, int err) {
  lua_pushnil(L);
  if (err == EAGAIN || err == EWOULDBLOCK || err == EINPROGRESS)
    lua_pushliteral(L, "again");
  else if (err == ECONNRESET || err == EPIPE)
    lua_pushliteral(L, "reset");
  else
    lua_pushstring(L, strerror(err));
  return 2;
}

static int push_true_or_failure(lua_State *L, int failed) {
  if (failed) return push_failure(L, errno);
  lua_pushboolean(L, 1);
  return 1;
}

static struct probe *new_probe(lua_State *L, const char *kind) {
  struct probe *p = lua_newuserdatauv(L, sizeof *p, 0);
  p->fd = -1;
  luaL_setmetatable(L, kind);
  return p;
}

/* the probe at `index`, of either kind, or NULL */
static struct probe *test_any(lua_State *L, int index) {
  struct probe *p = luaL_testudata(L, index, SOCKET);
  return p != NULL ? p : luaL_testudata(L, index, LISTENER);
}

static struct probe *check_open(lua_State *L, const char *kind) {
  struct probe *p = luaL_checkudata(L, 1, kind);
  luaL_argcheck(L, p->fd >= 0, 1, "closed");
  return p;
}

/* Numeric addresses of this machine only: 127/8 and ::1. Returns the
 * length, or 0 for anything else. */
static socklen_t ip_address(const char *host, int port, union address *a) {
  memset(a, 0, sizeof *a);
  if (inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1) {
    if (!IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr)) return 0;
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = htons((uint16_t)port);
    return sizeof a->v6;
  }
  if (inet_pton(AF_INET, host, &a->v4.sin_addr) != 1 ||
      ntohl(a->v4.sin_addr.s_addr) >> 24 != 127)
    return 0;
  a->v4.sin_family = AF_INET;
  a->v4.sin_port = htons((uint16_t)port);
  return sizeof a->v4;
}

/* the length, or 0 for a path that does not fit */
static socklen_t unix_address(const char *path, union address *a) {
  size_t len = strlen(path);
  memset(a, 0, sizeof *a);
  if (len == 0 || len >= sizeof a->un.sun_path) return 0;
  a->un.sun_family = AF_UNIX;
  memcpy(a->un.sun_path, path, len + 1);
  return sizeof a->un;
}

/* address and port of an IP socket, the path alone of a Unix one */
static int push_address(lua_State *L, const union address *a) {
  char text[INET6_ADDRSTRLEN];
  const void *from = &a->v4.sin_addr;
  uint16_t port = a->v4.sin_port;
  if (a->any.sa_family == AF_UNIX) {
    lua_pushstring(L, a->un.sun_path);
    return 1;
  }
  if (a->any.sa_family == AF_INET6) {
    from = &a->v6.sin6_addr;
    port = a->v6.sin6_port;
  }
  if (inet_ntop(a->any.sa_family, from, text, sizeof text) == NULL)
    return push_failure(L, errno);
  lua_pushstring(L, text);
  lua_pushinteger(L, ntohs(port));
  return 2;
}

struct target {
  union address to, source;
  socklen_t to_len, source_len;
  int rcvbuf, sndbuf; /* 0: the kernel's choice */
};

/* Field `name` of the options at 1, anchored by staying on the stack;
 * NULL where it is not set. */
static const char *string_field(lua_State *L, const char *name) {
  if (lua_getfield(L, 1, name) == LUA_TNIL) return NULL;
  if (!lua_isstring(L, -1)) luaL_error(L, "option '%s': string expected", name);
  return lua_tostring(L, -1);
}

static int integer_field(lua_State *L, const char *name, int max) {
  int is_integer = 1;
  lua_Integer value = 0;
  if (lua_getfield(L, 1, name) != LUA_TNIL)
    value = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || value < 0 || value > max)
    luaL_error(L, "option '%s': integer out of range", name);
  return (int)value;
}

static void check_target(lua_State *L, struct target *t) {
  const char *path, *host, *source;
  int port;
  luaL_checktype(L, 1, LUA_TTABLE);
  path = string_field(L, "unix");
  host = string_field(L, "host");
  source = string_field(L, "source");
  port = integer_field(L, "port", 65535);
  t->rcvbuf = integer_field(L, "rcvbuf", 1 << 30);
  t->sndbuf = integer_field(L, "sndbuf", 1 << 30);
  if (path != NULL)
    t->to_len = unix_address(path, &t->to);
  else
    t->to_len = ip_address(host ? host : "127.0.0.1", port, &t->to);
  luaL_argcheck(L, t->to_len > 0, 1, "not a loopback address or path");
  t->source_len = source ? ip_address(source, 0, &t->source) : 0;
  luaL_argcheck(L, !source || t->source_len > 0, 1, "bad 'source'");
}

/* sizes must stand before connect: they decide the window offered */
static int prepare(int fd, const struct target *t) {
  int one = 1;
  if (t->rcvbuf > 0 &&
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &t->rcvbuf, sizeof t->rcvbuf) != 0)
    return -1;
  if (t->sndbuf > 0 &&
      setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &t->sndbuf, sizeof t->sndbuf) != 0)
    return -1;
  if (t->to.any.sa_family == AF_UNIX) return 0;
  /* a write of one octet must arrive as one octet */
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
    return -1;
  if (t->source_len == 0) return 0;
  /* the port is chosen by connect: thousands of them are possible */
  (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  return bind(fd, &t->source.any, t->source_len);
}

static int net_connect(lua_State *L) {
  struct target t;
  struct probe *p;
  lua_settop(L, 1);
  check_target(L, &t);
  p = new_probe(L, SOCKET);
  p->fd =
    socket(t.to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (p->fd >= 0 && prepare(p->fd, &t) == 0 &&
      (connect(p->fd, &t.to.any, t.to_len) == 0 || errno == EINPROGRESS))
    return 1;
  return push_failure(L, errno); /* __gc closes */
}

static int socket_connected(lua_State *L) {
  struct probe *p = check_open(L, SOCKET);
  struct pollfd one = {p->fd, POLLOUT, 0};
  int err = 0;
  socklen_t len = sizeof err;
  if (poll(&one, 1, 0) == 0) return push_failure(L, EAGAIN);
  if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0) err = errno;
  errno = err;
  return push_true_or_failure(L, err != 0);
}

static int socket_send(lua_State *L) {
  struct probe *p = check_open(L, SOCKET);
  size_t len;
  const char *bytes = luaL_checklstring(L, 2, &len);
  lua_Integer from = luaL_optinteger(L, 3, 1);
  ssize_t n;
  luaL_argcheck(L, from >= 1 && (size_t)from <= len + 1, 3, "out of range");
  bytes += from - 1;
  n = send(p->fd, bytes, len - (size_t)(from - 1), MSG_NOSIGNAL);
  if (n < 0) return push_failure(L, errno);
  lua_pushinteger(L, n);
  return 1;
}

static int socket_recv(lua_State *L) {
  struct probe *p = check_open(L, SOCKET);
  lua_Integer max = luaL_optinteger(L, 2, RECV_DEFAULT);
  luaL_Buffer b;
  char *room;
  int waiting;
  ssize_t n;
  luaL_argcheck(L, max >= 1 && max <= RECV_MAX, 2, "out of range");
  /* specs ask often, mostly in vain: no large buffer for nothing */
  if (ioctl(p->fd, FIONREAD, &waiting) == 0 && waiting < max)
    max = waiting > 0 ? waiting : 1;
  room = luaL_buffinitsize(L, &b, (size_t)max);
  n = recv(p->fd, room, (size_t)max, 0);
  if (n > 0) {
    luaL_pushresultsize(&b, (size_t)n);
    return 1;
  }
  if (n < 0) return push_failure(L, errno);
  lua_pushnil(L);
  lua_pushliteral(L, "eof");
  return 2;
}

static int socket_shutdown(lua_State *L) {
  struct probe *p = check_open(L, SOCKET);
  return push_true_or_failure(L, shutdown(p->fd, SHUT_WR) != 0);
}

/* shared by __gc, __close and close() of both kinds */
static int probe_close(lua_State *L) {
  struct probe *p = test_any(L, 1);
  luaL_argexpected(L, p != NULL, 1, SOCKET);
  if (p->fd >= 0) close(p->fd);
  p->fd = -1;
  return 0;
}

static int socket_reset(lua_State *L) {
  struct probe *p = luaL_checkudata(L, 1, SOCKET);
  struct linger now = {1, 0};
  if (p->fd >= 0)
    (void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  return probe_close(L);
}

static int probe_fd(lua_State *L) {
  struct probe *p = test_any(L, 1);
  luaL_argexpected(L, p != NULL, 1, SOCKET);
  lua_pushinteger(L, p->fd); /* -1: closed */
  return 1;
}

static int push_name(lua_State *L,
                     int (*name)(int, struct sockaddr *, socklen_t *)) {
  union address a = {0};
  socklen_t len = sizeof a;
  if (name(check_open(L, SOCKET)->fd, &a.any, &len) != 0)
    return push_failure(L, errno);
  return push_address(L, &a);
}

static int socket_sockname(lua_State *L) {
  return push_name(L, getsockname);
}

static int socket_peername(lua_State *L) {
  return push_name(L, getpeername);
}

static int net_listen(lua_State *L) {
  const char *host = luaL_checkstring(L, 1);
  lua_Integer port = luaL_optinteger(L, 2, 0);
  int backlog = (int)luaL_optinteger(L, 3, 128);
  int one = 1;
  union address a;
  socklen_t len = ip_address(host, (int)port, &a);
  struct probe *p;
  if (len == 0 && lua_isnoneornil(L, 2)) len = unix_address(host, &a);
  luaL_argcheck(L, len > 0, 1, "not a loopback address or path");
  luaL_argcheck(L, port >= 0 && port <= 65535, 2, "out of range");
  p = new_probe(L, LISTENER);
  p->fd =
    socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (p->fd >= 0 &&
      setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
      bind(p->fd, &a.any, len) == 0 && listen(p->fd, backlog) == 0)
    return 1;
  return push_failure(L, errno);
}

static int listener_accept(lua_State *L) {
  struct probe *from = check_open(L, LISTENER);
  struct probe *p = new_probe(L, SOCKET);
  int one = 1;
  p->fd = accept4(from->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (p->fd < 0) return push_failure(L, errno);
  (void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return 1;
}

/* listener.port, and the methods behind it */
static int listener_index(lua_State *L) {
  const char *key = luaL_checkstring(L, 2);
  union address a = {0};
  socklen_t len = sizeof a;
  if (strcmp(key, "port") != 0)
    return luaL_getmetafield(L, 1, key) == LUA_TNIL ? 0 : 1;
  if (getsockname(check_open(L, LISTENER)->fd, &a.any, &len) != 0)
    return push_failure(L, errno);
  if (a.any.sa_family == AF_UNIX) return 0;
  lua_pushinteger(
    L, ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port));
  return 1;
}

/* adds the probes of the list at `index` to the set; returns its size */
static int add_to_set(lua_State *L, int index, short events, struct pollfd *set,
                      int n) {
  lua_Integer i, count = (lua_Integer)lua_rawlen(L, index);
  for (i = 1; i <= count; i++) {
    const struct probe *p;
    lua_rawgeti(L, index, i);
    p = test_any(L, -1);
    luaL_argcheck(L, p && p->fd >= 0, index, "a closed or no socket");
    set[n].fd = p->fd;
    set[n].events = events;
    set[n++].revents = 0;
    lua_pop(L, 1);
  }
  return n;
}

static int net_poll(lua_State *L) {
  lua_Number timeout = luaL_checknumber(L, 2);
  struct timespec t;
  struct pollfd *set;
  size_t room;
  int n;
  lua_settop(L, 3);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argcheck(L, timeout >= 0 && timeout <= 60, 2, "out of range");
  if (lua_isnil(L, 3)) {
    lua_newtable(L);
    lua_replace(L, 3);
  }
  luaL_checktype(L, 3, LUA_TTABLE);
  room = lua_rawlen(L, 1) + lua_rawlen(L, 3);
  if (room == 0) { /* nothing to wait for: not a sleep */
    lua_pushinteger(L, 0);
    return 1;
  }
  set = lua_newuserdatauv(L, room * sizeof *set, 0);
  n = add_to_set(L, 1, POLLIN, set, 0);
  n = add_to_set(L, 3, POLLOUT, set, n);
  t.tv_sec = (time_t)timeout;
  t.tv_nsec = (long)((timeout - (lua_Number)t.tv_sec) * 1e9);
  n = ppoll(set, (nfds_t)n, &t, NULL);
  lua_pushinteger(L, n < 0 ? 0 : n); /* a signal: nothing was ready */
  return 1;
}

static const luaL_Reg socket_methods[] = {
  {"send", socket_send},
  {"recv", socket_recv},
  {"connected", socket_connected},
  {"shutdown", socket_shutdown},
  {"close", probe_close},
  {"reset", socket_reset},
  {"fd", probe_fd},
  {"sockname", socket_sockname},
  {"peername", socket_peername},
  {"__gc", probe_close},
  {"__close", probe_close},
  {NULL, NULL},
};

static int listener_inherit(lua_State *L) {
  struct probe *p = luaL_checkudata(L, 1, LISTENER);
  lua_pushinteger(L, dup(p->fd));
  return 1;
}

static int net_close_fd(lua_State *L) {
  lua_pushinteger(L, close((int)luaL_checkinteger(L, 1)));
  return 1;
}

static int net_dup(lua_State *L) {
  lua_pushinteger(L, dup((int)luaL_checkinteger(L, 1)));
  return 1;
}

static const luaL_Reg listener_methods[] = {
  {"accept", listener_accept},
  {"close", probe_close},
  {"fd", probe_fd},
  {"inherit", listener_inherit},
  {"__index", listener_index},
  {"__gc", probe_close},
  {"__close", probe_close},
  {NULL, NULL},
};

static const luaL_Reg functions[] = {
  {"close_fd", net_close_fd}, {"dup", net_dup},   {"connect", net_connect},
  {"listen", net_listen},     {"poll", net_poll}, {NULL, NULL},
};

void probe_open_net(lua_State *L) {
  luaL_newmetatable(L, SOCKET);
  luaL_setfuncs(L, socket_methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_newmetatable(L, LISTENER);
  luaL_setfuncs(L, listener_methods, 0);
  lua_pop(L, 2);
  luaL_newlib(L, functions);
  probe_add_process(L);
}
