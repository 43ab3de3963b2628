/* net.c: sockets that listen or connect. */
#include "transport/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define PORT_TRIES 16 /* for one free port on several addresses */

static int get_port(const struct ws_address *a) {
  const struct sockaddr_in *v4 = (const void *)&a->any;
  const struct sockaddr_in6 *v6 = (const void *)&a->any;
  if (a->any.ss_family == AF_INET) return ntohs(v4->sin_port);
  return a->any.ss_family == AF_INET6 ? ntohs(v6->sin6_port) : 0;
}

static void set_port(struct ws_address *a, int port) {
  struct sockaddr_in *v4 = (void *)&a->any;
  struct sockaddr_in6 *v6 = (void *)&a->any;
  if (a->any.ss_family == AF_INET) v4->sin_port = htons((uint16_t)port);
  if (a->any.ss_family == AF_INET6) v6->sin6_port = htons((uint16_t)port);
}

static bool is_mapped(const struct ws_address *a) {
  const struct sockaddr_in6 *v6 = (const void *)&a->any;
  return a->any.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
}

/* Each connection's is written once; inet_ntop takes 1,500 instructions. */
static void write_v4(const uint8_t b[4], char *to) {
  for (int i = 0; i < 4; i++) {
    if (b[i] >= 100) *to++ = (char)('0' + b[i] / 100);
    if (b[i] >= 10) *to++ = (char)('0' + b[i] / 10 % 10);
    *to++ = (char)('0' + b[i] % 10);
    *to++ = i < 3 ? '.' : 0;
  }
}

int ws_net_text(const struct ws_address *a, char out[WS_NET_TEXT_MAX]) {
  const struct sockaddr_in *v4 = (const void *)&a->any;
  const struct sockaddr_in6 *v6 = (const void *)&a->any;
  out[0] = 0;
  if (a->any.ss_family == AF_INET)
    write_v4((const uint8_t *)&v4->sin_addr, out);
  else if (is_mapped(a))
    write_v4(v6->sin6_addr.s6_addr + 12, out);
  else if (a->any.ss_family == AF_INET6)
    inet_ntop(AF_INET6, &v6->sin6_addr, out, WS_NET_TEXT_MAX);
  return get_port(a);
}

struct ws_ip ws_net_ip(const struct ws_address *a) {
  const struct sockaddr_in *v4 = (const void *)&a->any;
  const struct sockaddr_in6 *v6 = (const void *)&a->any;
  uint16_t port = (uint16_t)get_port(a);
  switch (a->any.ss_family) {
  case AF_INET: return ws_ip_v4((const uint8_t *)&v4->sin_addr, port);
  case AF_INET6: return ws_ip_v6(v6->sin6_addr.s6_addr, port);
  case AF_UNIX: return (struct ws_ip){.kind = WS_IP_UNIX};
  default: return (struct ws_ip){.kind = WS_IP_NONE};
  }
}

void ws_net_from_ip(struct ws_address *a, const struct ws_ip *ip) {
  struct sockaddr_in6 *v6 = (void *)&a->any;
  memset(a, 0, sizeof *a);
  a->any.ss_family = ip->kind == WS_IP_UNIX ? AF_UNIX : AF_INET6;
  a->len = sizeof *v6;
  if (ip->kind == WS_IP_UNIX) return;
  memcpy(v6->sin6_addr.s6_addr, ip->bytes, 16); /* IPv4 stays mapped */
  v6->sin6_port = htons(ip->port);
}

bool ws_net_is_loopback(const struct ws_address *a) {
  const struct sockaddr_in *v4 = (const void *)&a->any;
  const struct sockaddr_in6 *v6 = (const void *)&a->any;
  if (a->any.ss_family == AF_INET)
    return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
  if (is_mapped(a)) return v6->sin6_addr.s6_addr[12] == 127;
  if (a->any.ss_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
  return a->any.ss_family == AF_UNIX;
}

bool ws_net_unix(struct ws_address *a, const char *path) {
  struct sockaddr_un *un = (void *)&a->any;
  size_t n = strlen(path);
  if (n >= sizeof un->sun_path) return false;
  memset(a, 0, sizeof *a);
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path, n + 1);
  a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
  return true;
}

void ws_net_unix_path(const struct ws_address *a, char out[WS_NET_TEXT_MAX]) {
  const struct sockaddr_un *un = (const void *)&a->any;
  size_t start = offsetof(struct sockaddr_un, sun_path);
  size_t n = a->len > start ? a->len - start : 0;
  n = strnlen(un->sun_path, n);
  memcpy(out, un->sun_path, n);
  out[n] = 0;
}

/* Every address: one socket for both families where there is IPv6. */
static int every_address(struct ws_io *io, int port,
                         struct ws_address list[WS_ADDRESS_MAX]) {
  int fd = io->ops->socket(io, AF_INET6, SOCK_STREAM);
  if (fd >= 0) io->ops->close(io, fd);
  return io->ops->resolve(io, fd >= 0 ? "::" : "0.0.0.0", port, list) > 0;
}

static int open_one(struct ws_io *io, const struct ws_net_listen *what,
                    const struct ws_address *a, bool is_every) {
  const struct ws_io_ops *ops = io->ops;
  int fd = ops->socket(io, a->any.ss_family, SOCK_STREAM), r = 0;
  if (fd < 0) return fd;
  if (a->any.ss_family != AF_UNIX) {
    ops->setsockopt(io, fd, SOL_SOCKET, SO_REUSEADDR, 1);
    /* what is accepted inherits it: one call less for each connection */
    ops->setsockopt(io, fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (what->reuse_port)
      r = ops->setsockopt(io, fd, SOL_SOCKET, SO_REUSEPORT, 1);
  }
  if (a->any.ss_family == AF_INET6)
    ops->setsockopt(io, fd, IPPROTO_IPV6, IPV6_V6ONLY, !is_every);
  if (r == 0) r = ops->bind(io, fd, a);
  bool has_file = r == 0 && a->any.ss_family == AF_UNIX;
  if (has_file && what->unix_mode) /* before anybody can connect */
    r = ops->chmod(io, what->unix_path, what->unix_mode);
  if (r == 0) r = ops->listen(io, fd, what->backlog);
  if (r == 0) return fd;
  if (has_file) ops->unlink(io, what->unix_path);
  ops->close(io, fd);
  return r;
}

static void close_all(struct ws_io *io, const int *fds, int n) {
  while (n--) io->ops->close(io, fds[n]);
}

/* One attempt at all addresses, on the port of the first. An address family
 * that the machine does not have is left out, unless it is the only one. */
static int open_all(struct ws_io *io, struct ws_net_listen *what,
                    struct ws_address *list, int n, int *fds) {
  bool is_every = strcmp(what->host, "*") == 0;
  int opened = 0, error = -EADDRNOTAVAIL, port = what->port;
  for (int i = 0; i < n; i++) {
    struct ws_address bound;
    set_port(&list[i], port);
    int fd = open_one(io, what, &list[i], is_every);
    if (fd == -EADDRNOTAVAIL || fd == -EAFNOSUPPORT) {
      error = fd;
      continue;
    }
    if (fd < 0) {
      close_all(io, fds, opened);
      return fd;
    }
    fds[opened++] = fd;
    if (!port && io->ops->getsockname(io, fd, &bound) == 0)
      port = get_port(&bound);
  }
  if (!opened) return error;
  what->port = port;
  return opened;
}

/* A socket file that nobody answers on was left behind by a crash. (A file of
 * any other kind answers nobody either; unlink leaves it alone.) */
static int listen_unix(struct ws_io *io, struct ws_net_listen *what, int *fds,
                       const char **why) {
  struct ws_address a;
  *why = "the path is too long";
  if (!ws_net_unix(&a, what->unix_path)) return -ENAMETOOLONG;
  *why = NULL;
  int fd = open_one(io, what, &a, false);
  if (fd == -EADDRINUSE) {
    int probe = io->ops->socket(io, AF_UNIX, SOCK_STREAM);
    int r = probe < 0 ? probe : io->ops->connect(io, probe, &a);
    if (probe >= 0) io->ops->close(io, probe);
    if (r != -ECONNREFUSED) return -EADDRINUSE;
    if (io->ops->unlink(io, what->unix_path) < 0) return -EADDRINUSE;
    fd = open_one(io, what, &a, false);
  }
  if (fd < 0) return fd;
  fds[0] = fd;
  return 1;
}

static int adopt(struct ws_io *io, struct ws_net_listen *what, int *fds,
                 const char **why) {
  struct ws_address a;
  int type = 0, listens = 0;
  int r = io->ops->getsockopt(io, what->fd, SOL_SOCKET, SO_TYPE, &type);
  if (r < 0) return r;
  io->ops->getsockopt(io, what->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens);
  *why = "it is no stream socket that listens";
  if (type != SOCK_STREAM || !listens) return -EINVAL;
  *why = NULL;
  if ((r = io->ops->adopt(io, what->fd)) < 0) return r;
  if ((r = io->ops->getsockname(io, what->fd, &a)) < 0) return r;
  what->port = get_port(&a);
  if (a.any.ss_family != AF_UNIX)
    io->ops->setsockopt(io, what->fd, IPPROTO_TCP, TCP_NODELAY, 1);
  fds[0] = what->fd;
  return 1;
}

int ws_net_listen(struct ws_io *io, struct ws_net_listen *what,
                  int fds[WS_NET_LISTEN_MAX], const char **why) {
  struct ws_address list[WS_ADDRESS_MAX];
  if (what->n_given) {
    memcpy(fds, what->given, sizeof *fds * (size_t)what->n_given);
    return what->n_given;
  }
  if (what->has_fd) return adopt(io, what, fds, why);
  if (what->unix_path) return listen_unix(io, what, fds, why);
  *why = "the host name was not found";
  int n = strcmp(what->host, "*") == 0
            ? every_address(io, what->port, list)
            : io->ops->resolve(io, what->host, what->port, list);
  if (n <= 0) return -EADDRNOTAVAIL;
  *why = NULL;
  bool is_any_port = what->port == 0;
  int r, tries = PORT_TRIES;
  do {
    if (is_any_port) what->port = 0;
    r = open_all(io, what, list, n, fds);
  } while (r == -EADDRINUSE && is_any_port && --tries);
  return r;
}

int ws_net_connect(struct ws_io *io, const struct ws_address *to) {
  int fd = io->ops->socket(io, to->any.ss_family, SOCK_STREAM);
  if (fd < 0) return fd;
  if (to->any.ss_family != AF_UNIX)
    io->ops->setsockopt(io, fd, IPPROTO_TCP, TCP_NODELAY, 1);
  int r = io->ops->connect(io, fd, to);
  if (r == 0 || r == -EINPROGRESS) return fd;
  io->ops->close(io, fd);
  return r;
}
