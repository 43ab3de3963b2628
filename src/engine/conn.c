/* conn.c: the life of a connection: opening, closing, the end.
 *
 * The end comes in three steps that may be apart: the connection is CLOSED
 * (nothing is sent or parsed any more), the application has been told, the
 * last byte has left and the descriptor is gone. When all are done the
 * object is given back. All of it happens at the end of a turn (on_late), so
 * that no caller loses the connection under its feet. */
#include "engine/conn.h"

#include <errno.h>
#include <string.h>

#include "engine/client.h"
#include "engine/rare.h"
#include "engine/retry.h"
#include "engine/server.h"
#include "engine/topic.h"
#include "engine/upgrade.h"
#include "transport/linger.h"

struct ws_loop *ws_conn_loop(const struct ws_conn *c) {
  return c->stream.loop;
}

struct ws_host *ws_conn_host(const struct ws_conn *c) {
  return c->route->host;
}

struct ws_rare *ws_conn_rare(struct ws_conn *c) {
  if (!c->rare) c->rare = ws_mem_zero(sizeof *c->rare);
  return c->rare;
}

bool ws_conn_is_secure(const struct ws_conn *c) {
  return c->scheme ? c->scheme == WS_SCHEME_SECURE : c->stream.is_secure;
}

int ws_conn_code(const struct ws_conn *c) {
  return c->code;
}

struct ws_slice ws_conn_reason(const struct ws_conn *c) {
  if (c->cause) return (struct ws_slice){c->cause, strlen(c->cause)};
  if (c->rare) return (struct ws_slice){c->rare->reason, c->rare->reason_len};
  return (struct ws_slice){"", 0};
}

enum ws_err ws_conn_set_reason(struct ws_conn *c, const void *reason,
                               size_t n) {
  struct ws_rare *r;
  if (n == 0) return WS_OK;
  if (!(r = ws_conn_rare(c))) return WS_ERR_MEMORY;
  if (n > sizeof r->reason) n = sizeof r->reason;
  memcpy(r->reason, reason, n);
  r->reason_len = (uint8_t)n;
  return WS_OK;
}

struct ws_text *ws_text_new(struct ws_slice text) {
  struct ws_text *t = ws_mem_alloc(sizeof *t + text.n);
  if (!t) return NULL;
  *t = (struct ws_text){.refs = 1, .len = (uint32_t)text.n};
  if (text.n) memcpy(t->text, text.p, text.n);
  return t;
}

void ws_text_release(struct ws_text *t) {
  if (t && --t->refs == 0) ws_mem_free(t);
}

struct ws_meta *ws_conn_new_meta(struct ws_slice path, struct ws_slice query,
                                 struct ws_slice subprotocol,
                                 const struct ws_address *peer) {
  char address[WS_NET_TEXT_MAX];
  int port = ws_net_text(peer, address);
  size_t n = strlen(address);
  struct ws_slice parts[] = {path, query, subprotocol, {address, n}};
  struct ws_meta *m =
    ws_mem_zero(sizeof *m + path.n + query.n + subprotocol.n + n);
  if (!m) return NULL;
  m->path_len = (uint16_t)path.n;
  m->query_len = (uint16_t)query.n;
  m->subprotocol_len = (uint16_t)subprotocol.n;
  m->has_subprotocol = subprotocol.p != NULL;
  m->address_len = (uint8_t)n;
  m->port = (uint16_t)port;
  char *to = m->text;
  for (size_t i = 0; i < 4; i++) {
    if (parts[i].p && parts[i].n) memcpy(to, parts[i].p, parts[i].n);
    to += parts[i].n;
  }
  return m;
}

/* ---- the end ---- */

static const char *describe(int error) {
  switch (error) {
  case ECONNRESET:
  case EPIPE: return "connection reset";
  case ETIMEDOUT: return "connection timed out";
  case ENOMEM: return "out of memory";
  default: return "connection lost";
  }
}

/* The stream has ended with an error. */
static void end_broken(struct ws_conn *c) {
  const struct ws_stream *s = &c->stream;
  const char *cause = describe(s->error);
  char text[WS_STREAM_REASON_MAX];
  if (c->state == WS_CONN_CLOSED) return;
  c->is_cut = true;
  if (s->error == EPROTO) {
    ws_stream_why(s, text);
    if (ws_conn_set_reason(c, text, strlen(text)) == WS_OK) cause = NULL;
  }
  ws_conn_end(c, 1006, cause);
}

void ws_conn_end(struct ws_conn *c, int code, const char *cause) {
  if (c->state == WS_CONN_CLOSED) return;
  if (!c->is_ours || c->is_cut) {
    c->code = (uint16_t)code;
    c->cause = cause;
  }
  c->state = WS_CONN_CLOSED;
  ws_conn_drop_writer(c);
  if (c->member) ws_topic_leave(c);
  ws_conn_drop_input(c, c->mode != WS_CALLBACK && c->mode != WS_PULL);
  ws_stream_want_read(&c->stream, false);
  ws_loop_late(c->stream.loop, &c->stream.late);
}

/* What came before an end that is not the peer's word is of no interest. */
static void drop_unread(struct ws_conn *c) {
  if (!ws_retry_keeps_unread(c)) ws_conn_drop_queue(c);
}

void ws_conn_cut(struct ws_conn *c, int code, const char *cause) {
  if (c->is_freed) return;
  c->is_cut = true;
  drop_unread(c);
  ws_conn_end(c, code, cause);
  ws_loop_late(c->stream.loop, &c->stream.late);
}

void ws_conn_terminate(struct ws_conn *c, int code, const char *cause) {
  if (c->is_freed) return;
  ws_conn_cut(c, code, cause);
  ws_conn_drop_input(c, c->mode == WS_CALLBACK);
}

void ws_conn_fail(struct ws_conn *c, int code, const char *cause) {
  if (c->state != WS_CONN_OPEN && c->state != WS_CONN_CLOSING) return;
  if (!c->is_close_sent)
    ws_conn_send_close(c, code, (struct ws_slice){NULL, 0});
  drop_unread(c);
  ws_conn_end(c, code, cause);
}

void ws_conn_close(struct ws_conn *c, int code, struct ws_slice reason,
                   const char *cause) {
  if (c->state == WS_CONN_CLOSING) {
    c->is_shutdown = false;
    ws_conn_resume(c);
    return;
  }
  if (c->state != WS_CONN_OPEN) return;
  if (cause) {
    c->is_ours = true;
    c->code = (uint16_t)code;
    c->cause = cause;
  }
  if (c->is_close_pending) {
    /* the peer was first; what it said before is of no interest any more */
    ws_conn_drop_queue(c);
    ws_conn_answer_close(c);
    return;
  }
  ws_conn_send_close(c, code, reason);
  if (c->state != WS_CONN_OPEN) return; /* there was no memory for it */
  c->state = WS_CONN_CLOSING;
  ws_conn_resume(c);
}

void ws_conn_shutdown(struct ws_conn *c, int code, struct ws_slice reason) {
  if (c->state != WS_CONN_OPEN) return;
  c->is_shutdown = true;
  ws_conn_close(c, code, reason, NULL);
}

/* Everything that only this connection needed, but not the object. */
static void give_back(struct ws_conn *c) {
  if (c->member) ws_topic_leave(c);
  ws_wheel_clear(&c->stream.loop->wheel, &c->deadline);
  ws_conn_drop_writer(c);
  ws_protocol_free(&c->protocol);
  ws_mem_free(c->rest);
  c->rest = NULL;
  if (c->is_client)
    ws_client_free(c);
  else
    ws_upgrade_free(c);
  ws_stream_close(&c->stream);
  ws_list_remove(&c->link);
}

static void release(struct ws_conn *c) {
  c->is_freed = true;
  c->state = WS_CONN_CLOSED;
  ws_retry_stop(c);
  give_back(c);
}

static void free_conn(struct ws_conn *c) {
  struct ws_host *host = ws_conn_host(c);
  struct ws_server *server = c->server;
  release(c);
  c->server = NULL;
  if (server) ws_server_left(server, c);
  host->free_conn(c);
}

void ws_conn_abandon(struct ws_conn *c) {
  if (!c->stream.loop || c->is_freed) return;
  if (c->state == WS_CONN_OPEN || c->state == WS_CONN_CLOSING)
    ws_conn_send_close(c, 1001, (struct ws_slice){NULL, 0});
  if (!c->is_cut) {
    ws_stream_flush(&c->stream);
    ws_stream_farewell(&c->stream);
  }
  release(c);
}

void ws_conn_dispose(struct ws_conn *c) {
  struct ws_meta *m = c->meta;
  if (m) {
    ws_text_release(m->origin);
    ws_text_release(m->pattern);
  }
  ws_mem_free(m);
  c->meta = NULL;
  if (c->rare) {
    ws_buf_free(&c->rare->queue);
    ws_buf_free(&c->rare->controls);
    ws_buf_free(&c->rare->writing.behind);
    ws_retry_free(c->rare->retry);
  }
  ws_mem_free(c->rare);
  c->rare = NULL;
  if (c->is_client && c->route) ws_client_free_route(c->route);
  c->route = NULL;
}

/* The descriptor: closed at once, or when nothing is owed any more, with a
 * while for the peer to read it. After a failure of TLS that is an alert. */
static void let_go(struct ws_conn *c) {
  struct ws_stream *s = &c->stream;
  if (s->watch.fd < 0) return;
  if (s->error != EPROTO && (c->is_cut || s->error)) {
    ws_stream_close(s);
    return;
  }
  if (!s->error && (ws_stream_pending(s) || !ws_stream_farewell(s))) return;
  struct ws_loop *loop = s->loop;
  bool is_over = c->is_eof;
  int fd = ws_stream_detach(s);
  if (is_over)
    loop->io->ops->close(loop->io, fd);
  else
    ws_linger_start(loop, fd,
                    c->is_client ? WS_LINGER_SECOND : WS_LINGER_FIRST);
}

static void tell(struct ws_conn *c) {
  if (c->is_told || !(c->was_opened || c->is_client)) return;
  if (c->mode == WS_CALLBACK && ws_conn_has_queue(c)) {
    ws_conn_host(c)->ended(c);
    ws_conn_deliver_later(c); /* the end of a handler comes back here */
    return;
  }
  c->is_told = true;
  ws_retry_lost(c);
  if (ws_conn_host(c)->closed(c)) {
    if (c->server) ws_closes_count(&c->server->stats.closed, c->code);
    return;
  }
  c->is_told = false;
  c->is_tell_due = true;
}

static void go(struct ws_conn *c) {
  if (c->is_client) ws_client_free(c); /* nothing is tried any more */
  let_go(c);
  tell(c);
  bool is_told = c->is_told || !(c->was_opened || c->is_client);
  if (!is_told || c->stream.watch.fd >= 0)
    ws_conn_update(c);
  else if (!ws_retry_wait(c))
    free_conn(c);
}

static void after_flush(struct ws_conn *c) {
  struct ws_stream *s = &c->stream;
  if (c->rare && c->rare->has_pong && !s->is_blocked) {
    c->rare->has_pong = false;
    c->rare->pongs = 0;
    ws_conn_send_control(c, WS_OP_PONG, c->rare->pong, c->rare->pong_len);
  }
  bool was_high = c->was_high && !c->is_backed_up;
  if ((was_high || c->is_drain_awaited) && s->queued <= c->options->low_water) {
    c->was_high = c->was_high && !was_high;
    c->is_drain_awaited = false;
    ws_conn_host(c)->drained(c, was_high);
    ws_conn_resume(c);
  }
  if (c->is_close_sent && !c->is_close_left && ws_stream_pending(s) == 0) {
    c->is_close_left = true;
    c->began = s->loop->tick;
  }
}

static void on_late(struct ws_late *late) {
  struct ws_stream *s = WS_LIST_ENTRY(late, struct ws_stream, late);
  struct ws_conn *c = WS_LIST_ENTRY(s, struct ws_conn, stream);
  if (c->member) ws_topic_catch_up(c);
  if (!s->is_blocked) ws_stream_flush(s);
  if (c->member) ws_topic_note(c);
  if (s->error) {
    end_broken(c);
  } else if (c->state == WS_CONN_OPEN || c->state == WS_CONN_CLOSING) {
    after_flush(c);
    if (c->is_close_pending && !c->busy && !c->has_writer &&
        !ws_conn_has_queue(c))
      ws_conn_answer_close(c);
  } else if (c->state == WS_CONN_PENDING && !c->is_client) {
    ws_upgrade_after_flush(c);
  }
  if (c->state == WS_CONN_CLOSED)
    go(c);
  else
    ws_conn_update(c);
}

static void on_ready(struct ws_watch *w) {
  struct ws_stream *s = WS_LIST_ENTRY(w, struct ws_stream, watch);
  struct ws_conn *c = WS_LIST_ENTRY(s, struct ws_conn, stream);
  uint8_t got = w->got;
  w->got = 0;
  if (c->state == WS_CONN_PENDING) {
    if (c->is_client)
      ws_client_on_ready(c, got);
    else
      ws_upgrade_on_ready(c, got);
    return;
  }
  if (got & WS_WRITE) {
    ws_stream_flush(s);
    ws_loop_late(s->loop, &s->late);
  }
  if (got & (WS_READ | WS_AGAIN)) ws_conn_read(c);
  if (c->state == WS_CONN_CLOSED) ws_loop_late(s->loop, &s->late);
}

void ws_conn_init(struct ws_conn *c, struct ws_loop *loop,
                  struct ws_route *route, int fd, uint64_t id) {
  ws_stream_init(&c->stream, loop, fd, on_ready, on_late);
  ws_deadline_init(&c->deadline);
  ws_list_init(&c->link);
  c->route = route;
  c->options = &route->options;
  c->id = id;
  c->latency = -1;
  c->code = 1006;
  c->heard = c->messaged = c->began = loop->tick;
}

static void renew_rare(struct ws_rare *r) {
  r->pongs = 0;
  r->has_pong = r->has_ping = false;
  r->message_spent = 0;
  r->controls_n = 0;
  ws_buf_free(&r->controls);
  if (!r->queue_n) ws_buf_free(&r->queue); /* it may have been dropped */
}

void ws_conn_renew(struct ws_conn *c) {
  give_back(c);
  struct ws_conn was = *c;
  memset(c, 0, sizeof *c);
  ws_conn_init(c, was.stream.loop, was.route, -1, was.id);
  c->stream.is_secure = was.stream.is_secure;
  c->meta = was.meta;
  c->rare = was.rare;
  c->cause = was.cause;
  c->code = was.code;
  c->busy = was.busy;
  c->mode = was.mode;
  c->is_client = true;
  c->is_receiving = was.is_receiving;
  c->is_paused = was.is_paused;
  c->wants_control = was.wants_control;
  c->is_told = true; /* the next attempt has something to tell again */
  c->is_telling = was.is_telling;
  renew_rare(c->rare);
}

void ws_conn_open(struct ws_conn *c, enum ws_role role,
                  const struct ws_extension *agreed) {
  struct ws_loop *loop = c->stream.loop;
  ws_protocol_init(&c->protocol, role, &c->options->protocol);
  c->protocol.extension = *agreed;
  c->is_client = role == WS_CLIENT;
  c->state = WS_CONN_OPEN;
  c->was_opened = true;
  c->rest = NULL;
  c->heard = c->messaged = c->began = c->control_at = loop->tick;
  c->opened = loop->tick;
  c->control_spent = 0;
  ws_wheel_clear(&loop->wheel, &c->deadline);
  ws_retry_opened(c);
  if (c->server) ws_topic_opened(c);
  ws_conn_host(c)->opened(c);
  ws_conn_update(c);
}
