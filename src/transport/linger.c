/* linger.c: descriptors that wait for their peer's end. */
#include "transport/linger.h"

#include <errno.h>

#include "base/buf.h"

#define READS_PER_TURN 4

struct ending {
  struct ws_list link; /* first: ws_loop_free_later overwrites it */
  struct ws_watch watch;
  struct ws_timer timer;
  struct ws_loop *loop;
  size_t left;
};

static void end(struct ending *l) {
  struct ws_loop *loop = l->loop;
  ws_loop_unwatch(loop, &l->watch);
  ws_loop_timer_stop(loop, &l->timer);
  ws_loop_close(loop, l->watch.fd);
  ws_list_remove(&l->link);
  loop->n_lingers--;
  ws_loop_free_later(loop, l);
}

bool ws_linger_cut(struct ws_loop *loop) {
  if (!loop->n_lingers) return false;
  end(WS_LIST_ENTRY(loop->lingers.next, struct ending, link));
  return true;
}

static void on_ready(struct ws_watch *w) {
  struct ending *l = WS_LIST_ENTRY(w, struct ending, watch);
  struct ws_loop *loop = l->loop;
  if (w->got & WS_DEAF) {
    end(l);
    return;
  }
  w->got = 0;
  for (int i = 0; i < READS_PER_TURN; i++) {
    ssize_t r =
      loop->io->ops->recv(loop->io, w->fd, loop->read_buffer, WS_READ_BUFFER);
    if (r == -EAGAIN || r == -EINTR) return;
    if (r <= 0 || (size_t)r >= l->left) {
      end(l);
      return;
    }
    l->left -= (size_t)r;
    if (r < WS_READ_BUFFER) return;
  }
}

static void on_time(struct ws_timer *t) {
  end(WS_LIST_ENTRY(t, struct ending, timer));
}

void ws_linger_start(struct ws_loop *loop, int fd, enum ws_linger who) {
  struct ending *l;
  if ((who == WS_LINGER_FIRST &&
       loop->io->ops->shutdown(loop->io, fd, false) < 0) ||
      !ws_loop_prepare(loop) || !(l = ws_mem_zero(sizeof *l))) {
    ws_loop_close(loop, fd);
    return;
  }
  l->loop = loop;
  l->left = WS_LINGER_BYTES;
  l->watch.fd = fd;
  l->watch.fn = on_ready;
  ws_list_init(&l->watch.ready);
  l->timer.fn = on_time;
  if (loop->n_lingers >= WS_LINGERS_MAX) ws_linger_cut(loop);
  ws_list_append(&loop->lingers, &l->link);
  loop->n_lingers++;
  ws_loop_watch(loop, &l->watch, WS_READ);
  if (!ws_loop_timer(loop, &l->timer, WS_LINGER_SECONDS)) end(l);
}

void ws_linger_stop(struct ws_loop *loop) {
  while (ws_linger_cut(loop)) continue;
}
