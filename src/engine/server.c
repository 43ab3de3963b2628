/* server.c: accepting, shedding, and going down. */
#include "engine/server.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "engine/conn.h"
#include "engine/farewell.h"
#include "engine/topic.h"
#include "engine/upgrade.h"

#define ACCEPTS_PER_TURN 64 /* established connections have their turn too */
#define BACKLOG_MAX 65536   /* that are taken when a server closes */
#define ACCEPT_AGAIN 0.1    /* seconds, after the descriptors ran out */

bool ws_strings_add(struct ws_strings *s, const char *text, size_t len) {
  char **list = ws_mem_resize(s->list, (s->n + 1) * sizeof *list);
  if (!list) return false;
  s->list = list;
  list[s->n] = ws_mem_alloc(len + 1);
  if (!list[s->n]) return false;
  memcpy(list[s->n], text, len);
  list[s->n++][len] = 0;
  return true;
}

void ws_strings_free(struct ws_strings *s) {
  while (s->n) ws_mem_free(s->list[--s->n]);
  ws_mem_free(s->list);
  s->list = NULL;
}

struct ws_route *ws_server_find(struct ws_server *s, struct ws_slice path) {
  struct ws_route *route = ws_router_find(&s->router, path);
  return route || !s->serves_any ? route : &s->route;
}

static bool serve(struct ws_server *s, struct ws_route *route,
                  struct ws_slice pattern) {
  struct ws_text *text = ws_text_new(pattern);
  if (!text || !ws_router_add(&s->router, pattern, route)) {
    ws_text_release(text);
    return false;
  }
  route->pattern = text;
  return true;
}

bool ws_server_set_pattern(struct ws_server *s, struct ws_slice pattern) {
  return serve(s, &s->route, pattern);
}

/* What all connections of the loop share. */
static void lend(struct ws_route *r, struct ws_loop *loop) {
  r->options.protocol.pool = &loop->pool;
  r->options.protocol.deflate = &loop->deflate;
}

bool ws_server_add_route(struct ws_server *s, struct ws_route *from,
                         struct ws_slice pattern) {
  struct ws_route *route = ws_mem_zero(sizeof *route);
  if (!route || !serve(s, route, pattern)) {
    ws_mem_free(route);
    return false;
  }
  from->pattern = route->pattern;
  *route = *from;
  *from = (struct ws_route){.server = s};
  route->next = s->routes;
  s->routes = route;
  if (s->loop) lend(route, s->loop);
  return true;
}

void ws_route_free(struct ws_route *r) {
  ws_text_release(r->pattern);
  r->pattern = NULL;
  ws_strings_free(&r->origins);
  ws_strings_free(&r->subprotocols);
}

/* ---- accepting ---- */

static void shed_oldest(struct ws_server *s) {
  if (s->n_pending < s->http.max_pending) return;
  struct ws_pending *oldest =
    WS_LIST_ENTRY(s->pending.next, struct ws_pending, link);
  ws_upgrade_shed(oldest->conn);
}

static void admit(struct ws_server *s, int fd, const struct ws_address *peer) {
  struct ws_loop *loop = s->loop;
  if (s->n_conns >= s->http.max_connections) {
    loop->io->ops->close(loop->io, fd);
    ws_server_refused(s, NULL, WS_REFUSED_CONNECTIONS, 0);
    return;
  }
  shed_oldest(s);
  s->n_conns++; /* before Lua runs: a finalizer may close the server */
  struct ws_conn *c = s->host->new_conn(s->host, s);
  if (!c) {
    loop->io->ops->close(loop->io, fd);
    s->n_conns--;
    ws_server_refused(s, NULL, WS_REFUSED_MEMORY, 0);
    ws_farewell_check(s);
    return;
  }
  s->stats.accepted++;
  ws_conn_init(c, loop, &s->route, fd, ++loop->last_id);
  c->server = s;
  ws_list_append(&s->conns, &c->link);
  if (!ws_upgrade_start(c, peer)) {
    ws_conn_cut(c, 1006, "out of memory");
    ws_server_refused(s, c, WS_REFUSED_MEMORY, 0);
  } else if (s->is_closing) {
    ws_upgrade_hurry(c, WS_FAREWELL_LATE);
  }
  ws_server_tell_accepted(c);
}

static void want_accept(struct ws_server *s, bool on) {
  for (int i = 0; i < s->n_listeners; i++)
    ws_loop_watch(s->loop, &s->listeners[i].watch, on ? WS_READ : 0);
}

static void take_spare(struct ws_server *s) {
  struct ws_io *io = s->loop->io;
  s->spare_fd = io->ops->socket(io, AF_UNIX, SOCK_STREAM);
}

static void drop_spare(struct ws_server *s) {
  if (s->spare_fd >= 0) s->loop->io->ops->close(s->loop->io, s->spare_fd);
  s->spare_fd = -1;
}

/* Without memory for the timer nothing would begin again: then it goes on. */
static void pause_accept(struct ws_server *s) {
  if (ws_loop_timer(s->loop, &s->accept_again, ACCEPT_AGAIN))
    want_accept(s, false);
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
  pause_accept(s);
}

static void on_accept_again(struct ws_timer *t) {
  struct ws_server *s = WS_LIST_ENTRY(t, struct ws_server, accept_again);
  if (s->spare_fd < 0) take_spare(s);
  want_accept(s, true);
}

static void on_acceptable(struct ws_watch *w) {
  struct ws_listener *l = WS_LIST_ENTRY(w, struct ws_listener, watch);
  struct ws_server *s = l->server;
  struct ws_io *io = s->loop->io;
  w->got = 0;
  for (int i = 0; i < ACCEPTS_PER_TURN && w->fd >= 0; i++) {
    struct ws_address peer;
    int fd = io->ops->accept(io, w->fd, &peer);
    if (fd >= 0) {
      admit(s, fd, &peer);
    } else if (fd == -EMFILE || fd == -ENFILE) {
      shed(s, w);
    } else if (fd == -EAGAIN || fd == -EWOULDBLOCK) {
      return;
    } else if (fd != -EINTR && fd != -ECONNABORTED) {
      pause_accept(s);
      return;
    }
  }
}

/* ---- starting and stopping ---- */

void ws_server_read_address(struct ws_server *s) {
  struct ws_address a;
  char text[WS_NET_TEXT_MAX];
  struct ws_io *io = s->loop->io;
  if (io->ops->getsockname(io, s->listeners[0].watch.fd, &a) < 0) return;
  s->is_foreign = true;
  ws_net_text(&a, text);
  if (a.any.ss_family == AF_UNIX) ws_net_unix_path(&a, text);
  char *copy = ws_mem_alloc(strlen(text) + 1);
  if (!copy) return;
  memcpy(copy, text, strlen(text) + 1);
  ws_mem_free(s->address);
  s->address = copy;
}

int ws_server_start(struct ws_server *s, struct ws_loop *loop,
                    struct ws_net_listen *what, const char **why) {
  int fds[WS_NET_LISTEN_MAX];
  s->loop = loop;
  ws_list_init(&s->conns);
  ws_list_init(&s->pending);
  s->spare_fd = -1;
  s->accept_again.fn = on_accept_again;
  ws_farewell_init(s);
  int n = ws_net_listen(loop->io, what, fds, why);
  if (n < 0) {
    s->is_gone = true;
    return n;
  }
  loop->on_deadline = ws_conn_on_deadline;
  lend(&s->route, loop);
  for (struct ws_route *r = s->routes; r; r = r->next) lend(r, loop);
  s->port = what->port;
  take_spare(s);
  s->n_listeners = n;
  for (int i = 0; i < n; i++) {
    struct ws_listener *l = &s->listeners[i];
    l->server = s;
    l->watch = (struct ws_watch){.fn = on_acceptable, .fd = fds[i]};
    ws_list_init(&l->watch.ready);
  }
  want_accept(s, true);
  return 0;
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
    admit(s, fd, &peer);
  }
}

void ws_server_stop_listening(struct ws_server *s) {
  struct ws_io *io = s->loop->io;
  for (int i = 0; i < s->n_listeners; i++) {
    struct ws_watch *w = &s->listeners[i].watch;
    ws_loop_unwatch(s->loop, w);
    if (!s->is_foreign) take_backlog(s, w);
    io->ops->close(io, w->fd);
    w->fd = -1;
  }
  if (s->n_listeners && s->unix_path) io->ops->unlink(io, s->unix_path);
  s->n_listeners = 0;
  ws_loop_timer_stop(s->loop, &s->accept_again);
  drop_spare(s);
}

void ws_server_abandon(struct ws_server *s) {
  ws_server_stop_listening(s);
  ws_farewell_stop(s);
  while (!ws_list_is_empty(&s->conns))
    ws_conn_abandon(WS_LIST_ENTRY(s->conns.next, struct ws_conn, link));
  s->is_closing = s->is_gone = true;
}

void ws_server_opened(struct ws_server *s, struct ws_conn *c) {
  (void)c;
  s->n_open++;
  s->stats.opened++;
}

struct ws_traffic ws_server_traffic(const struct ws_server *s) {
  struct ws_traffic sum = s->route.traffic;
  for (const struct ws_route *r = s->routes; r; r = r->next)
    ws_traffic_add(&sum, &r->traffic);
  return sum;
}

uint64_t ws_server_queued(const struct ws_server *s) {
  uint64_t sum = 0;
  if (s->is_gone) return 0;
  for (struct ws_list *e = s->conns.next; e != &s->conns; e = e->next)
    sum += ws_stream_pending(&WS_LIST_ENTRY(e, struct ws_conn, link)->stream);
  return sum;
}

void ws_server_left(struct ws_server *s, struct ws_conn *c) {
  s->n_conns--;
  if (c->was_opened) s->n_open--;
  ws_farewell_check(s);
}

void ws_server_free(struct ws_server *s) {
  ws_topics_free(s);
  ws_tls_context_release(s->tls);
  s->tls = NULL;
  ws_strings_free(&s->hosts);
  ws_mem_free(s->trusted.list);
  s->trusted = (struct ws_trusted){NULL, 0};
  while (s->routes) {
    struct ws_route *r = s->routes;
    s->routes = r->next;
    ws_route_free(r);
    ws_mem_free(r);
  }
  ws_route_free(&s->route);
  ws_router_free(&s->router);
  ws_mem_free(s->unix_path);
  s->unix_path = NULL;
  ws_mem_free(s->address);
  s->address = NULL;
  ws_text_release(s->last_origin);
  s->last_origin = NULL;
}
