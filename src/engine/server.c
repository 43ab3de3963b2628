/* server.c: the life of a server, and how it keeps its connections. */
#include "engine/server.h"

#include <string.h>

#include "engine/conn.h"
#include "engine/conn_send.h"
#include "engine/conn_deadline.h"
#include "engine/farewell.h"
#include "engine/listener.h"
#include "engine/route.h"
#include "engine/share.h"
#include "engine/topic.h"

/* ---- its connections ---- */

static void opened(struct ws_conn *c) {
  c->route->server->n_open++;
  c->route->server->stats.opened++;
  ws_topic_opened(c);
}

static void told(struct ws_conn *c) {
  ws_closes_count(&c->route->server->stats.closed, c->code);
}

static void left(struct ws_conn *c) {
  struct ws_server *s = c->route->server;
  ws_conn_leave_route(c);
  ws_crowd_leave(&s->crowd, c->neighbours);
  c->neighbours = NULL;
  s->n_conns--;
  ws_share_count(s);
  if (c->was_opened) s->n_open--;
  ws_server_check_gone(s);
}

static bool keeps(struct ws_conn *c) {
  (void)c;
  return false;
}

static void nothing(struct ws_conn *c) {
  (void)c;
}

static const struct ws_keeper keeper = {.opened = opened,
                                        .lost = nothing,
                                        .told = told,
                                        .keeps = keeps,
                                        .stop = nothing,
                                        .left = left,
                                        .dispose = nothing};

static void keep(struct ws_route *r, struct ws_loop *loop) {
  r->keeper = &keeper;
  ws_route_lend(r, loop);
}

/* ---- its life ---- */

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
  ws_farewell_init(s);
  int n = ws_net_listen(loop->io, what, fds, why);
  if (n < 0) {
    s->is_gone = true;
    return n;
  }
  loop->on_deadline = ws_conn_on_deadline;
  keep(&s->route, loop);
  for (struct ws_route *r = s->routes; r; r = r->next) keep(r, loop);
  s->port = what->port;
  ws_listener_start(s, fds, n);
  return 0;
}

void ws_server_abandon(struct ws_server *s) {
  ws_listener_stop(s);
  ws_server_stop_farewell(s);
  while (!ws_list_is_empty(&s->conns))
    ws_conn_abandon(WS_LIST_ENTRY(s->conns.next, struct ws_conn, link));
  s->is_closing = s->is_gone = true;
}

uint64_t ws_server_queued(const struct ws_server *s) {
  uint64_t sum = 0;
  if (s->is_gone) return 0;
  for (struct ws_list *e = s->conns.next; e != &s->conns; e = e->next) {
    const struct ws_conn *c = WS_LIST_ENTRY(e, struct ws_conn, link);
    sum += ws_stream_pending(&c->stream) +
           (ws_conn_has_behind(c) ? ws_conn_behind(c) : 0);
  }
  return sum;
}

void ws_server_free(struct ws_server *s) {
  ws_topics_free(s);
  ws_kept_rules_free(&s->kept);
  ws_tls_context_release(s->tls);
  s->tls = NULL;
  ws_strings_free(&s->hosts);
  ws_mem_free(s->trusted.list);
  s->trusted = (struct ws_trusted){NULL, 0};
  ws_route_free_all(s);
  ws_crowd_free(&s->crowd);
  ws_mem_free(s->unix_path);
  s->unix_path = NULL;
  ws_mem_free(s->address);
  s->address = NULL;
  ws_text_release(s->last_origin);
  s->last_origin = NULL;
}
