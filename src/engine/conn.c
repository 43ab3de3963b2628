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

#include "engine/conn_event.h"
#include "engine/conn_flow.h"
#include "engine/conn_read.h"
#include "engine/conn_send.h"
#include "transport/linger.h"

/* What a step towards being open takes, in microseconds, at least. */
#define PLAIN_COST 100
#define TLS_COST 500

/* Of one that is over, or was never begun: a server's route goes with the
 * server, a client's with its object, and somebody may still look. */
static struct ws_route no_route;

void ws_conn_blank(struct ws_conn *c) {
  c->is_freed = true;
  c->state = WS_CONN_CLOSED;
  c->route = &no_route;
  c->latency = -1;
}

static const struct ws_keeper *keeper_of(const struct ws_conn *c) {
  return c->route->keeper;
}

/* ---- the end ---- */

static const char *describe(int error) {
  switch (error) {
  case ECONNRESET:
  case EPIPE: return "connection reset";
  case ETIMEDOUT: return "connection timed out";
  case ENOMEM: return "out of memory";
  case ENOSPC: return "too many watched descriptors";
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
    if (!reason.n) reason = (struct ws_slice){cause, strlen(cause)};
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
  ws_list_remove(&c->link); /* first: a handler below may end everything */
  if (c->ahead) c->ahead->calls->leave(c);
  ws_wheel_clear(&c->stream.watch.loop->wheel, &c->deadline);
  ws_conn_drop_writer(c);
  ws_flow_drop_input(c);
  if (c->phase) c->phase->calls->free(c);
  ws_stream_close(&c->stream);
}

static void release(struct ws_conn *c) {
  c->is_freed = true;
  c->state = WS_CONN_CLOSED;
  keeper_of(c)->stop(c);
  give_back(c);
}

void ws_conn_leave_route(struct ws_conn *c) {
  c->route = &no_route;
}

static void free_conn(struct ws_conn *c) {
  struct ws_host *host = ws_conn_host(c);
  const struct ws_keeper *keeper = keeper_of(c);
  release(c);
  keeper->left(c);
  host->free_conn(c);
}

void ws_conn_abandon(struct ws_conn *c) {
  if (!c->stream.watch.loop || c->is_freed) return;
  ws_conn_answer_close(c);
  if (c->state == WS_CONN_OPEN || c->state == WS_CONN_CLOSING)
    ws_conn_send_close(c, 1001, (struct ws_slice){NULL, 0});
  if (!c->is_cut) {
    ws_stream_flush(&c->stream);
    ws_stream_farewell(&c->stream);
  }
  c->is_told = true; /* the host is not called */
  release(c);
  if (!ws_conn_is_client(c)) ws_conn_leave_route(c);
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
    while (c->rare->n_topics)
      ws_text_release(c->rare->topics[--c->rare->n_topics]);
    ws_mem_free(c->rare->topics);
  }
  if (c->route != &no_route) keeper_of(c)->dispose(c);
  ws_conn_blank(c);
  ws_mem_free(c->rare);
  c->rare = NULL;
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
  struct ws_loop *loop = s->watch.loop;
  bool is_over = c->is_eof;
  int fd = ws_stream_detach(s);
  if (is_over)
    ws_loop_close(loop, fd);
  else
    ws_linger_start(loop, fd,
                    ws_conn_is_client(c) ? WS_LINGER_SECOND : WS_LINGER_FIRST);
}

/* Nobody has heard of a server's connection before it was open. */
static bool has_to_tell(const struct ws_conn *c) {
  return !c->is_told && (c->was_opened || ws_conn_is_client(c));
}

static void tell(struct ws_conn *c) {
  if (!has_to_tell(c)) return;
  if (c->mode == WS_CALLBACK && ws_conn_has_queue(c)) {
    ws_conn_host(c)->ended(c);
    ws_flow_deliver_later(c); /* the end of a handler comes back here */
    return;
  }
  c->is_told = true;
  keeper_of(c)->lost(c);
  if (ws_conn_host(c)->closed(c)) {
    keeper_of(c)->told(c);
    return;
  }
  c->is_told = false;
  c->is_tell_due = true;
}

/* One more step of the end, as far as it can go now. */
static void go(struct ws_conn *c) {
  if (c->was_opened) ws_flow_drop_input(c);
  if (c->phase && ws_conn_is_client(c)) c->phase->calls->free(c);
  let_go(c);
  tell(c);
  if (has_to_tell(c) || c->stream.watch.fd >= 0)
    ws_conn_update(c);
  else if (!keeper_of(c)->keeps(c))
    free_conn(c);
}

static void after_flush(struct ws_conn *c) {
  struct ws_stream *s = &c->stream;
  if (c->rare && c->rare->has_pong && !s->is_blocked) {
    c->rare->has_pong = false;
    c->rare->pongs = 0;
    ws_conn_send_control(c, WS_OP_PONG, c->rare->pong, c->rare->pong_len);
  }
  if (s->queued > c->route->options.high_water) c->was_high = true;
  bool was_high = c->was_high && !c->is_backed_up;
  size_t waits = c->is_held ? ws_conn_buffered(c) : s->queued;
  if ((was_high || c->is_drain_awaited) && waits <= ws_conn_low_water(c)) {
    c->needs_empty = false;
    c->was_high = c->was_high && !was_high;
    c->is_drain_awaited = false;
    ws_conn_host(c)->drained(c, was_high);
    ws_conn_resume(c);
  }
  if (c->is_close_sent && !c->is_close_left && ws_stream_pending(s) == 0) {
    c->is_close_left = true;
    c->closing_since = s->watch.loop->tick;
  }
}

static void on_late(struct ws_late *late) {
  struct ws_stream *s = WS_LIST_ENTRY(late, struct ws_stream, late);
  struct ws_conn *c = WS_LIST_ENTRY(s, struct ws_conn, stream);
  if (c->ahead) c->ahead->calls->catch_up(c);
  if (!s->is_blocked) ws_stream_flush(s);
  if (c->is_held && !s->is_blocked) {
    ws_conn_follow(c, false);
    if (!s->is_blocked) ws_stream_flush(s);
  }
  if (c->ahead) c->ahead->calls->note(c);
  if (s->error) {
    end_broken(c);
  } else if (c->state == WS_CONN_OPEN || c->state == WS_CONN_CLOSING) {
    after_flush(c);
    if (c->is_close_pending && ws_conn_may_answer_close(c))
      ws_conn_answer_close(c);
  } else if (c->state == WS_CONN_PENDING && c->phase) {
    c->phase->calls->after_flush(c);
  }
  if (c->state == WS_CONN_CLOSED)
    go(c);
  else
    ws_conn_update(c);
}

/* A connection that is not open. */
static void begin(struct ws_conn *c, uint8_t got) {
  struct ws_watch *w = &c->stream.watch;
  struct ws_loop *loop = w->loop;
  uint32_t cost = c->stream.tls ? TLS_COST : PLAIN_COST;
  if (!ws_loop_begins(loop, w, got, cost)) return;
  double since = ws_loop_now(loop);
  if (got & WS_DEAF) ws_stream_fail(&c->stream, w->error);
  c->phase->calls->on_ready(c, got);
  ws_loop_begun(loop, since, cost);
}

void ws_conn_on_ready(struct ws_watch *w) {
  struct ws_stream *s = WS_LIST_ENTRY(w, struct ws_stream, watch);
  struct ws_conn *c = WS_LIST_ENTRY(s, struct ws_conn, stream);
  uint8_t got = w->got;
  w->got = 0;
  if (c->state == WS_CONN_PENDING) {
    begin(c, got);
    return;
  }
  if (got & (WS_WRITE | WS_DEAF)) {
    if (got & WS_DEAF) ws_stream_fail(s, w->error);
    ws_stream_flush(s);
    ws_loop_late(s->watch.loop, &s->late);
  }
  if (got & (WS_READ | WS_AGAIN)) ws_conn_read(c);
  if (c->state == WS_CONN_CLOSED) ws_loop_late(s->watch.loop, &s->late);
}

void ws_conn_init(struct ws_conn *c, struct ws_loop *loop,
                  struct ws_route *route, int fd, uint64_t id) {
  ws_stream_init(&c->stream, loop, fd, ws_conn_on_ready, on_late);
  ws_deadline_init(&c->deadline);
  ws_list_init(&c->link);
  c->state = WS_CONN_PENDING;
  c->is_freed = false;
  c->route = route;
  c->id = id;
  c->latency = -1;
  c->code = 1006;
  c->deadline.heard = c->messaged = loop->tick;
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
  ws_conn_init(c, was.stream.watch.loop, was.route, -1, was.id);
  c->stream.is_secure = was.stream.is_secure;
  c->user = was.user;
  c->meta = was.meta;
  c->rare = was.rare;
  c->cause = was.cause;
  c->code = was.code;
  c->busy = was.busy;
  c->mode = was.mode;
  c->protocol.is_client = true;
  c->is_retrying = was.is_retrying;
  c->is_unheard = was.is_unheard;
  c->is_receiving = was.is_receiving;
  c->is_paused = was.is_paused;
  c->wants_control = was.wants_control;
  c->is_told = true; /* the next attempt has something to tell again */
  c->is_telling = was.is_telling;
  renew_rare(c->rare);
}

void ws_conn_open(struct ws_conn *c, enum ws_role role,
                  const struct ws_extension *agreed) {
  struct ws_loop *loop = c->stream.watch.loop;
  ws_protocol_init(&c->protocol, role, &c->route->options.protocol);
  c->protocol.extension = *agreed;
  c->state = WS_CONN_OPEN;
  c->was_opened = true;
  c->rest = NULL;
  c->deadline.heard = c->messaged = c->opened = c->control_at = loop->tick;
  c->control_spent = 0;
  ws_wheel_clear(&loop->wheel, &c->deadline);
  keeper_of(c)->opened(c);
  ws_conn_host(c)->opened(c);
  ws_conn_update(c);
}
