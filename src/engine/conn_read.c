/* conn_read.c: what arrives on an open connection. Bytes are parsed where
 * they were read; what may not be parsed yet (a handler is at work, nobody
 * receives, our own queue is high, the turn's budget is spent, a pause) is
 * kept, and the descriptor is not read again before it is used up. */
#include "engine/conn_read.h"

#include <errno.h>
#include <string.h>

#include "engine/conn_event.h"
#include "engine/conn_flow.h"
#include "engine/conn_send.h"

#define INFLATED_PAGE 4096

/* A message, or a chunk of one, in the queue of the rare part. */
struct record {
  size_t len;
  uint8_t type, opcode;
  bool is_final;
};

static bool has_budget(const struct ws_conn *c) {
  return !ws_flow_is_being_read(c) || c->stream.watch.loop->input.budget > 0;
}

static size_t feed(struct ws_conn *c, struct ws_event *ev) {
  struct ws_input *in = &c->stream.watch.loop->input;
  uint8_t none[1];
  size_t used;
  if (ws_flow_is_being_read(c)) {
    used = ws_protocol_feed(&c->protocol, in->p, in->n, ev);
    in->p += used;
    in->n -= used;
  } else if (c->rest) {
    used = ws_protocol_feed(&c->protocol, c->rest->data + c->rest->off,
                            c->rest->len - c->rest->off, ev);
    c->rest->off += used;
  } else {
    used = ws_protocol_feed(&c->protocol, none, 0, ev);
  }
  return used;
}

/* What was inflated is work done: each page of it counts as a message. */
static void spend_budget(struct ws_input *in, const struct ws_event *ev) {
  uint64_t cost = ev->was_compressed ? 1 + ev->len / INFLATED_PAGE : 1;
  in->budget -= cost < in->budget ? cost : in->budget;
}

/* A message, or a chunk of one. */
static inline void count(struct ws_conn *c, const struct ws_event *ev) {
  c->messaged = c->stream.watch.loop->tick;
  if (ws_flow_is_being_read(c)) spend_budget(&c->stream.watch.loop->input, ev);
  c->route->traffic.bytes_in += ev->len;
}

static bool keeps_rate(struct ws_conn *c) {
  return c->route->options.message_rate.burst <= 0 || ws_conn_spend_message(c);
}

/* Is it one for the application? */
static bool take_message(struct ws_conn *c, const struct ws_event *ev) {
  if (ws_flow_is_closing(c) || !keeps_rate(c)) return false;
  c->route->traffic.messages_in++;
  count(c, ev);
  return true;
}

static bool take_chunk(struct ws_conn *c, const struct ws_event *ev) {
  if (ws_flow_is_closing(c) || (ev->is_final && !keeps_rate(c))) return false;
  c->route->traffic.messages_in += ev->is_final;
  count(c, ev);
  return ws_conn_takes_chunks(c);
}

/* It is kept by the connection. */
static void keep(struct ws_conn *c, const uint8_t *p, size_t n) {
  struct ws_rest *rest = ws_mem_alloc(sizeof *rest + n);
  if (!rest) {
    ws_conn_fail(c, 1011, "out of memory");
    return;
  }
  rest->off = 0;
  rest->len = n;
  if (n) memcpy(rest->data, p, n);
  c->rest = rest;
}

/* The turn's work of inflating is done. What has come is kept meanwhile, even
 * nothing: as long as there is a rest nothing is read, and silence is held
 * against nobody. */
static void put_off(struct ws_conn *c) {
  struct ws_input *in = &c->stream.watch.loop->input;
  bool is_read = ws_flow_is_being_read(c);
  if (is_read) {
    in->is_denied = in->budget == c->route->options.read_budget;
    in->budget = 0;
  }
  if (c->rest) return;
  keep(c, in->p, is_read ? in->n : 0);
  if (is_read) in->n = 0;
}

static bool parse(struct ws_conn *c, struct ws_event *ev) {
  while (ws_flow_has_input(c) && ws_flow_may_parse(c) && has_budget(c)) {
    feed(c, ev);
    if (ev->type == WS_EVENT_MESSAGE) {
      if (take_message(c, ev)) return true;
    } else if (ev->type == WS_EVENT_CHUNK) {
      if (take_chunk(c, ev)) return true;
    } else if (ev->type == WS_EVENT_LATER) {
      put_off(c);
      return false;
    } else {
      if (ws_conn_take_event(c, ev)) return true;
      if (c->is_control_due) return false;
    }
  }
  return false;
}

static bool is_control(const struct ws_event *ev) {
  return ev->type == WS_EVENT_PING || ev->type == WS_EVENT_PONG;
}

static bool unqueue(struct ws_conn *c, struct ws_event *ev) {
  struct ws_buf *q = &c->rare->queue;
  struct record r;
  memcpy(&r, ws_buf_begin(q), sizeof r);
  ev->type = (enum ws_event_type)r.type;
  ev->opcode = r.opcode;
  ev->is_final = r.is_final;
  ev->data = ws_buf_begin(q) + sizeof r;
  ev->len = r.len;
  ws_buf_consume(q, sizeof r + r.len); /* the bytes stay where they are */
  c->rare->queue_n--;
  if (r.type == WS_EVENT_CLOSE) {
    memcpy(&ev->code, ev->data, sizeof ev->code);
    return c->mode == WS_PULL;
  }
  if (ev->type == WS_EVENT_CHUNK) return ws_conn_takes_chunks(c);
  if (!is_control(ev)) return true;
  c->rare->queue_controls--;
  if (c->mode == WS_CALLBACK) return true;
  if (!c->is_freed) /* it was queued when messages were called out */
    ws_conn_keep_control(c, ev);
  return false;
}

bool ws_conn_next(struct ws_conn *c, struct ws_event *ev) {
  if (c->is_freed || c->is_control_due) {
    if (c->is_freed && !ws_conn_has_queue(c)) return false;
    if (c->is_control_due && c->state != WS_CONN_CLOSED) return false;
  }
  if (ws_flow_is_closing(c)) ws_conn_drop_queue(c);
  while (ws_conn_has_queue(c)) {
    if (ws_flow_is_held(c)) return false;
    if (unqueue(c, ev)) return true;
  }
  return parse(c, ev);
}

void ws_conn_release(struct ws_conn *c) {
  ws_protocol_release(&c->protocol);
  if (c->rare && !c->rare->queue_n && c->rare->queue.cap)
    ws_buf_free(&c->rare->queue);
}

bool ws_conn_enqueue(struct ws_conn *c, const struct ws_event *ev) {
  struct record head = {ev->len, (uint8_t)ev->type, ev->opcode,
                        ev->type == WS_EVENT_CHUNK && ev->is_final};
  struct ws_rare *r = ws_conn_rare(c);
  if (r && is_control(ev)) {
    if (r->queue_controls == WS_CONTROLS_MAX) return true;
    r->queue_controls++;
  }
  if (!r || !ws_buf_reserve(&r->queue, sizeof head + ev->len)) {
    ws_conn_fail(c, 1011, "out of memory");
    return false;
  }
  ws_buf_append(&r->queue, &head, sizeof head);
  ws_buf_append(&r->queue, ev->data, ev->len);
  r->queue_n++;
  r->is_marked = ev->type == WS_EVENT_CLOSE;
  return true;
}

/* One loss behind another, with nothing received in between, is told once: a
 * script that only sends would gather them without end. */
bool ws_conn_mark_loss(struct ws_conn *c) {
  struct ws_event ev = {.type = WS_EVENT_CLOSE,
                        .data = (const uint8_t *)&c->code,
                        .len = sizeof c->code};
  if (!c->rare->queue_n)
    ws_buf_free(&c->rare->queue); /* messages may have been dropped in it */
  else if (c->rare->is_marked)
    return true;
  return ws_conn_enqueue(c, &ev);
}

/* Nobody takes messages now; control frames behind them are seen all the
 * same, up to what receive_queue allows. */
static void read_ahead(struct ws_conn *c) {
  struct ws_event ev;
  while (!ws_flow_wants(c) && ws_flow_has_room(c) && !c->is_control_due &&
         parse(c, &ev)) {
    if (ws_flow_is_queue_full(c)) {
      c->rare->missed++;
      ws_conn_release(c);
    } else if (!ws_conn_enqueue(c, &ev)) {
      return;
    }
  }
}

static void deliver(struct ws_conn *c) {
  struct ws_event ev;
  while (ws_flow_wants(c) &&
         (ws_conn_has_queue(c) ||
          (ws_flow_has_input(c) && ws_flow_may_parse(c) && has_budget(c)))) {
    if (c->mode == WS_DISCARD || ws_flow_is_closing(c)) {
      while (ws_conn_next(c, &ev)) ws_conn_release(c);
      break;
    }
    if (ws_flow_is_held(c)) break;
    ws_conn_host(c)->readable(c);
  }
  read_ahead(c);
  ws_conn_release(c);
}

/* Is there any use for what is left of the input? */
static bool has_use(const struct ws_conn *c) {
  return c->state != WS_CONN_CLOSED && !c->protocol.is_ended;
}

void ws_conn_input(struct ws_conn *c, uint8_t *bytes, size_t n) {
  struct ws_input *in = &c->stream.watch.loop->input;
  if (in->owner) { /* accepted by a task that another's message has woken */
    if (n) keep(c, bytes, n);
    ws_loop_again(c->stream.watch.loop, &c->stream.watch);
    return;
  }
  *in = (struct ws_input){&c->stream, bytes, n, c->route->options.read_budget,
                          false};
  deliver(c);
  in->owner = NULL;
  if (in->n && has_use(c)) keep(c, in->p, in->n);
  in->n = 0;
}

/* The same from the bytes that were kept. */
static void go_through_rest(struct ws_conn *c) {
  struct ws_input *in = &c->stream.watch.loop->input;
  struct ws_rest *rest = c->rest;
  size_t off = rest ? rest->off : 0;
  *in = (struct ws_input){&c->stream, rest ? rest->data + off : NULL,
                          rest ? rest->len - off : 0,
                          c->route->options.read_budget, false};
  deliver(c);
  in->owner = NULL;
  if (!c->rest) return;
  if ((in->n || c->protocol.is_inflating) && has_use(c))
    c->rest->off = c->rest->len - in->n;
  else
    ws_flow_drop_rest(c);
  in->n = 0;
}

static void ended(struct ws_conn *c) {
  c->is_eof = true;
  if (c->is_close_pending) {
    ws_conn_answer_close(c);
    return;
  }
  if (ws_stream_was_ended_well(&c->stream))
    ws_conn_end(c, 1006, "connection closed without a close frame");
  else
    ws_conn_end(c, 1006, "eof without close_notify");
}

/* As ws_conn_input; bytes of a message that is not complete, some of which may
 * have been read straight to their place, are a sign of life too. */
static void input_noted(struct ws_conn *c, size_t n, bool has_direct) {
  struct ws_loop *loop = c->stream.watch.loop;
  uint64_t had = ws_protocol_gathered(&c->protocol);
  ws_conn_input(c, loop->read_buffer, n);
  if (has_direct || ws_protocol_gathered(&c->protocol) != had)
    c->messaged = loop->tick;
}

static void read_more(struct ws_conn *c) {
  struct ws_loop *loop = c->stream.watch.loop;
  size_t room = 0, over = 0;
  uint8_t *space = ws_protocol_space(&c->protocol, &room);
  struct iovec iov[2] = {{space, room}, {loop->read_buffer, WS_READ_BUFFER}};
  ssize_t r = ws_stream_read(&c->stream, space ? iov : iov + 1, space ? 2 : 1);
  if (r == -EAGAIN) return;
  if (r == 0) {
    ended(c);
    return;
  }
  if (r < 0) {
    c->stream.error = (uint16_t)-r;
    ws_loop_late(loop, &c->stream.late);
    return;
  }
  c->deadline.heard = loop->tick;
  over = (size_t)r;
  if (space) {
    size_t direct = over < room ? over : room;
    ws_protocol_filled(&c->protocol, direct);
    ws_loop_spend(loop, direct);
    over -= direct;
  }
  /* a full buffer: there may be more, which the next turn will see */
  if (c->route->options.idle_timeout > 0)
    input_noted(c, over, space != NULL);
  else
    ws_conn_input(c, loop->read_buffer, over);
}

/* Is there something to go through that was read before? The end of a message
 * may have been read straight to its place, with nothing behind it. */
static bool has_kept(const struct ws_conn *c) {
  return c->rest || ws_conn_has_queue(c) || ws_protocol_has_event(&c->protocol);
}

/* Has it had something of this read? */
static bool has_taken(const struct ws_conn *c) {
  const struct ws_input *in = &c->stream.watch.loop->input;
  return in->budget < c->route->options.read_budget && !in->is_denied;
}

void ws_conn_read(struct ws_conn *c) {
  bool has_had = false;
  if (!ws_loop_prepare(c->stream.watch.loop)) {
    ws_conn_cut(c, 1006, "out of memory");
    return;
  }
  ws_stream_cork(&c->stream);
  if (has_kept(c)) {
    go_through_rest(c);
    has_had = has_taken(c);
  }
  if (!c->rest && ws_flow_wants_read(c) && (c->stream.watch.want & WS_READ))
    read_more(c);
  ws_stream_uncork(&c->stream);
  /* else who has more and more to be inflated would always come first */
  if (c->rest && ws_flow_may_parse(c) && (has_had || has_taken(c)))
    ws_loop_behind(c->stream.watch.loop, &c->stream.watch);
  ws_conn_resume(c); /* the budget, or a limit, may have left something */
}
