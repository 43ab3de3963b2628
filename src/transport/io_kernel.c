/* io_kernel.c: the seam over real system calls. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* accept4 */
#endif
#include "transport/io_kernel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "transport/lookup.h"
#include "transport/standard.h"

#ifndef POLLRDHUP
#define POLLRDHUP 0 /* macOS: an end is noticed when it is read */
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE is set on the socket instead */
#endif
#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif

/* POSIX lets them differ; nobody does. */
_Static_assert(EAGAIN == EWOULDBLOCK, "nobody looks for the other one");

static ssize_t result(ssize_t r) {
  return r < 0 ? -errno : r;
}

/* Non-blocking, close-on-exec, silent on a closed peer, and not the number of
 * a standard stream. */
static int prepare(int fd) {
#ifdef SO_NOSIGPIPE
  int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one);
#endif
#ifndef SOCK_CLOEXEC
  int flags = fcntl(fd, F_GETFL);
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
      fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
#endif
  return ws_standard_keep(fd);
}

static int k_socket(struct ws_io *io, int domain, int type) {
  (void)io;
#ifdef SOCK_CLOEXEC
  type |= SOCK_CLOEXEC | SOCK_NONBLOCK;
#endif
  int fd = socket(domain, type, 0);
  return fd < 0 ? -errno : prepare(fd);
}

static int k_bind(struct ws_io *io, int fd, const struct ws_address *a) {
  (void)io;
  return (int)result(bind(fd, (const struct sockaddr *)&a->any, a->len));
}

static int k_listen(struct ws_io *io, int fd, int backlog) {
  (void)io;
  return (int)result(listen(fd, backlog));
}

static int k_adopt(struct ws_io *io, int fd) {
  (void)io;
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
      fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
    return -errno;
  return 0;
}

static int k_accept(struct ws_io *io, int fd, struct ws_address *peer) {
  (void)io;
  peer->len = sizeof peer->any;
#ifdef SOCK_CLOEXEC
  int got = accept4(fd, (struct sockaddr *)&peer->any, &peer->len,
                    SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
  int got = accept(fd, (struct sockaddr *)&peer->any, &peer->len);
#endif
  return got < 0 ? -errno : prepare(got);
}

static int k_connect(struct ws_io *io, int fd, const struct ws_address *a) {
  (void)io;
  return (int)result(connect(fd, (const struct sockaddr *)&a->any, a->len));
}

static int k_getsockname(struct ws_io *io, int fd, struct ws_address *a) {
  (void)io;
  a->len = sizeof a->any;
  return (int)result(getsockname(fd, (struct sockaddr *)&a->any, &a->len));
}

static int k_setsockopt(struct ws_io *io, int fd, int level, int name,
                        int value) {
  (void)io;
  return (int)result(setsockopt(fd, level, name, &value, sizeof value));
}

static int k_getsockopt(struct ws_io *io, int fd, int level, int name,
                        int *value) {
  socklen_t len = sizeof *value;
  (void)io;
  return (int)result(getsockopt(fd, level, name, value, &len));
}

static ssize_t k_recv(struct ws_io *io, int fd, void *to, size_t n) {
  (void)io;
  return result(recv(fd, to, n, 0));
}

static ssize_t k_peek(struct ws_io *io, int fd, void *to, size_t n) {
  (void)io;
  return result(recv(fd, to, n, MSG_PEEK));
}

static int k_hangup(struct ws_io *io, int fd) {
  struct pollfd p = {.fd = fd, .events = POLLRDHUP};
  int error = 0;
  socklen_t len = sizeof error;
  (void)io;
  if (poll(&p, 1, 0) <= 0) return 0;
  if (!(p.revents & (POLLERR | POLLHUP))) return (p.revents & POLLRDHUP) != 0;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error)
    return -error;
  return -ECONNRESET;
}

static ssize_t k_readv(struct ws_io *io, int fd, const struct iovec *iov,
                       int n) {
  (void)io;
  return result(readv(fd, iov, n));
}

static ssize_t k_send(struct ws_io *io, int fd, const void *bytes, size_t n) {
  (void)io;
  return result(send(fd, bytes, n, MSG_NOSIGNAL));
}

static ssize_t k_writev(struct ws_io *io, int fd, const struct iovec *iov,
                        int n) {
  (void)io;
  struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
  return result(sendmsg(fd, &m, MSG_NOSIGNAL));
}

static ssize_t k_send_fds(struct ws_io *io, int fd, const struct iovec *iov,
                          int n, const int *fds, int n_fds) {
  union {
    char bytes[CMSG_SPACE(sizeof(int) * WS_IO_FDS)];
    struct cmsghdr align;
  } room;
  struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
  size_t size = sizeof(int) * (size_t)n_fds;
  (void)io;
  if (n_fds) {
    memset(&room, 0, sizeof room);
    m.msg_control = room.bytes;
    m.msg_controllen = CMSG_SPACE(size);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    assert(c); /* there is room for one */
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), fds, size);
  }
  return result(sendmsg(fd, &m, MSG_NOSIGNAL));
}

/* As every other new descriptor of ours. */
static void keep_all(int *fds, int n) {
  for (int i = 0; i < n; i++) {
    fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    fds[i] = ws_standard_keep(fds[i]);
  }
}

static ssize_t k_recv_fds(struct ws_io *io, int fd, void *to, size_t n,
                          int fds[WS_IO_FDS], int *n_fds, bool *lost) {
  union {
    char bytes[CMSG_SPACE(sizeof(int) * WS_IO_FDS)];
    struct cmsghdr align;
  } room;
  struct iovec iov = {to, n};
  struct msghdr m = {.msg_iov = &iov,
                     .msg_iovlen = 1,
                     .msg_control = room.bytes,
                     .msg_controllen = sizeof room.bytes};
  (void)io;
  *n_fds = 0;
  ssize_t r = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
  if (r < 0) return -errno;
  *lost = m.msg_flags & MSG_CTRUNC;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t size = c->cmsg_len - CMSG_LEN(0);
    memcpy(fds, CMSG_DATA(c), size);
    *n_fds = (int)(size / sizeof(int));
    keep_all(fds, *n_fds);
  }
  return r;
}

static int k_shutdown(struct ws_io *io, int fd, bool both) {
  (void)io;
  return (int)result(shutdown(fd, both ? SHUT_RDWR : SHUT_WR));
}

static int k_close(struct ws_io *io, int fd) {
  (void)io;
  return (int)result(close(fd));
}

static int k_chmod(struct ws_io *io, const char *path, int mode) {
  (void)io;
  return (int)result(chmod(path, (mode_t)mode));
}

static int k_unlink(struct ws_io *io, const char *path) {
  struct stat what;
  (void)io;
  if (lstat(path, &what) < 0) return -errno;
  if (!S_ISSOCK(what.st_mode)) return -ENOTSOCK; /* somebody's data */
  return (int)result(unlink(path));
}

static double k_now(struct ws_io *io) {
  struct timespec t;
  (void)io;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int64_t k_wall(struct ws_io *io) {
  (void)io;
  return (int64_t)time(NULL);
}

static int k_random(struct ws_io *io, void *to, size_t n) {
  (void)io;
#ifdef __APPLE__
  while (n) {
    size_t piece = n < 256 ? n : 256; /* it gives no more at once */
    if (getentropy(to, piece) < 0) return -errno;
    to = (char *)to + piece;
    n -= piece;
  }
  return 0;
#else
  while (n) {
    ssize_t r = getrandom(to, n, 0);
    if (r < 0 && errno != EINTR) return -errno;
    if (r > 0) {
      to = (char *)to + r;
      n -= (size_t)r;
    }
  }
  return 0;
#endif
}

void ws_io_kernel_fill(struct ws_io_ops *ops) {
  *ops = (struct ws_io_ops){
    .socket = k_socket,
    .bind = k_bind,
    .listen = k_listen,
    .adopt = k_adopt,
    .accept = k_accept,
    .connect = k_connect,
    .getsockname = k_getsockname,
    .setsockopt = k_setsockopt,
    .getsockopt = k_getsockopt,
    .recv = k_recv,
    .peek = k_peek,
    .hangup = k_hangup,
    .readv = k_readv,
    .send = k_send,
    .writev = k_writev,
    .send_fds = k_send_fds,
    .recv_fds = k_recv_fds,
    .shutdown = k_shutdown,
    .close = k_close,
    .unlink = k_unlink,
    .chmod = k_chmod,
    .now = k_now,
    .wall = k_wall,
    .random = k_random,
    .resolve = ws_lookup_now,
    .lookup = ws_lookup_start,
    .lookup_cancel = ws_lookup_cancel,
  };
}
