/* control.c: records and descriptors between processes.
 *
 * A record is its length and the number of its descriptors, 4 bytes each, and
 * its bytes. The kernel hands descriptors out with the first byte that they
 * were sent with, and never those of two sends in one read. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* struct ucred */
#endif
#include "transport/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/un.h> /* LOCAL_PEERPID */
#endif

#include "transport/standard.h"

#define HEAD 8 /* bytes */
#define PIECE 65536

/* Descriptors as they have come. */
struct group {
  struct ws_list link;
  int n;
  bool is_lost;
  int fds[WS_CONTROL_FDS];
};

/* What is to be sent; the descriptors are copies of the sender's. */
struct piece {
  struct ws_list link;
  int n_fds;
  int fds[WS_CONTROL_FDS];
  size_t at, n;
  uint8_t bytes[];
};

void ws_control_init(struct ws_control *c, struct ws_io *io, int fd) {
  *c = (struct ws_control){.io = io, .fd = fd};
  ws_list_init(&c->groups);
  ws_list_init(&c->out);
}

static void close_all(struct ws_io *io, const int *fds, int n) {
  while (n-- > 0) io->ops->close(io, fds[n]);
}

static void drop_piece(struct ws_control *c, struct piece *p) {
  ws_list_remove(&p->link);
  close_all(c->io, p->fds, p->n_fds);
  c->queued -= p->n - p->at;
  ws_mem_free(p);
}

void ws_control_close(struct ws_control *c) {
  struct ws_list *e;
  if (c->fd < 0) return;
  while ((e = ws_list_shift(&c->groups))) {
    struct group *g = WS_LIST_ENTRY(e, struct group, link);
    close_all(c->io, g->fds, g->n);
    ws_mem_free(g);
  }
  while (!ws_list_is_empty(&c->out))
    drop_piece(c, WS_LIST_ENTRY(c->out.next, struct piece, link));
  ws_buf_free(&c->in);
  c->io->ops->close(c->io, c->fd);
  c->fd = -1;
}

int ws_control_pair(struct ws_io *io, int fds[2]) {
  (void)io;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0) return -errno;
  for (int i = 0; i < 2; i++) {
    fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    fds[i] = ws_standard_keep(fds[i]);
    fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
#ifdef SO_NOSIGPIPE
    int on = 1;
    setsockopt(fds[i], SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
  }
  return 0;
}

static bool is_of(int fd, pid_t pid) {
#ifdef SO_PEERCRED
  struct ucred peer;
  socklen_t n = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
         peer.pid == pid;
#else
  pid_t peer;
  socklen_t n = sizeof peer;
  return getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &peer, &n) == 0 &&
         peer == pid;
#endif
}

bool ws_control_is_parents(int fd) {
  char byte;
  return is_of(fd, getppid()) || recv(fd, &byte, 1, MSG_PEEK) == 0;
}

/* ---- sending ---- */

static void put_u32(uint8_t *to, size_t n) {
  for (int i = 0; i < 4; i++) to[i] = (uint8_t)(n >> (8 * i));
}

static size_t get_u32(const uint8_t *from) {
  size_t n = 0;
  for (int i = 3; i >= 0; i--) n = n << 8 | from[i];
  return n;
}

static struct piece *new_piece(struct ws_slice head, struct ws_slice body,
                               int n_fds) {
  size_t n = HEAD + head.n + body.n;
  struct piece *p = ws_mem_alloc(sizeof *p + n);
  if (!p) return NULL;
  ws_list_init(&p->link);
  p->n_fds = 0;
  p->at = 0;
  p->n = n;
  put_u32(p->bytes, head.n + body.n);
  put_u32(p->bytes + 4, (size_t)n_fds);
  memcpy(p->bytes + HEAD, head.p, head.n);
  if (body.n) memcpy(p->bytes + HEAD + head.n, body.p, body.n);
  return p;
}

/* Once the first byte has left the descriptors have, too. */
static int send_piece(struct ws_control *c, struct piece *p, const int *fds,
                      int n_fds) {
  while (p->at < p->n) {
    struct iovec iov = {p->bytes + p->at, p->n - p->at};
    ssize_t r =
      c->io->ops->send_fds(c->io, c->fd, &iov, 1, fds, p->at == 0 ? n_fds : 0);
    if (r == -EINTR) continue;
    if (r == -ECONNRESET) return -EPIPE;
    if (r < 0) return (int)r;
    if (p->n_fds) close_all(c->io, p->fds, p->n_fds);
    p->n_fds = 0;
    p->at += (size_t)r;
    c->queued -= ws_list_is_linked(&p->link) ? (size_t)r : 0;
  }
  return 0;
}

int ws_control_flush(struct ws_control *c) {
  if (c->fd < 0) return -EPIPE;
  while (!ws_list_is_empty(&c->out)) {
    struct piece *p = WS_LIST_ENTRY(c->out.next, struct piece, link);
    int r = send_piece(c, p, p->fds, p->n_fds);
    if (r < 0) return r;
    drop_piece(c, p);
  }
  return 0;
}

static int keep_copies(struct piece *p, const int *fds, int n_fds) {
  for (int i = 0; i < n_fds; i++) {
    int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return -errno;
    p->fds[p->n_fds++] = copy;
  }
  return 0;
}

int ws_control_send(struct ws_control *c, struct ws_slice head,
                    struct ws_slice body, const int *fds, int n_fds) {
  size_t n = head.n + body.n;
  if (c->fd < 0) return -EPIPE;
  if (n > WS_CONTROL_RECORD || n_fds > WS_CONTROL_FDS) return -EMSGSIZE;
  if (c->queued + n > WS_CONTROL_QUEUED) return -ENOBUFS;
  struct piece *p = new_piece(head, body, n_fds);
  if (!p) return -ENOMEM;
  int r = ws_control_flush(c);
  if (r == 0) r = send_piece(c, p, fds, n_fds);
  if (r == -EAGAIN) {
    r = p->at == 0 ? keep_copies(p, fds, n_fds) : 0;
    if (r == 0) {
      ws_list_append(&c->out, &p->link);
      c->queued += p->n - p->at;
      return 0;
    }
  }
  close_all(c->io, p->fds, p->n_fds);
  ws_mem_free(p);
  return r;
}

/* ---- receiving ---- */

static void keep_group(struct ws_control *c, struct group *g) {
  if (g->n || g->is_lost)
    ws_list_append(&c->groups, &g->link);
  else
    ws_mem_free(g);
}

/* The other side is one of ours: a record that is too long is no record. */
static bool is_sound(const struct ws_control *c) {
  const uint8_t *p = ws_buf_begin(&c->in);
  return c->in.len < HEAD ||
         (get_u32(p) <= WS_CONTROL_RECORD && get_u32(p + 4) <= WS_CONTROL_FDS);
}

static void drop_taken(struct ws_control *c) {
  ws_buf_consume(&c->in, c->taken);
  c->taken = 0;
  if (!c->in.len) ws_buf_free(&c->in);
}

int ws_control_read(struct ws_control *c) {
  if (c->fd < 0) return -EPIPE;
  drop_taken(c);
  if (!is_sound(c)) return -EPROTO;
  if (!ws_buf_reserve(&c->in, PIECE)) return -ENOMEM;
  struct group *g = ws_mem_alloc(sizeof *g);
  if (!g) return -ENOMEM;
  ws_list_init(&g->link);
  g->n = 0;
  g->is_lost = false;
  ssize_t r;
  do {
    r = c->io->ops->recv_fds(c->io, c->fd, ws_buf_end(&c->in), PIECE, g->fds,
                             &g->n, &g->is_lost);
  } while (r == -EINTR);
  if (r <= 0) {
    ws_mem_free(g);
    if (!c->in.len) ws_buf_free(&c->in);
    return r == 0 || r == -ECONNRESET ? -EPIPE : (int)r;
  }
  ws_buf_commit(&c->in, (size_t)r);
  keep_group(c, g);
  return 0;
}

/* Those of a record: the first group there is. Not as many as were sent: the
 * kernel could not put all of them into this process. */
static int take_group(struct ws_control *c, int n, int *fds) {
  struct ws_list *e = n ? ws_list_shift(&c->groups) : NULL;
  if (!e) return n ? -1 : 0;
  struct group *g = WS_LIST_ENTRY(e, struct group, link);
  bool is_whole = g->n == n;
  if (is_whole)
    memcpy(fds, g->fds, sizeof *fds * (size_t)n);
  else
    close_all(c->io, g->fds, g->n);
  ws_mem_free(g);
  return is_whole ? n : -1;
}

bool ws_control_next(struct ws_control *c, struct ws_slice *record,
                     int fds[WS_CONTROL_FDS], int *n_fds) {
  if (c->fd < 0) return false;
  drop_taken(c);
  if (c->in.len < HEAD || !is_sound(c)) return false;
  const uint8_t *p = ws_buf_begin(&c->in);
  size_t n = get_u32(p);
  if (c->in.len - HEAD < n) return false;
  *n_fds = take_group(c, (int)get_u32(p + 4), fds);
  *record = (struct ws_slice){(const char *)p + HEAD, n};
  c->taken = HEAD + n;
  return true;
}

int ws_control_wait(struct ws_control *c, double seconds) {
  double last = c->io->ops->now(c->io) + seconds;
  while (c->fd >= 0) {
    int r = ws_control_flush(c);
    if (r < 0 && r != -EAGAIN) return r;
    struct pollfd p = {.fd = c->fd,
                       .events = (short)(POLLIN | (r ? POLLOUT : 0))};
    double left = last - c->io->ops->now(c->io);
    if (left <= 0) return -EAGAIN;
    int n = poll(&p, 1, (int)(left * 1000) + 1);
    if (n < 0 && errno != EINTR) return -errno;
    if (n > 0 && p.revents & (POLLIN | POLLHUP | POLLERR)) return 0;
  }
  return -EPIPE;
}
