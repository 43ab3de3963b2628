/* fake_io.c: the provider of the seam that specs hold in their hands. */
#include "fake_io.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static struct fake_io *fake_of(struct ws_io *io) {
  return (struct fake_io *)io;
}

static struct fake_fd *fd_of(struct ws_io *io, int fd) {
  return fd >= 0 && fd < FAKE_FDS ? &fake_of(io)->fds[fd] : NULL;
}

static void take(struct fake_fd *f, const void *bytes, size_t n) {
  if (f->cap - f->n < n) {
    f->cap = (f->n + n) * 2;
    f->sent = realloc(f->sent, f->cap);
    if (f->sent == NULL) abort();
  }
  if (n > 0) memcpy(f->sent + f->n, bytes, n);
  f->n += n;
}

static ssize_t fake_writev(struct ws_io *io, int fd, const struct iovec *iov,
                           int n) {
  struct fake_fd *f = fd_of(io, fd);
  size_t total = 0;
  if (f == NULL || f->is_closed) return -EBADF;
  f->calls++;
  if (f->breaks > 0) {
    f->breaks--;
    return -EINTR;
  }
  for (int i = 0; i < n; i++) {
    size_t len = iov[i].iov_len;
    if (len > f->most - total) len = f->most - total;
    if (len > f->room) len = f->room;
    take(f, iov[i].iov_base, len);
    f->room -= len;
    total += len;
    if (len < iov[i].iov_len) break;
  }
  return total > 0 ? (ssize_t)total : -f->error;
}

static ssize_t fake_send(struct ws_io *io, int fd, const void *bytes,
                         size_t n) {
  struct iovec iov = {(void *)bytes, n};
  return fake_writev(io, fd, &iov, 1);
}

static int fake_hangup(struct ws_io *io, int fd) {
  (void)io;
  (void)fd;
  return 0;
}

static ssize_t fake_recv(struct ws_io *io, int fd, void *to, size_t n) {
  (void)io;
  (void)fd;
  (void)to;
  (void)n;
  return -EAGAIN;
}

static int fake_close(struct ws_io *io, int fd) {
  struct fake_fd *f = fd_of(io, fd);
  if (f == NULL || f->is_closed) return -EBADF;
  f->is_closed = true;
  f->is_socket = false;
  return 0;
}

static int fake_socket(struct ws_io *io, int domain, int type) {
  (void)domain;
  (void)type;
  for (int i = 0; i < FAKE_FDS; i++) {
    struct fake_fd *f = fd_of(io, i);
    if (f->is_socket) continue;
    f->is_closed = false;
    f->is_socket = true;
    f->address = f->so_error = 0;
    f->watch = NULL;
    return i;
  }
  return -EMFILE;
}

/* The port tells which of the spec's addresses it is. */
static int number_of(const struct ws_address *a) {
  const struct sockaddr_in *v4 = (const void *)&a->any;
  return ntohs(v4->sin_port); /* it stands there in IPv6 too */
}

static int fake_connect(struct ws_io *io, int fd, const struct ws_address *a) {
  struct fake_fd *f = fd_of(io, fd);
  f->address = number_of(a);
  int refuses = fake_of(io)->addresses[f->address - 1].refuses;
  return refuses ? -refuses : -EINPROGRESS;
}

static int fake_setsockopt(struct ws_io *io, int fd, int level, int name,
                           int value) {
  (void)io, (void)fd, (void)level, (void)name, (void)value;
  return 0;
}

static int fake_getsockopt(struct ws_io *io, int fd, int level, int name,
                           int *value) {
  (void)level, (void)name;
  *value = fd_of(io, fd)->so_error;
  return 0;
}

static void fill_in(struct fake_io *f, struct ws_lookup *l) {
  l->n = f->n_addresses;
  l->list = l->n ? ws_mem_zero((size_t)l->n * sizeof *l->list) : NULL;
  l->error = l->n ? NULL : "host name not found";
  if (l->list == NULL) l->n = 0;
  for (int i = 0; i < l->n; i++) {
    struct sockaddr_in *v4 = (void *)&l->list[i].any;
    l->list[i].len = sizeof(struct sockaddr_in6);
    l->list[i].any.ss_family = (sa_family_t)f->addresses[i].family;
    v4->sin_port = htons((uint16_t)(i + 1));
  }
}

static bool fake_lookup(struct ws_io *io, struct ws_lookup *l, const char *host,
                        int port) {
  (void)host, (void)port;
  if (fake_of(io)->answers_later) {
    fake_of(io)->lookup = l;
    return false;
  }
  fill_in(fake_of(io), l);
  return true;
}

static void fake_lookup_cancel(struct ws_io *io, struct ws_lookup *l) {
  if (fake_of(io)->lookup == l) fake_of(io)->lookup = NULL;
}

void fake_io_found(struct fake_io *f) {
  struct ws_lookup *l = f->lookup;
  f->lookup = NULL;
  if (l == NULL) return;
  fill_in(f, l);
  l->done(l);
}

bool fake_io_answer(struct fake_io *f, int address, int error,
                    struct ws_list *ready) {
  for (int i = 0; i < FAKE_FDS; i++) {
    struct fake_fd *fd = &f->fds[i];
    if (!fd->is_socket || fd->address != address || !fd->watch) continue;
    fd->so_error = error;
    fd->watch->got |= WS_WRITE;
    if (!ws_list_is_linked(&fd->watch->ready))
      ws_list_append(ready, &fd->watch->ready);
    return true;
  }
  return false;
}

static int fake_shutdown(struct ws_io *io, int fd, bool both) {
  (void)io, (void)fd, (void)both;
  return 0;
}

static double fake_now(struct ws_io *io) {
  return fake_of(io)->now;
}

static int fake_random(struct ws_io *io, void *to, size_t n) {
  struct fake_io *f = fake_of(io);
  f->randoms++;
  if (f->has_no_random) return -EIO;
  for (size_t i = 0; i + 4 <= n; i += 4) {
    f->random++;
    memcpy((char *)to + i, &f->random, 4);
  }
  return 0;
}

static void fake_watch(struct ws_io *io, struct ws_watch *w, uint8_t want) {
  struct fake_fd *f = fd_of(io, w->fd);
  if (f == NULL) return;
  f->want = want;
  f->watch = want ? w : NULL;
  f->watches++;
}

static void fake_wake_at(struct ws_io *io, double when) {
  fake_of(io)->wake = when;
  fake_of(io)->wakes++;
}

void fake_io_init(struct fake_io *f) {
  memset(f, 0, sizeof *f);
  f->io.ops = &f->ops;
  f->wake = -1;
  for (int i = 0; i < FAKE_FDS; i++) {
    f->fds[i].room = f->fds[i].most = SIZE_MAX;
    f->fds[i].error = EAGAIN;
  }
  f->ops = (struct ws_io_ops){
    .socket = fake_socket,
    .connect = fake_connect,
    .setsockopt = fake_setsockopt,
    .getsockopt = fake_getsockopt,
    .lookup = fake_lookup,
    .lookup_cancel = fake_lookup_cancel,
    .send = fake_send,
    .writev = fake_writev,
    .recv = fake_recv,
    .peek = fake_recv,
    .hangup = fake_hangup,
    .close = fake_close,
    .shutdown = fake_shutdown,
    .now = fake_now,
    .random = fake_random,
    .watch = fake_watch,
    .wake_at = fake_wake_at,
  };
}

void fake_io_free(struct fake_io *f) {
  for (int i = 0; i < FAKE_FDS; i++) free(f->fds[i].sent);
}
