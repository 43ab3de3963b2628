/* dial.c: Happy Eyeballs (RFC 8305) in its simple form: one look-up for both
 * families, then attempts that overlap. A new one starts when the last has
 * had its time, or when one fails; the first that connects wins. */
#include "engine/dial.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"

static const char *describe(int error) {
  switch (error) {
  case ECONNREFUSED: return "connection refused";
  case ENOENT: return "no such socket";
  case ETIMEDOUT: return "connection timed out";
  case ENETUNREACH:
  case EHOSTUNREACH: return "host unreachable";
  case EMFILE:
  case ENFILE: return "too many open files";
  case ENOSPC: return "too many watched descriptors";
  case ENOMEM: return "not enough memory";
  default: return strerror(error);
  }
}

/* That this machine has no way to an address tells less than what was heard
 * of another one. */
static bool is_vague(int error) {
  return error == ENETUNREACH || error == EADDRNOTAVAIL ||
         error == EAFNOSUPPORT;
}

static void note(struct ws_dial *d, int error) {
  if (!d->error || !is_vague(error)) d->error = error;
}

/* 4: the families take turns, each in the order of the look-up, the one that
 * it prefers first. */
static void interleave(struct ws_lookup *l) {
  struct ws_address sorted[WS_ADDRESS_MAX];
  int n = 0, a = 0, b = 0;
  if (l->n < 2) return;
  sa_family_t first = l->list[0].any.ss_family;
  while (n < l->n) {
    while (a < l->n && l->list[a].any.ss_family != first) a++;
    if (a < l->n) sorted[n++] = l->list[a++];
    while (b < l->n && l->list[b].any.ss_family == first) b++;
    if (b < l->n) sorted[n++] = l->list[b++];
  }
  memcpy(l->list, sorted, sizeof *sorted * (size_t)n);
}

static int take(struct ws_dial *d, struct ws_dial_attempt *a) {
  int fd = a->watch.fd;
  ws_loop_unwatch(d->loop, &a->watch);
  a->watch.fd = -1;
  d->open--;
  return fd;
}

static void drop(struct ws_dial *d, struct ws_dial_attempt *a) {
  int fd = take(d, a);
  ws_loop_close(d->loop, fd);
}

static void finish(struct ws_dial *d, int fd) {
  ws_dial_stop(d);
  if (fd < 0) d->why = d->lookup.error ? d->lookup.error : describe(d->error);
  d->done(d, fd);
}

/* The next address, or the end when nothing is under way any more. */
static void try_next(struct ws_dial *d) {
  struct ws_loop *loop = d->loop;
  while (d->tried < d->lookup.n) {
    struct ws_dial_attempt *a = &d->attempts[d->tried];
    int fd = ws_net_connect(loop->io, &d->lookup.list[d->tried++]);
    if (fd < 0) {
      note(d, -fd);
      continue;
    }
    a->watch.fd = fd;
    d->open++;
    ws_loop_watch(loop, &a->watch, WS_WRITE);
    if (d->tried == d->lookup.n) return;
    if (ws_loop_timer(loop, &d->next, WS_DIAL_DELAY)) return;
    /* no memory for the timer: the next one does not wait */
  }
  if (!d->open) finish(d, -1);
}

static void on_ready(struct ws_watch *w) {
  struct ws_dial_attempt *a = WS_LIST_ENTRY(w, struct ws_dial_attempt, watch);
  struct ws_dial *d = a->dial;
  struct ws_io *io = d->loop->io;
  int error = w->got & WS_DEAF ? w->error : 0, r = 0;
  w->got = 0;
  if (!error) r = io->ops->getsockopt(io, w->fd, SOL_SOCKET, SO_ERROR, &error);
  if (r == 0 && error == 0) {
    d->winner = d->lookup.list[a - d->attempts];
    d->peer = &d->winner;
    finish(d, take(d, a));
    return;
  }
  note(d, r < 0 ? -r : error);
  drop(d, a);
  try_next(d);
}

static void on_time(struct ws_timer *t) {
  try_next(WS_LIST_ENTRY(t, struct ws_dial, next));
}

static bool prepare(struct ws_dial *d) {
  int n = d->lookup.n;
  d->attempts = n ? ws_mem_alloc((size_t)n * sizeof *d->attempts) : NULL;
  if (!d->attempts) return false;
  for (int i = 0; i < n; i++) {
    struct ws_dial_attempt *a = &d->attempts[i];
    *a = (struct ws_dial_attempt){.dial = d};
    a->watch.fd = -1;
    a->watch.fn = on_ready;
    ws_list_init(&a->watch.ready);
  }
  return true;
}

static void on_found(struct ws_lookup *l) {
  struct ws_dial *d = WS_LIST_ENTRY(l, struct ws_dial, lookup);
  interleave(l);
  if (prepare(d)) {
    try_next(d);
    return;
  }
  if (l->n) l->error = "not enough memory";
  finish(d, -1);
}

static void on_start(struct ws_job *job) {
  on_found(&WS_LIST_ENTRY(job, struct ws_dial, start)->lookup);
}

static void find_socket(struct ws_lookup *l, const char *path) {
  struct ws_address *a = ws_mem_alloc(sizeof *a);
  l->error = a ? "the path of the socket is too long" : "not enough memory";
  if (!a || !ws_net_unix(a, path)) {
    ws_mem_free(a);
    return;
  }
  l->list = a;
  l->n = 1;
  l->error = NULL;
}

void ws_dial_start(struct ws_dial *d, struct ws_loop *loop, const char *host,
                   int port, const char *path) {
  bool is_known = true;
  d->loop = loop;
  d->start.run = on_start;
  ws_list_init(&d->start.link);
  d->next.fn = on_time;
  d->lookup.done = on_found;
  if (path)
    find_socket(&d->lookup, path);
  else
    is_known = loop->io->ops->lookup(loop->io, &d->lookup, host, port);
  if (is_known) ws_loop_job(loop, &d->start);
}

void ws_dial_stop(struct ws_dial *d) {
  if (!d->loop) return;
  d->loop->io->ops->lookup_cancel(d->loop->io, &d->lookup);
  ws_list_remove(&d->start.link);
  ws_loop_timer_stop(d->loop, &d->next);
  for (int i = 0; i < d->tried && d->open; i++)
    if (d->attempts[i].watch.fd >= 0) drop(d, &d->attempts[i]);
  ws_mem_free(d->attempts);
  ws_mem_free(d->lookup.list);
  d->attempts = NULL;
  d->lookup.list = NULL;
  d->lookup.n = d->tried = 0;
}
