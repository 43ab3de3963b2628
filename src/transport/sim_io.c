/* sim_io.c: the seam over the simulated network. */
#include "transport/sim_io.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "base/slice.h"
#include "transport/net.h"
#include "transport/sim_pipe.h"

#define PORTS_FIRST 49152 /* that nobody has asked for */
#define PORTS_OWN 10000   /* of those who connect, up to the others */
#define SYN_AGAIN 1.0     /* seconds */

static struct ws_sim_socket *find(struct ws_io *io, int fd) {
  return ws_sim_find(ws_sim_of(io), fd);
}

static int io_socket(struct ws_io *io, int domain, int type) {
  struct ws_sim_socket *socket = ws_sim_socket(ws_sim_of(io));
  (void)type;
  if (!socket) return -ENOMEM;
  socket->local.any.ss_family = (sa_family_t)domain;
  int fd = ws_sim_open(socket);
  if (fd < 0) ws_sim_socket_free(socket);
  return fd;
}

/* ---- listening ---- */

static bool is_any(const struct ws_ip *ip) {
  static const uint8_t none[12], mapped[12] = {[10] = 255, [11] = 255};
  static const uint8_t zero[4];
  return memcmp(ip->bytes + 12, zero, 4) == 0 &&
         (memcmp(ip->bytes, none, 12) == 0 ||
          memcmp(ip->bytes, mapped, 12) == 0);
}

static bool is_same_path(const struct ws_address *a,
                         const struct ws_address *b) {
  const struct sockaddr_un *x = (const void *)&a->any;
  const struct sockaddr_un *y = (const void *)&b->any;
  return strncmp(x->sun_path, y->sun_path, sizeof x->sun_path) == 0;
}

/* Does whoever asks for b come to what is bound to a? */
static bool is_at(const struct ws_address *a, const struct ws_address *b) {
  bool is_unix = a->any.ss_family == AF_UNIX;
  if (is_unix != (b->any.ss_family == AF_UNIX)) return false;
  if (is_unix) return is_same_path(a, b);
  if (ws_sim_port(a) != ws_sim_port(b)) return false;
  struct ws_ip x = ws_net_ip(a), y = ws_net_ip(b);
  return is_any(&x) || is_any(&y) || memcmp(x.bytes, y.bytes, 16) == 0;
}

static struct ws_sim_socket *bound_to(struct ws_sim *s,
                                      const struct ws_address *a) {
  for (size_t i = 0; i < s->n_sockets; i++) {
    struct ws_sim_socket *socket = s->sockets[i];
    if (socket && socket->is_bound && is_at(&socket->local, a)) return socket;
  }
  return NULL;
}

static int io_bind(struct ws_io *io, int fd, const struct ws_address *a) {
  struct ws_sim *s = ws_sim_of(io);
  struct ws_sim_socket *socket = find(io, fd);
  struct ws_address to = *a;
  if (!socket) return -EBADF;
  if (to.any.ss_family != AF_UNIX && !ws_sim_port(&to))
    ws_sim_set_port(&to, PORTS_FIRST + s->next_port++ % (65536 - PORTS_FIRST));
  if (bound_to(s, &to)) return -EADDRINUSE;
  socket->local = to;
  socket->is_bound = true;
  return 0;
}

static int io_listen(struct ws_io *io, int fd, int backlog) {
  struct ws_sim_socket *socket = find(io, fd);
  if (!socket) return -EBADF;
  socket->kind = WS_SIM_LISTENS;
  socket->backlog = backlog;
  return 0;
}

static int io_adopt(struct ws_io *io, int fd) {
  return find(io, fd) ? 0 : -EBADF;
}

static int io_accept(struct ws_io *io, int fd, struct ws_address *peer) {
  struct ws_sim_socket *at = find(io, fd);
  if (!at) return -EBADF;
  if (at->kind != WS_SIM_LISTENS) return -EINVAL;
  if (ws_list_is_empty(&at->waiting)) return -EAGAIN;
  struct ws_sim_socket *socket =
    WS_LIST_ENTRY(at->waiting.next, struct ws_sim_socket, queued);
  int r = ws_sim_open(socket);
  if (r < 0) return r;
  ws_list_remove(&socket->queued);
  at->n_waiting--;
  socket->is_queued = false;
  *peer = socket->remote;
  return r;
}

/* ---- connecting ---- */

static void on_established(struct ws_timer *t) {
  struct ws_sim_socket *socket = WS_LIST_ENTRY(t, struct ws_sim_socket, timer);
  socket->kind = WS_SIM_CONNECTED;
  ws_sim_note(socket->sim, socket, "is connected", NULL, 0);
  ws_sim_stir(socket);
}

static void on_refused(struct ws_timer *t) {
  struct ws_sim_socket *socket = WS_LIST_ENTRY(t, struct ws_sim_socket, timer);
  ws_sim_note(socket->sim, socket, "is refused", NULL, 0);
  socket->error = ECONNREFUSED;
  ws_sim_stir(socket);
}

static bool set_timer(struct ws_sim_socket *socket, double seconds,
                      void (*fn)(struct ws_timer *)) {
  struct ws_sim *s = socket->sim;
  socket->timer.fn = fn;
  return ws_heap_set(&s->heap, &socket->timer, s->now + seconds);
}

/* The other end, in the listener's queue. */
static bool meet(struct ws_sim_socket *socket, struct ws_sim_socket *at) {
  struct ws_sim_socket *other = ws_sim_socket(socket->sim);
  if (!other) return false;
  other->kind = WS_SIM_CONNECTED;
  other->is_queued = true;
  other->local = socket->remote;
  other->remote = socket->local;
  other->link = socket->link;
  other->peer = socket;
  socket->peer = other;
  ws_list_append(&at->waiting, &other->queued);
  at->n_waiting++;
  ws_sim_stir(at);
  return true;
}

static void on_syn(struct ws_timer *t) {
  struct ws_sim_socket *socket = WS_LIST_ENTRY(t, struct ws_sim_socket, timer);
  struct ws_sim *s = socket->sim;
  struct ws_sim_socket *at = s->is_down ? NULL : bound_to(s, &socket->remote);
  double delay = ws_sim_delay(s, &socket->link);
  if (at && at->kind != WS_SIM_LISTENS) at = NULL;
  if (s->is_down || (at && at->n_waiting >= at->backlog)) {
    set_timer(socket, SYN_AGAIN, on_syn);
    return;
  }
  if (!at || !meet(socket, at)) {
    set_timer(socket, delay, on_refused);
    return;
  }
  socket->in.last = s->now + delay;
  set_timer(socket, delay, on_established);
}

static int io_connect(struct ws_io *io, int fd, const struct ws_address *a) {
  struct ws_sim *s = ws_sim_of(io);
  struct ws_sim_socket *socket = find(io, fd);
  if (!socket) return -EBADF;
  socket->remote = *a;
  socket->local = *a; /* it comes from where it goes to */
  ws_sim_set_port(&socket->local,
                  PORTS_OWN + s->next_own_port++ % (PORTS_FIRST - PORTS_OWN));
  socket->kind = WS_SIM_DIALS;
  double delay = ws_sim_delay(s, &socket->link);
  return set_timer(socket, delay, on_syn) ? -EINPROGRESS : -ENOMEM;
}

static int io_getsockname(struct ws_io *io, int fd, struct ws_address *a) {
  struct ws_sim_socket *socket = find(io, fd);
  if (!socket) return -EBADF;
  *a = socket->local;
  return 0;
}

static int io_setsockopt(struct ws_io *io, int fd, int level, int name,
                         int value) {
  (void)level, (void)name, (void)value;
  return find(io, fd) ? 0 : -EBADF;
}

static int io_getsockopt(struct ws_io *io, int fd, int level, int name,
                         int *value) {
  struct ws_sim_socket *socket = find(io, fd);
  if (!socket) return -EBADF;
  *value = 0;
  if (level != SOL_SOCKET) return 0;
  if (name == SO_ERROR) *value = socket->error;
  if (name == SO_TYPE) *value = SOCK_STREAM;
  if (name == SO_ACCEPTCONN) *value = socket->kind == WS_SIM_LISTENS;
  return 0;
}

/* ---- bytes ---- */

static ssize_t io_recv(struct ws_io *io, int fd, void *to, size_t n) {
  struct ws_sim_socket *socket = find(io, fd);
  return socket ? ws_sim_take(socket, to, n) : -EBADF;
}

static ssize_t io_peek(struct ws_io *io, int fd, void *to, size_t n) {
  struct ws_sim_socket *socket = find(io, fd);
  return socket ? ws_sim_peek(socket, to, n) : -EBADF;
}

static int io_hangup(struct ws_io *io, int fd) {
  struct ws_sim_socket *socket = find(io, fd);
  if (!socket) return -EBADF;
  return socket->error ? -socket->error : socket->was_ended;
}

static ssize_t io_send(struct ws_io *io, int fd, const void *bytes, size_t n) {
  struct ws_sim_socket *socket = find(io, fd);
  return socket ? ws_sim_put(socket, bytes, n) : -EBADF;
}

/* One after the other, until one is not whole. */
static ssize_t each(struct ws_io *io, int fd, const struct iovec *iov, int n,
                    bool is_send) {
  ssize_t sum = 0;
  for (int i = 0; i < n; i++) {
    void *p = iov[i].iov_base;
    size_t len = iov[i].iov_len;
    if (!len) continue;
    ssize_t r = is_send ? io_send(io, fd, p, len) : io_recv(io, fd, p, len);
    if (r <= 0) return sum ? sum : r;
    sum += r;
    if ((size_t)r < len) break;
  }
  return sum;
}

static ssize_t io_readv(struct ws_io *io, int fd, const struct iovec *iov,
                        int n) {
  return each(io, fd, iov, n, false);
}

static ssize_t io_writev(struct ws_io *io, int fd, const struct iovec *iov,
                         int n) {
  return each(io, fd, iov, n, true);
}

static ssize_t io_send_fds(struct ws_io *io, int fd, const struct iovec *iov,
                           int n, const int *fds, int n_fds) {
  (void)io, (void)fd, (void)iov, (void)n, (void)fds, (void)n_fds;
  return -EOPNOTSUPP;
}

static ssize_t io_recv_fds(struct ws_io *io, int fd, void *to, size_t n,
                           int fds[WS_IO_FDS], int *n_fds, bool *lost) {
  (void)io, (void)fd, (void)to, (void)n, (void)fds, (void)n_fds, (void)lost;
  return -EOPNOTSUPP;
}

/* ---- the end ---- */

static int io_shutdown(struct ws_io *io, int fd, bool both) {
  struct ws_sim_socket *socket = find(io, fd);
  (void)both;
  if (!socket) return -EBADF;
  if (socket->kind != WS_SIM_CONNECTED || socket->error) return -ENOTCONN;
  ws_sim_end(socket);
  return 0;
}

/* Those who waited are told. */
static void stop_listening(struct ws_sim_socket *at) {
  struct ws_list *e;
  while ((e = ws_list_shift(&at->waiting))) {
    struct ws_sim_socket *socket =
      WS_LIST_ENTRY(e, struct ws_sim_socket, queued);
    ws_sim_tear(socket, ECONNRESET);
    socket->is_queued = false;
    ws_sim_leave(socket);
  }
}

static int io_close(struct ws_io *io, int fd) {
  struct ws_sim_socket *socket = find(io, fd);
  if (!socket) return -EBADF;
  if (socket->kind == WS_SIM_LISTENS) stop_listening(socket);
  ws_sim_shut(socket);
  ws_sim_leave(socket);
  return 0;
}

static int io_unlink(struct ws_io *io, const char *path) {
  (void)io, (void)path;
  return 0;
}

static int io_chmod(struct ws_io *io, const char *path, int mode) {
  (void)io, (void)path, (void)mode;
  return 0;
}

/* ---- clock, chance, names ---- */

static double io_now(struct ws_io *io) {
  return ws_sim_of(io)->now;
}

static int64_t io_wall(struct ws_io *io) {
  const struct ws_sim *s = ws_sim_of(io);
  return s->options.epoch + (int64_t)s->now;
}

static int io_random(struct ws_io *io, void *to, size_t n) {
  uint8_t *p = to;
  while (n) {
    uint64_t some = ws_sim_random(ws_sim_of(io));
    size_t len = n < sizeof some ? n : sizeof some;
    memcpy(p, &some, len);
    p += len;
    n -= len;
  }
  return 0;
}

/* A name is this machine's. */
static int io_resolve(struct ws_io *io, const char *host, int port,
                      struct ws_address list[WS_ADDRESS_MAX]) {
  static const uint8_t loopback[4] = {127, 0, 0, 1};
  struct ws_slice text = {host, strlen(host)};
  struct ws_ip ip;
  (void)io;
  if (!ws_ip_parse(text, &ip)) ip = ws_ip_v4(loopback, 0);
  ip.port = (uint16_t)port;
  ws_net_from_ip(&list[0], &ip);
  return 1;
}

static bool io_lookup(struct ws_io *io, struct ws_lookup *l, const char *host,
                      int port) {
  l->list = ws_mem_zero(sizeof *l->list);
  l->n = l->list ? io_resolve(io, host, port, l->list) : 0;
  l->error = l->list ? NULL : "not enough memory";
  return true;
}

static void io_lookup_cancel(struct ws_io *io, struct ws_lookup *l) {
  (void)io, (void)l;
}

/* ---- readiness ---- */

uint8_t ws_sim_ready(const struct ws_sim_socket *socket) {
  if (socket->error) return WS_READ | WS_WRITE;
  if (socket->kind == WS_SIM_LISTENS)
    return ws_list_is_empty(&socket->waiting) ? 0 : WS_READ;
  if (socket->kind != WS_SIM_CONNECTED) return 0;
  uint8_t ready = ws_sim_has_room(socket) ? WS_WRITE : 0;
  if (socket->in.arrived || socket->was_ended) ready |= WS_READ;
  return ready;
}

static bool is_loud(uint8_t want) {
  return want && !(want & WS_QUIET);
}

static void io_watch(struct ws_io *io, struct ws_watch *w, uint8_t want) {
  struct ws_sim *s = ws_sim_of(io);
  struct ws_sim_socket *socket = find(io, w->fd);
  uint8_t *had = (uint8_t *)&w->slot[0];
  if (!socket) { /* the kernel's: it cannot be waited for here */
    if (want) ws_loop_deaf(s->loop, w, EOPNOTSUPP);
    return;
  }
  s->n_loud -= is_loud(*had);
  s->n_loud += is_loud(want);
  *had = want;
  socket->watch = want & (WS_READ | WS_WRITE) ? w : NULL;
  ws_list_remove(&socket->hot);
  ws_sim_stir(socket);
}

static void io_wake_at(struct ws_io *io, double when) {
  ws_sim_of(io)->wake = when;
}

void ws_sim_io_fill(struct ws_io_ops *ops) {
  *ops = (struct ws_io_ops){.socket = io_socket,
                            .bind = io_bind,
                            .listen = io_listen,
                            .adopt = io_adopt,
                            .accept = io_accept,
                            .connect = io_connect,
                            .getsockname = io_getsockname,
                            .setsockopt = io_setsockopt,
                            .getsockopt = io_getsockopt,
                            .recv = io_recv,
                            .peek = io_peek,
                            .hangup = io_hangup,
                            .readv = io_readv,
                            .send = io_send,
                            .writev = io_writev,
                            .send_fds = io_send_fds,
                            .recv_fds = io_recv_fds,
                            .shutdown = io_shutdown,
                            .close = io_close,
                            .unlink = io_unlink,
                            .chmod = io_chmod,
                            .now = io_now,
                            .wall = io_wall,
                            .random = io_random,
                            .resolve = io_resolve,
                            .lookup = io_lookup,
                            .lookup_cancel = io_lookup_cancel,
                            .watch = io_watch,
                            .wake_at = io_wake_at};
}
