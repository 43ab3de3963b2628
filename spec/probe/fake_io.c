/* fake_io.c: the provider of the seam that specs hold in their hands. */
#include "fake_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
  return 0;
}

static int fake_shutdown(struct ws_io *io, int fd) {
  (void)io;
  (void)fd;
  return 0;
}

static double fake_now(struct ws_io *io) {
  return fake_of(io)->now;
}

static void fake_watch(struct ws_io *io, struct ws_watch *w, uint8_t want) {
  struct fake_fd *f = fd_of(io, w->fd);
  if (f == NULL) return;
  f->want = want;
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
    .send = fake_send,
    .writev = fake_writev,
    .recv = fake_recv,
    .close = fake_close,
    .shutdown = fake_shutdown,
    .now = fake_now,
    .watch = fake_watch,
    .wake_at = fake_wake_at,
  };
}

void fake_io_free(struct fake_io *f) {
  for (int i = 0; i < FAKE_FDS; i++) free(f->fds[i].sent);
}
