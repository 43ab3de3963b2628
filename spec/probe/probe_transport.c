/* probe_transport: what src/transport does with real descriptors, on a loop
 * over libev (probe.loop.new("ev")).
 *
 * listen(loop, { host=, port=, unix=, reuse_port= }) -> list of fds, port
 *   | nil, errno as text, why
 * connect(loop, host, port) -> fd | nil, errno as text   host: an address
 * accept(loop, fd)       -> fd, address, port | nil, errno as text
 * flags(fd)              -> is close-on-exec, is non-blocking, has TCP_NODELAY
 * send(loop, fd, bytes)  -> n | nil, errno as text
 * recv(loop, fd)         -> bytes, "" at the end | nil, errno as text
 * close(loop, fd)
 * random(loop, n), wall(loop)
 * text(address, port[, mapped]) -> what ws_net_text makes of it, port,
 *   is it loopback?   mapped: an IPv4 address inside of IPv6
 * unix(path)             -> does it fit?
 *
 * part(loop, fd, bytes, seconds)   bytes are sent by a stream that is given so
 *   long to end well (parting.h), and is closed
 *
 * lookup(loop, host, port, fn) -> lookup, is it known already
 *   fn(lookup) in a turn otherwise
 * lookup:answer() -> list of addresses ("1.2.3.4 80", "fe80::1 80 in 1" with
 *   a zone), error; lookup:cancel()
 *
 * linger(loop, fd[, second])   of a copy of fd; second: the peer ends first
 * lingers(loop)          how many there are; stop_lingers(loop) */
#define _GNU_SOURCE
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/buf.h"
#include "probe_loop.h"
#include "transport/linger.h"
#include "transport/net.h"
#include "transport/parting.h"

#define LOOKUP "probe.lookup"
#define BYTES_MAX 65536

void probe_open_transport(lua_State *L);

struct lookup {
  struct ws_lookup l;
  struct probe_loop *pl;
  int fn;   /* registry */
  int self; /* registry, while it is under way */
};

static struct ws_io *check_io(lua_State *L) {
  return probe_loop_check(L, 1)->loop.io;
}

static int check_fd(lua_State *L, int arg) {
  return (int)luaL_checkinteger(L, arg);
}

static int push_failure(lua_State *L, ssize_t error) {
  lua_pushnil(L);
  lua_pushstring(L, strerror((int)-error));
  return 2;
}

static int push_fd(lua_State *L, int fd) {
  if (fd < 0) return push_failure(L, fd);
  lua_pushinteger(L, fd);
  return 1;
}

static void check_address(lua_State *L, int arg, int port,
                          struct ws_address *a) {
  struct sockaddr_in *v4 = (void *)&a->any;
  struct sockaddr_in6 *v6 = (void *)&a->any;
  const char *text = luaL_checkstring(L, arg);
  memset(a, 0, sizeof *a);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    a->len = sizeof *v4;
  } else {
    luaL_argcheck(L, inet_pton(AF_INET6, text, &v6->sin6_addr) == 1, arg,
                  "not an address");
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    a->len = sizeof *v6;
  }
}

/* ---- net ---- */

static int transport_listen(lua_State *L) {
  struct ws_io *io = check_io(L);
  struct ws_net_listen what = {.backlog = 16};
  int fds[WS_NET_LISTEN_MAX];
  const char *why = "";
  lua_settop(L, 2);
  lua_getfield(L, 2, "host");
  what.host = luaL_optstring(L, -1, NULL);
  lua_getfield(L, 2, "unix");
  what.unix_path = luaL_optstring(L, -1, NULL);
  lua_getfield(L, 2, "port");
  what.port = (int)luaL_optinteger(L, -1, 0);
  lua_getfield(L, 2, "reuse_port");
  what.reuse_port = lua_toboolean(L, -1);
  int n = ws_net_listen(io, &what, fds, &why);
  if (n < 0) {
    push_failure(L, n);
    lua_pushstring(L, why);
    return 3;
  }
  lua_newtable(L);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, fds[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushinteger(L, what.port);
  return 2;
}

static int transport_connect(lua_State *L) {
  struct ws_io *io = check_io(L);
  struct ws_address a;
  check_address(L, 2, (int)luaL_checkinteger(L, 3), &a);
  return push_fd(L, ws_net_connect(io, &a));
}

static int transport_accept(lua_State *L) {
  struct ws_io *io = check_io(L);
  char text[WS_NET_TEXT_MAX];
  struct ws_address peer;
  int fd = io->ops->accept(io, check_fd(L, 2), &peer);
  if (fd < 0) return push_failure(L, fd);
  int port = ws_net_text(&peer, text);
  lua_pushinteger(L, fd);
  lua_pushstring(L, text);
  lua_pushinteger(L, port);
  return 3;
}

static int transport_flags(lua_State *L) {
  int fd = check_fd(L, 1), value = 0;
  socklen_t len = sizeof value;
  lua_pushboolean(L, fcntl(fd, F_GETFD) & FD_CLOEXEC);
  lua_pushboolean(L, fcntl(fd, F_GETFL) & O_NONBLOCK);
  if (getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len) != 0) value = 0;
  lua_pushboolean(L, value);
  return 3;
}

static int transport_send(lua_State *L) {
  struct ws_io *io = check_io(L);
  size_t n;
  const char *bytes = luaL_checklstring(L, 3, &n);
  ssize_t r = io->ops->send(io, check_fd(L, 2), bytes, n);
  if (r < 0) return push_failure(L, r);
  lua_pushinteger(L, r);
  return 1;
}

static int transport_recv(lua_State *L) {
  struct ws_io *io = check_io(L);
  char bytes[BYTES_MAX];
  ssize_t r = io->ops->recv(io, check_fd(L, 2), bytes, sizeof bytes);
  if (r < 0) return push_failure(L, r);
  lua_pushlstring(L, bytes, (size_t)r);
  return 1;
}

static int transport_close(lua_State *L) {
  struct ws_io *io = check_io(L);
  lua_pushinteger(L, io->ops->close(io, check_fd(L, 2)));
  return 1;
}

static int transport_random(lua_State *L) {
  struct ws_io *io = check_io(L);
  char bytes[BYTES_MAX];
  size_t n = (size_t)luaL_checkinteger(L, 2);
  luaL_argcheck(L, n <= sizeof bytes, 2, "too many");
  int r = io->ops->random(io, bytes, n);
  if (r < 0) return push_failure(L, r);
  lua_pushlstring(L, bytes, n);
  return 1;
}

static int transport_wall(lua_State *L) {
  struct ws_io *io = check_io(L);
  lua_pushinteger(L, (lua_Integer)io->ops->wall(io));
  return 1;
}

static int transport_text(lua_State *L) {
  char text[WS_NET_TEXT_MAX], mapped[WS_NET_TEXT_MAX] = "::ffff:";
  struct ws_address a;
  if (lua_toboolean(L, 3)) {
    strncat(mapped, luaL_checkstring(L, 1), 64);
    lua_pushstring(L, mapped);
    lua_replace(L, 1);
  }
  check_address(L, 1, (int)luaL_checkinteger(L, 2), &a);
  int port = ws_net_text(&a, text);
  lua_pushstring(L, text);
  lua_pushinteger(L, port);
  lua_pushboolean(L, ws_net_is_loopback(&a));
  return 3;
}

static int transport_unix(lua_State *L) {
  struct ws_address a;
  lua_pushboolean(L, ws_net_unix(&a, luaL_checkstring(L, 1)));
  return 1;
}

/* ---- look-ups ---- */

static struct lookup *check_lookup(lua_State *L) {
  return luaL_checkudata(L, 1, LOOKUP);
}

static void lookup_forget(lua_State *L, struct lookup *l) {
  luaL_unref(L, LUA_REGISTRYINDEX, l->self);
  l->self = LUA_NOREF;
}

static void on_done(struct ws_lookup *found) {
  struct lookup *l = WS_LIST_ENTRY(found, struct lookup, l);
  lua_State *L = l->pl->L;
  lua_rawgeti(L, LUA_REGISTRYINDEX, l->self);
  lookup_forget(L, l);
  probe_loop_call(l->pl, l->fn, 1);
}

static int transport_lookup(lua_State *L) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  const char *host = luaL_checkstring(L, 2);
  int port = (int)luaL_checkinteger(L, 3);
  luaL_checktype(L, 4, LUA_TFUNCTION);
  lua_settop(L, 4);
  struct lookup *l = lua_newuserdatauv(L, sizeof *l, 1);
  memset(l, 0, sizeof *l);
  l->pl = pl;
  l->l.done = on_done;
  l->fn = l->self = LUA_NOREF;
  luaL_setmetatable(L, LOOKUP);
  lua_pushvalue(L, 1); /* the loop outlives it */
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, 4);
  l->fn = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushvalue(L, -1);
  l->self = luaL_ref(L, LUA_REGISTRYINDEX);
  struct ws_io *io = pl->loop.io;
  bool is_known = io->ops->lookup(io, &l->l, host, port);
  if (is_known) lookup_forget(L, l);
  lua_pushboolean(L, is_known);
  return 2;
}

static int lookup_answer(lua_State *L) {
  const struct lookup *l = check_lookup(L);
  char text[WS_NET_TEXT_MAX];
  lua_newtable(L);
  for (int i = 0; i < l->l.n; i++) {
    const struct sockaddr_in6 *v6 = (const void *)&l->l.list[i].any;
    int port = ws_net_text(&l->l.list[i], text);
    lua_pushfstring(L, "%s %d", text, port);
    if (l->l.list[i].any.ss_family == AF_INET6 && v6->sin6_scope_id) {
      lua_pushfstring(L, " in %d", (int)v6->sin6_scope_id);
      lua_concat(L, 2);
    }
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushstring(L, l->l.n ? NULL : l->l.error);
  return 2;
}

static int lookup_cancel(lua_State *L) {
  struct lookup *l = check_lookup(L);
  struct ws_io *io = l->pl->loop.io;
  io->ops->lookup_cancel(io, &l->l);
  lookup_forget(L, l);
  return 0;
}

static int lookup_gc(lua_State *L) {
  struct lookup *l = check_lookup(L);
  lookup_cancel(L);
  ws_mem_free(l->l.list);
  l->l.list = NULL;
  luaL_unref(L, LUA_REGISTRYINDEX, l->fn);
  l->fn = LUA_NOREF;
  return 0;
}

/* ---- lingering ---- */

static int transport_linger(lua_State *L) {
  struct probe_loop *pl = probe_loop_check(L, 1);
  int fd = fcntl(check_fd(L, 2), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return push_failure(L, -errno);
  ws_linger_start(&pl->loop, fd,
                  lua_toboolean(L, 3) ? WS_LINGER_SECOND : WS_LINGER_FIRST);
  return 0;
}

static int transport_lingers(lua_State *L) {
  struct ws_list *all = &probe_loop_check(L, 1)->loop.lingers, *e;
  lua_Integer n = 0;
  for (e = all->next; e != all; e = e->next) n++;
  lua_pushinteger(L, n);
  return 1;
}

static int transport_stop_lingers(lua_State *L) {
  ws_linger_stop(&probe_loop_check(L, 1)->loop);
  return 0;
}

static void on_nothing(struct ws_watch *w) {
  w->got = 0;
}

static void on_no_more(struct ws_late *l) {
  (void)l;
}

static int transport_part(lua_State *L) {
  struct ws_loop *loop = &probe_loop_check(L, 1)->loop;
  struct ws_stream s;
  size_t n;
  const char *bytes = luaL_checklstring(L, 3, &n);
  double seconds = luaL_checknumber(L, 4);
  ws_stream_init(&s, loop, check_fd(L, 2), on_nothing, on_no_more);
  if (n) ws_stream_write(&s, NULL, 0, (const uint8_t *)bytes, n);
  ws_parting(&s, seconds);
  return 0;
}

static const luaL_Reg methods[] = {
  {"answer", lookup_answer},
  {"cancel", lookup_cancel},
  {"__gc", lookup_gc},
  {NULL, NULL},
};

static const luaL_Reg functions[] = {
  {"listen", transport_listen},
  {"connect", transport_connect},
  {"accept", transport_accept},
  {"flags", transport_flags},
  {"send", transport_send},
  {"recv", transport_recv},
  {"close", transport_close},
  {"random", transport_random},
  {"wall", transport_wall},
  {"text", transport_text},
  {"unix", transport_unix},
  {"lookup", transport_lookup},
  {"linger", transport_linger},
  {"part", transport_part},
  {"lingers", transport_lingers},
  {"stop_lingers", transport_stop_lingers},
  {NULL, NULL},
};

void probe_open_transport(lua_State *L) {
  luaL_newmetatable(L, LOOKUP);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}
