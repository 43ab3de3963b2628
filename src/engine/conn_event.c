/* conn_event.c: what an event means to a connection: the control frames of
 * RFC 6455 5.5, the closing handshake, and the rates a peer has to keep.
 * Where events come from is the business of conn_read.c. */
#include "engine/conn_event.h"

#include <string.h>

#include "engine/conn_send.h"
#include "protocol/frame.h"

/* A token bucket. True while the rate is kept. Zeros are a full one. */
static bool spend(const struct ws_rate *rate, double *spent, uint32_t *at,
                  uint32_t tick) {
  if (rate->burst <= 0) return true;
  *spent -= (double)(tick - *at) * WS_TICK * rate->per_second;
  if (*spent < 0) *spent = 0;
  *at = tick;
  if (*spent + 1 > rate->burst) return false;
  *spent += 1;
  return true;
}

static bool spend_control(struct ws_conn *c) {
  double spent = c->control_spent;
  bool is_kept = spend(&c->route->options.control_rate, &spent, &c->control_at,
                       c->stream.watch.loop->tick);
  c->control_spent = (float)spent;
  if (!is_kept) ws_conn_fail(c, 1008, "control frame flood");
  return is_kept;
}

bool ws_conn_spend_message(struct ws_conn *c) {
  struct ws_rare *r;
  if (!(r = ws_conn_rare(c))) return true;
  const struct ws_rate *rate = &c->route->options.message_rate;
  bool is_kept =
    spend(rate, &r->message_spent, &r->message_at, c->stream.watch.loop->tick);
  if (c->route->options.waits_for_rate) {
    if (!is_kept) r->message_spent += 1;
    c->is_braked = r->message_spent + 1 > rate->burst;
    return true;
  }
  if (is_kept) return true;
  ws_conn_fail(c, 1008, "message flood");
  return false;
}

/* 5.5.3: while bytes are refused only the latest of many pongs is owed. */
static void answer_ping(struct ws_conn *c, const struct ws_event *ev) {
  if (!c->stream.is_blocked) {
    if (c->rare) c->rare->pongs = 0;
  } else {
    struct ws_rare *r = ws_conn_rare(c);
    if (!r) return;
    if (r->pongs >= WS_PONGS_MAX) {
      r->has_pong = true;
      r->pong_len = (uint8_t)ev->len;
      memcpy(r->pong, ev->data, ev->len);
      return;
    }
    r->pongs++;
  }
  ws_conn_send_control(c, WS_OP_PONG, ev->data, ev->len);
}

/* Is it the answer to our last ping? */
static bool is_answer(const struct ws_conn *c, const struct ws_event *ev) {
  const struct ws_rare *r = c->rare;
  if (c->ping_at <= 0) return false;
  if (r && r->has_ping)
    return ev->len == r->ping_len && memcmp(ev->data, r->ping, ev->len) == 0;
  return ev->len == sizeof c->ping_at &&
         memcmp(ev->data, &c->ping_at, ev->len) == 0;
}

/* One for each ping of ours costs the peer nothing; more are a flood. */
static bool is_asked_for(struct ws_conn *c) {
  if (!c->pings) return spend_control(c);
  c->pings--;
  return true;
}

static void take_pong(struct ws_conn *c, const struct ws_event *ev) {
  if (!is_answer(c, ev)) return;
  c->latency = (float)(ws_loop_now(c->stream.watch.loop) - c->ping_at);
  c->ping_at = 0;
}

void ws_conn_keep_control(struct ws_conn *c, const struct ws_event *ev) {
  uint8_t head[2] = {(uint8_t)ev->type, (uint8_t)ev->len};
  struct ws_rare *r = ws_conn_rare(c);
  if (!r || !ws_buf_reserve(&r->controls, sizeof head + ev->len)) {
    ws_conn_fail(c, 1011, "out of memory");
    return;
  }
  if (r->controls_n == WS_CONTROLS_MAX) return;
  ws_buf_append(&r->controls, head, sizeof head);
  ws_buf_append(&r->controls, ev->data, ev->len);
  r->controls_n++;
  if (c->mode == WS_PULL && !c->is_telling) c->is_control_due = true;
  ws_conn_host(c)->control(c);
}

bool ws_conn_next_control(struct ws_conn *c, struct ws_event *ev) {
  struct ws_rare *r = c->rare;
  uint8_t head[2];
  c->is_control_due = false;
  if (!r || !r->controls_n) return false;
  memcpy(head, ws_buf_begin(&r->controls), sizeof head);
  ev->type = (enum ws_event_type)head[0];
  ev->len = head[1];
  ev->data = ws_buf_begin(&r->controls) + sizeof head;
  ws_buf_consume(&r->controls, sizeof head + ev->len);
  r->controls_n--;
  return true;
}

/* Where messages are called out, pings and pongs are between them; where they
 * are pulled, they do not wait for whoever pulls. */
static bool is_for_application(struct ws_conn *c, const struct ws_event *ev) {
  if (!c->wants_control) return false;
  if (c->state != WS_CONN_OPEN && !c->is_shutdown) return false;
  if (c->mode == WS_CALLBACK) return true;
  ws_conn_keep_control(c, ev);
  return false;
}

/* 5.5.1: what the peer gave is echoed, the reason as well. */
static void echo_close(struct ws_conn *c, int code, struct ws_slice reason) {
  if (!c->is_close_sent) ws_conn_send_close(c, code, reason);
  ws_conn_end(c, code, NULL);
}

void ws_conn_answer_close(struct ws_conn *c) {
  const struct ws_rare *r = c->rare;
  if (!c->is_close_pending) return;
  c->is_close_pending = false;
  echo_close(c, r->peer_code, (struct ws_slice){r->reason, r->reason_len});
}

bool ws_conn_may_answer_close(struct ws_conn *c) {
  struct ws_host *host = ws_conn_host(c);
  if (c->busy || c->has_writer) return false;
  if (!ws_conn_has_queue(c)) return true;
  return c->mode == WS_PULL && !host->is_at_work(c);
}

/* The peer's half of the closing handshake. What came before it is handled
 * first, so that its answers still go out; but the peer is not kept waiting
 * longer than close_timeout. */
static void take_close(struct ws_conn *c, const struct ws_event *ev) {
  struct ws_rare *r = ws_conn_rare(c);
  if (!c->is_ours) ws_conn_set_reason(c, ev->data, ev->len);
  if (c->is_close_sent || !r) {
    echo_close(c, ev->code, (struct ws_slice){(char *)ev->data, ev->len});
    return;
  }
  r->peer_code = ev->code;
  c->is_close_pending = true;
  c->closing_since = c->stream.watch.loop->tick;
  if (ws_conn_may_answer_close(c)) ws_conn_answer_close(c);
}

bool ws_conn_take_event(struct ws_conn *c, const struct ws_event *ev) {
  switch (ev->type) {
  case WS_EVENT_PING:
    if (!spend_control(c)) return false;
    answer_ping(c, ev);
    return is_for_application(c, ev);
  case WS_EVENT_PONG:
    if (!is_asked_for(c)) return false;
    take_pong(c, ev);
    return is_for_application(c, ev);
  case WS_EVENT_CLOSE: take_close(c, ev); return false;
  case WS_EVENT_ERROR: ws_conn_fail(c, ev->code, ev->why); return false;
  case WS_EVENT_CHUNK:
  case WS_EVENT_MESSAGE:
  case WS_EVENT_LATER:
  case WS_EVENT_NONE: break;
  }
  return false;
}
