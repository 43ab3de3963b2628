/* sim.c: a network inside of one process. */
#include "kit/sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "kit/fuzz.h"

/* Calls of the kernel that one input may cause: far more than any needs. */
#define CALLS_MAX 200000

static struct sim *sim_of(struct ws_io *io) {
  return (struct sim *)io;
}

/* An open descriptor of the engine's. */
static struct sim_fd *use(struct ws_io *io, int fd) {
  struct sim *s = sim_of(io);
  FUZZ_CHECK(fd >= 0 && fd < SIM_FDS && s->fds[fd].is_open);
  FUZZ_CHECK(++s->calls < CALLS_MAX);
  return &s->fds[fd];
}

/* 1 in n, and never where the kernel is in no mood. */
static bool happens(struct sim *s, uint32_t n) {
  if (s->mood == 0) return false;
  s->mood ^= s->mood << 13;
  s->mood ^= s->mood >> 17;
  s->mood ^= s->mood << 5;
  return (s->mood >> 4) % n == 0;
}

static size_t cut(struct sim *s, size_t n) {
  if (n == 0 || !happens(s, 3)) return n;
  return s->mood % n + 1;
}

static int open_fd(struct sim *s) {
  for (int i = 0; i < SIM_FDS; i++) {
    struct sim_fd *f = &s->fds[i];
    if (f->is_open || f->is_waiting) continue;
    f->is_open = true;
    f->is_listener = f->is_socket = f->is_calm = f->is_ended = f->is_reset =
      f->is_deaf = f->has_server_ended = false;
    f->watch = NULL;
    f->want = 0;
    f->in_n = f->in_at = f->out_n = 0;
    return i;
  }
  return -EMFILE;
}

static int io_socket(struct ws_io *io, int domain, int type) {
  (void)domain;
  (void)type;
  return open_fd(sim_of(io));
}

static int io_bind(struct ws_io *io, int fd, const struct ws_address *a) {
  (void)a;
  use(io, fd);
  return 0;
}

static int io_listen(struct ws_io *io, int fd, int backlog) {
  (void)backlog;
  use(io, fd)->is_listener = true;
  return 0;
}

static void loopback(struct ws_address *a, int port) {
  struct sockaddr_in *v4 = (void *)&a->any;
  memset(a, 0, sizeof *a);
  v4->sin_family = AF_INET;
  v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  v4->sin_port = htons((uint16_t)port);
  a->len = sizeof *v4;
}

static int io_accept(struct ws_io *io, int fd, struct ws_address *peer) {
  static const int errors[] = {-EINTR, -ECONNABORTED, -EMFILE, -ENOBUFS};
  struct sim *s = sim_of(io);
  FUZZ_CHECK(use(io, fd)->is_listener);
  if (happens(s, 8)) return errors[s->mood % 4];
  for (int i = 0; i < SIM_FDS; i++) {
    if (!s->fds[i].is_waiting) continue;
    s->fds[i].is_waiting = false;
    s->fds[i].is_open = true;
    loopback(peer, 40000 + i);
    return i;
  }
  return -EAGAIN;
}

static int io_getsockname(struct ws_io *io, int fd, struct ws_address *a) {
  use(io, fd);
  loopback(a, 80);
  return 0;
}

static int io_setsockopt(struct ws_io *io, int fd, int level, int name,
                         int value) {
  (void)level;
  (void)name;
  (void)value;
  use(io, fd);
  return 0;
}

static ssize_t io_recv(struct ws_io *io, int fd, void *to, size_t n) {
  struct sim *s = sim_of(io);
  struct sim_fd *f = use(io, fd);
  if (f->is_reset) return -ECONNRESET;
  if (happens(s, 16)) return s->mood % 2 ? -EAGAIN : -EINTR;
  if (!f->is_calm && happens(s, 256)) return -ETIMEDOUT;
  size_t have = f->in_n - f->in_at;
  if (have == 0) return f->is_ended ? 0 : -EAGAIN;
  if (n > have) n = have;
  n = cut(s, n);
  memcpy(to, f->in + f->in_at, n);
  f->in_at += n;
  return (ssize_t)n;
}

static int io_hangup(struct ws_io *io, int fd) {
  (void)io;
  (void)fd;
  return 0;
}

static ssize_t io_peek(struct ws_io *io, int fd, void *to, size_t n) {
  size_t at = use(io, fd)->in_at;
  ssize_t r = io_recv(io, fd, to, n);
  use(io, fd)->in_at = at;
  return r;
}

static ssize_t io_readv(struct ws_io *io, int fd, const struct iovec *iov,
                        int n) {
  ssize_t sum = 0;
  for (int i = 0; i < n; i++) {
    if (iov[i].iov_len == 0) continue;
    ssize_t r = io_recv(io, fd, iov[i].iov_base, iov[i].iov_len);
    if (r <= 0) return sum > 0 ? sum : r;
    sum += r;
    if ((size_t)r < iov[i].iov_len) break;
  }
  return sum;
}

static ssize_t io_send(struct ws_io *io, int fd, const void *bytes, size_t n) {
  struct sim *s = sim_of(io);
  struct sim_fd *f = use(io, fd);
  FUZZ_CHECK(!f->has_server_ended && f->is_socket);
  if (f->is_reset) return -EPIPE;
  if (f->is_deaf) return -EAGAIN;
  if (happens(s, 8)) return s->mood % 2 ? -EAGAIN : -EINTR;
  if (!f->is_calm && happens(s, 256)) return -ECONNRESET;
  n = cut(s, n);
  size_t keep = n < SIM_OUT - f->out_n ? n : SIM_OUT - f->out_n;
  if (!f->out) f->out = malloc(SIM_OUT);
  if (!f->out) abort();
  memcpy(f->out + f->out_n, bytes, keep);
  f->out_n += keep;
  return (ssize_t)n;
}

static ssize_t io_writev(struct ws_io *io, int fd, const struct iovec *iov,
                         int n) {
  ssize_t sum = 0;
  for (int i = 0; i < n; i++) {
    if (iov[i].iov_len == 0) continue;
    ssize_t r = io_send(io, fd, iov[i].iov_base, iov[i].iov_len);
    if (r < 0) return sum > 0 ? sum : r;
    sum += r;
    if ((size_t)r < iov[i].iov_len) break;
  }
  return sum;
}

static int io_shutdown(struct ws_io *io, int fd, bool both) {
  (void)both;
  struct sim_fd *f = use(io, fd);
  if (f->is_reset) return -ENOTCONN;
  f->has_server_ended = true;
  return 0;
}

static int io_close(struct ws_io *io, int fd) {
  struct sim_fd *f = use(io, fd);
  FUZZ_CHECK(f->want == 0);
  f->is_open = false;
  return 0;
}

static double io_now(struct ws_io *io) {
  return sim_of(io)->now;
}

static int64_t io_wall(struct ws_io *io) {
  return 784111777 + (int64_t)sim_of(io)->now;
}

static int io_random(struct ws_io *io, void *to, size_t n) {
  (void)io;
  memset(to, 7, n);
  return 0;
}

static int io_resolve(struct ws_io *io, const char *host, int port,
                      struct ws_address list[WS_ADDRESS_MAX]) {
  (void)io;
  (void)host;
  loopback(&list[0], port);
  return 1;
}

static void io_watch(struct ws_io *io, struct ws_watch *w, uint8_t want) {
  struct sim_fd *f = use(io, w->fd);
  f->watch = w;
  f->want = want;
}

static void io_wake_at(struct ws_io *io, double when) {
  sim_of(io)->wake = when;
}

void sim_init(struct sim *s) {
  s->io.ops = &s->ops;
  s->now = 1000;
  s->wake = -1;
  s->mood = 0;
  s->calls = 0;
  for (int i = 0; i < SIM_FDS; i++)
    s->fds[i].is_open = s->fds[i].is_waiting = false;
  s->ops = (struct ws_io_ops){.socket = io_socket,
                              .bind = io_bind,
                              .listen = io_listen,
                              .accept = io_accept,
                              .getsockname = io_getsockname,
                              .setsockopt = io_setsockopt,
                              .recv = io_recv,
                              .peek = io_peek,
                              .hangup = io_hangup,
                              .readv = io_readv,
                              .send = io_send,
                              .writev = io_writev,
                              .shutdown = io_shutdown,
                              .close = io_close,
                              .now = io_now,
                              .wall = io_wall,
                              .random = io_random,
                              .resolve = io_resolve,
                              .watch = io_watch,
                              .wake_at = io_wake_at};
}

void sim_end(struct sim *s) {
  for (int i = 0; i < SIM_FDS; i++) FUZZ_CHECK(!s->fds[i].is_open);
}

int sim_connect(struct sim *s) {
  int fd = open_fd(s);
  if (fd < 0) return -1;
  s->fds[fd].is_open = false;
  s->fds[fd].is_waiting = s->fds[fd].is_socket = true;
  return fd;
}

size_t sim_push(struct sim *s, int fd, const void *bytes, size_t n) {
  struct sim_fd *f = &s->fds[fd];
  if (f->in_at == f->in_n) f->in_at = f->in_n = 0;
  if (n > SIM_IN - f->in_n) n = SIM_IN - f->in_n;
  if (n > 0) memcpy(f->in + f->in_n, bytes, n);
  f->in_n += n;
  return n;
}

static uint8_t readiness(const struct sim *s, const struct sim_fd *f) {
  uint8_t got = 0;
  if (f->is_listener) {
    for (int i = 0; i < SIM_FDS; i++)
      if (s->fds[i].is_waiting) got = WS_READ;
    return got;
  }
  if (!f->is_socket) return 0;
  if (f->in_at < f->in_n || f->is_ended || f->is_reset) got |= WS_READ;
  if (!f->is_deaf || f->is_reset) got |= WS_WRITE;
  return got;
}

static bool look(struct sim *s, struct ws_loop *loop) {
  bool any = false;
  for (int i = 0; i < SIM_FDS; i++) {
    struct sim_fd *f = &s->fds[i];
    uint8_t got = f->is_open ? f->want & readiness(s, f) : 0;
    if (!got) continue;
    any = true;
    f->watch->got |= got;
    if (!ws_list_is_linked(&f->watch->ready))
      ws_list_append(&loop->ready, &f->watch->ready);
  }
  return any;
}

bool sim_turn(struct sim *s, struct ws_loop *loop, bool may_wait) {
  bool is_ready = look(s, loop);
  bool is_due = s->wake >= 0 && s->wake <= s->now;
  FUZZ_CHECK(++s->calls < CALLS_MAX);
  if (!is_ready && !is_due && may_wait && s->wake >= 0) {
    s->now = s->wake;
    is_due = true;
  }
  if (is_due) loop->rang = true;
  if (is_ready || is_due) ws_loop_turn(loop);
  return is_ready || is_due;
}
