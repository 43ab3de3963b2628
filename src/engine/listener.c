/* listener.c: accepting, and shedding what is too much. */
#include "engine/listener.h"

#include <errno.h>
#include <math.h>

#include "engine/conn.h"
#include "engine/peer.h"
#include "engine/pressure.h"
#include "engine/server_log.h"
#include "engine/share.h"
#include "engine/upgrade.h"
#include "transport/linger.h"

/* Established connections have their turn too: so many, in long turns more;
 * and ws_loop_beginning. */
#define ACCEPTS_PER_TURN 64
#define BACKLOG_MAX 65536  /* that are taken when a server closes */
#define ACCEPT_AGAIN 0.1   /* seconds, after the descriptors ran out */
#define OTHERS_FIRST 0.005 /* seconds, for whoever has fewer connections */
#define EVEN_SHARE 32      /* a lead of one in so many is none */

static const struct ws_slice nothing = {NULL, 0};

static void want_accept(struct ws_server *s, bool on) {
  for (int i = 0; i < s->n_listeners; i++)
    ws_loop_watch(s->loop, &s->listeners[i].watch, on ? WS_READ : 0);
}

/* Without memory for the timer nothing would begin again: then it goes on. */
static void pause_accept(struct ws_server *s, double seconds) {
  bool is_set = ws_loop_timer(s->loop, &s->accept_again, seconds);
  want_accept(s, false);
  if (!is_set) want_accept(s, true);
}

/* Whoever goes is in the list until the turn ends, but takes no place any
 * more: as many go as come. */
static void shed_oldest(struct ws_server *s) {
  while (s->n_pending >= s->http.max_pending) {
    struct ws_pending *oldest =
      WS_LIST_ENTRY(s->pending.next, struct ws_pending, link);
    struct ws_conn *c = oldest->conn;
    ws_pending_leave_list(c);
    if (c->state == WS_CONN_PENDING) ws_upgrade_shed(c);
  }
}

/* bytes: as of ws_upgrade_start. */
static void admit(struct ws_server *s, int fd, const struct ws_address *peer,
                  struct ws_slice bytes) {
  struct ws_loop *loop = s->loop;
  /* those on their way out have descriptors too, and go for who comes */
  while (s->n_conns + loop->n_lingers >= s->http.max_connections &&
         ws_linger_cut(loop))
    continue;
  int why = s->n_conns >= s->http.max_connections ? WS_REFUSED_CONNECTIONS
            : !ws_peer_is_welcome(s, peer)        ? WS_REFUSED_ADDRESS
            : ws_pressure_is_high(s)              ? WS_REFUSED_MEMORY
                                                  : -1;
  if (why >= 0) {
    loop->io->ops->close(loop->io, fd);
    ws_server_refused(s, NULL, (enum ws_refusal)why, 0);
    return;
  }
  shed_oldest(s);
  s->n_conns++; /* before Lua runs: a finalizer may close the server */
  ws_share_count(s);
  struct ws_conn *c = s->host->new_conn(s->host, s);
  if (!c) {
    loop->io->ops->close(loop->io, fd);
    s->n_conns--;
    ws_share_count(s);
    ws_server_refused(s, NULL, WS_REFUSED_MEMORY, 0);
    ws_server_check_gone(s);
    return;
  }
  s->stats.accepted++;
  ws_conn_init(c, loop, &s->route, fd, ++loop->last_id);
  ws_list_append(&s->conns, &c->link);
  if (!ws_upgrade_start(c, peer, bytes)) {
    ws_conn_cut(c, 1006, "out of memory");
    ws_server_refused(s, c, WS_REFUSED_MEMORY, 0);
  } else if (s->is_closing) {
    ws_pending_hurry(c, WS_LISTENER_LATE);
  }
  ws_server_tell_accepted(c);
  /* there was no memory to watch it: who waits is better off waiting */
  if (c->stream.watch.got & WS_DEAF && !s->is_closing)
    pause_accept(s, ACCEPT_AGAIN);
}

static void take_spare(struct ws_server *s) {
  struct ws_io *io = s->loop->io;
  s->spare_fd = io->ops->socket(io, AF_UNIX, SOCK_STREAM);
}

static void drop_spare(struct ws_server *s) {
  if (s->spare_fd >= 0) s->loop->io->ops->close(s->loop->io, s->spare_fd);
  s->spare_fd = -1;
}

/* No descriptor is left: the spare one is given up for as long as it takes
 * to let the waiting peer know, rather than leave it in the backlog and the
 * listener ready for ever. */
static void shed(struct ws_server *s, struct ws_watch *w) {
  struct ws_address peer;
  struct ws_io *io = s->loop->io;
  if (s->spare_fd >= 0) {
    drop_spare(s);
    int fd = io->ops->accept(io, w->fd, &peer);
    if (fd >= 0) io->ops->close(io, fd);
    take_spare(s);
    ws_server_refused(s, NULL, WS_REFUSED_DESCRIPTORS, 0);
    if (fd >= 0) return;
  }
  pause_accept(s, ACCEPT_AGAIN);
}

/* Of several workers the others take who waits, and none of them waits for one
 * that cannot; where nobody can the peers are told. */
static void run_out(struct ws_server *s, struct ws_watch *w, int error) {
  uint64_t least;
  ws_server_warn_descriptors(s, error);
  if (s->share && ws_share_least(s, &least)) {
    ws_share_deaf(s);
    pause_accept(s, ACCEPT_AGAIN);
  } else {
    shed(s, w);
  }
}

static int accept_some(struct ws_server *s, struct ws_watch *w, int most) {
  struct ws_io *io = s->loop->io;
  double since = ws_loop_now(s->loop), most_time = ws_loop_beginning(s->loop);
  int i;
  for (i = 0; i < most && w->want; i++) {
    if (i && ws_loop_now(s->loop) - since >= most_time) break;
    struct ws_address peer;
    int fd = io->ops->accept(io, w->fd, &peer);
    if (fd >= 0) {
      admit(s, fd, &peer, nothing);
    } else if (fd == -EMFILE || fd == -ENFILE) {
      if (!ws_linger_cut(s->loop)) run_out(s, w, -fd);
    } else if (fd == -EAGAIN || fd == -EWOULDBLOCK) {
      break;
    } else if (fd != -EINTR && fd != -ECONNABORTED) {
      pause_accept(s, ACCEPT_AGAIN);
      break;
    }
  }
  ws_loop_begun(s->loop, since, 0);
  return i;
}

/* Of several workers the one that has the fewest connections comes first: the
 * others wait for it, not for long. One that takes none meanwhile (it hangs, or
 * is at work) is waited for less and less. Where each has many a small lead
 * does not count: a crowd that comes back would come in one by one. */
static int may_accept(struct ws_server *s) {
  uint64_t least;
  if (!s->share || !ws_share_least(s, &least))
    return (int)(ACCEPTS_PER_TURN *
                 fmin(ws_loop_beginning(s->loop) / WS_TURN_SECONDS, 4));
  uint64_t even = least + least / EVEN_SHARE;
  if (s->n_conns <= even) {
    uint64_t places = even - s->n_conns + 1;
    s->patience = 0;
    return places < ACCEPTS_PER_TURN ? (int)places : ACCEPTS_PER_TURN;
  }
  if (s->patience && least == s->least)
    s->patience *= s->patience < ACCEPTS_PER_TURN ? 2 : 1;
  else
    s->patience = 1;
  s->least = (uint32_t)least;
  s->is_waiting = true;
  pause_accept(s, OTHERS_FIRST);
  return 0;
}

static void on_accept_again(struct ws_timer *t) {
  struct ws_server *s = WS_LIST_ENTRY(t, struct ws_server, accept_again);
  bool has_waited = s->is_waiting;
  s->is_waiting = false;
  if (s->spare_fd < 0) take_spare(s);
  ws_share_count(s);
  want_accept(s, true);
  if (!has_waited) return;
  int n = 0;
  for (int i = 0; i < s->n_listeners; i++)
    n += accept_some(s, &s->listeners[i].watch, (int)s->patience);
  if (!n) s->patience = 0; /* somebody was there */
}

/* Whoever was accepted before has its turn before the next ones, or they would
 * be shed for coming at once. When it has let them pass it keeps its place. */
static bool lets_pass(struct ws_listener *l) {
  struct ws_loop *loop = l->server->loop;
  if (l->has_let_pass || ws_list_is_empty(&loop->running)) return false;
  ws_list_append(&loop->running, &l->watch.ready);
  l->has_let_pass = true;
  return true;
}

static void on_acceptable(struct ws_watch *w) {
  struct ws_listener *l = WS_LIST_ENTRY(w, struct ws_listener, watch);
  struct ws_server *s = l->server;
  bool is_deaf = w->got & WS_DEAF;
  uint8_t got = w->got;
  if (!is_deaf && lets_pass(l)) return;
  w->got = 0;
  if (is_deaf) {
    ws_server_warn_deaf(s, w->error);
    pause_accept(s, ACCEPT_AGAIN);
  } else if (w->want && ws_loop_begins(s->loop, w, got, 0)) {
    l->has_let_pass = false;
    accept_some(s, w, may_accept(s));
  }
}

void ws_listener_start(struct ws_server *s, const int *fds, int n) {
  s->accept_again.fn = on_accept_again;
  take_spare(s);
  s->n_listeners = n;
  for (int i = 0; i < n; i++) {
    struct ws_listener *l = &s->listeners[i];
    l->server = s;
    l->watch = (struct ws_watch){.fn = on_acceptable, .fd = fds[i]};
    ws_list_init(&l->watch.ready);
  }
  want_accept(s, true);
}

bool ws_listener_take(struct ws_server *s, int fd,
                      const struct ws_address *peer, struct ws_slice bytes) {
  struct ws_io *io = s->loop->io;
  if (s->is_gone || s->tls || !bytes.n || io->ops->adopt(io, fd) < 0) {
    io->ops->close(io, fd);
    return false;
  }
  admit(s, fd, peer, bytes);
  return true;
}

/* What the kernel has accepted already would be reset with the listener: it is
 * taken while there is something, and answered. Where somebody else listens on
 * the same socket it is theirs. */
static void take_backlog(struct ws_server *s, struct ws_watch *w) {
  struct ws_io *io = s->loop->io;
  struct ws_address peer;
  for (int i = 0; i < BACKLOG_MAX && s->is_closing; i++) {
    int fd = io->ops->accept(io, w->fd, &peer);
    if (fd < 0) return;
    admit(s, fd, &peer, nothing);
  }
}

void ws_listener_stop(struct ws_server *s) {
  struct ws_io *io = s->loop->io;
  for (int i = 0; i < s->n_listeners; i++) {
    struct ws_watch *w = &s->listeners[i].watch;
    ws_loop_unwatch(s->loop, w);
    if (s->is_foreign && !s->is_last) {
      io->ops->close(io, w->fd);
    } else {
      take_backlog(s, w);
      if (s->is_shared)
        io->ops->close(io, w->fd);
      else
        ws_loop_close(s->loop, w->fd);
    }
    w->fd = -1;
  }
  if (s->n_listeners && s->unix_path && !s->is_shared)
    io->ops->unlink(io, s->unix_path);
  ws_share_deaf(s);
  s->n_listeners = 0;
  ws_loop_timer_stop(s->loop, &s->accept_again);
  drop_spare(s);
}
