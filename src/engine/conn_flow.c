/* conn_flow.c: when a connection is read and when it has to be looked at.
 *
 * It has one deadline in the wheel, the earliest of all; reading only notes
 * the time, so the deadline may find when it comes that it has moved. What is
 * done then is the business of conn_deadline.c. */
#include "engine/conn_flow.h"

#define TELL_AGAIN 0.1 /* seconds, when there was no memory to tell the end */
#define LOOK_AGAIN 2.0 /* whether a peer that is not read is still there */

static void consider(uint32_t *next, uint32_t now, uint32_t tick) {
  if ((int32_t)(tick - now) < (int32_t)(*next - now)) *next = tick;
}

uint32_t ws_flow_jittered(const struct ws_conn *c, double seconds) {
  uint32_t h = (uint32_t)(c->id * 2654435761u) ^ c->deadline.heard * 40503u;
  double part = (double)(h >> 8 & 0xFFFF) / 65536.0;
  return ws_loop_ticks(seconds * (1.0 - 0.1 * part));
}

uint32_t ws_flow_ping_due(const struct ws_conn *c) {
  uint32_t last = c->deadline.heard;
  if (c->ping_at > 0) {
    uint32_t pinged = ws_loop_tick(c->stream.watch.loop, c->ping_at);
    if ((int32_t)(pinged - last) > 0) last = pinged;
  }
  return last + ws_flow_jittered(c, c->route->options.keepalive_interval);
}

uint32_t ws_flow_last_sign(const struct ws_conn *c) {
  uint32_t taken = c->stream.progress;
  return (int32_t)(taken - c->messaged) > 0 ? taken : c->messaged;
}

uint32_t ws_flow_brake_end(const struct ws_conn *c) {
  const struct ws_rate *rate = &c->route->options.message_rate;
  double over = c->rare->message_spent + 1 - rate->burst;
  return c->rare->message_at + ws_loop_ticks(over / rate->per_second);
}

/* The earliest tick at which there is something to look at. */
static uint32_t next_deadline(const struct ws_conn *c) {
  const struct ws_conn_options *o = &c->route->options;
  uint32_t now = c->stream.watch.loop->tick, next = now + WS_TICKS_MAX;
  if (c->stream.is_blocked && o->stall_timeout > 0)
    consider(&next, now, c->stream.progress + ws_loop_ticks(o->stall_timeout));
  if (c->is_tell_due) consider(&next, now, now + ws_loop_ticks(TELL_AGAIN));
  if (c->state == WS_CONN_CLOSED) return next;
  if (c->is_braked) consider(&next, now, ws_flow_brake_end(c));
  if ((c->is_close_left || c->is_close_pending) && o->close_timeout > 0)
    consider(&next, now, c->closing_since + ws_loop_ticks(o->close_timeout));
  if (c->state != WS_CONN_OPEN) return next;
  if (o->keepalive_interval > 0) consider(&next, now, ws_flow_ping_due(c));
  if (!ws_stream_is_reading(&c->stream))
    consider(&next, now, now + ws_loop_ticks(LOOK_AGAIN));
  if (ws_flow_is_silence_counted(c)) {
    if (o->keepalive_timeout > 0)
      consider(&next, now,
               c->deadline.heard + ws_loop_ticks(o->keepalive_timeout));
    if (o->idle_timeout > 0)
      consider(&next, now,
               ws_flow_last_sign(c) + ws_loop_ticks(o->idle_timeout));
  }
  if (ws_flow_is_unheard(c))
    consider(&next, now, c->messaged + ws_loop_ticks(WS_UNHEARD));
  if (o->max_lifetime > 0 && !c->is_close_pending)
    consider(&next, now, c->opened + ws_flow_jittered(c, o->max_lifetime));
  return next;
}

static bool has_only_later(const struct ws_conn *c) {
  return c->state == WS_CONN_OPEN && !c->stream.is_blocked &&
         !c->is_close_pending && !c->is_close_left && !c->is_tell_due &&
         !c->is_braked && ws_list_is_linked(&c->deadline.link);
}

bool ws_flow_wants_read(const struct ws_conn *c) {
  if (c->is_eof || c->stream.watch.fd < 0 || c->protocol.is_ended) return false;
  if (c->state == WS_CONN_CLOSING && !c->is_shutdown) return true;
  if (c->state != WS_CONN_OPEN && c->state != WS_CONN_CLOSING) return false;
  if (c->is_paused || c->is_braked || c->is_close_pending || c->rest)
    return false;
  /* what TLS holds back until it has read goes by reading alone */
  if (ws_flow_is_pressed(c) && !ws_stream_is_held(&c->stream)) return false;
  return ws_flow_wants(c) || ws_flow_has_room(c);
}

void ws_conn_update(struct ws_conn *c) {
  if (c->is_freed || c->state == WS_CONN_PENDING) return;
  struct ws_loop *loop = c->stream.watch.loop;
  bool was_reading = ws_stream_is_reading(&c->stream);
  bool is_reading = ws_flow_wants_read(c);
  if (!is_reading && ws_flow_is_pressed(c)) c->was_high = true;
  if (was_reading != is_reading) {
    ws_stream_want_read(&c->stream, is_reading);
    if (is_reading) c->deadline.heard = c->messaged = ws_loop_tick_now(loop);
  }
  /* hearing something only makes deadlines later: the one that is set will
   * find that out when it comes */
  if (was_reading == is_reading && has_only_later(c)) return;
  uint32_t next = next_deadline(c);
  if (!ws_list_is_linked(&c->deadline.link) ||
      (int32_t)(next - c->deadline.tick) < 0)
    ws_loop_deadline(loop, &c->deadline, next);
}

/* Is there something that can be delivered without reading? */
static inline bool is_due(const struct ws_conn *c) {
  if (!c->was_opened || c->is_told) return false;
  if (c->state == WS_CONN_CLOSED)
    return c->mode == WS_CALLBACK && ws_conn_has_queue(c) && ws_flow_wants(c);
  if (ws_conn_has_queue(c) && ws_flow_wants(c)) return !ws_flow_is_held(c);
  if (!ws_flow_has_input(c) || !ws_flow_may_parse(c)) return false;
  return ws_flow_wants(c) || ws_flow_has_room(c);
}

void ws_flow_deliver_later(struct ws_conn *c) {
  if (is_due(c)) ws_loop_again(c->stream.watch.loop, &c->stream.watch);
}

void ws_flow_drop_rest(struct ws_conn *c) {
  ws_mem_free(c->rest);
  c->rest = NULL;
}

void ws_flow_drop_input(struct ws_conn *c) {
  ws_protocol_free(&c->protocol);
  c->protocol.is_ended = true;
  ws_flow_drop_rest(c);
}

void ws_conn_resume(struct ws_conn *c) {
  if (c->is_freed || c->state == WS_CONN_PENDING) return;
  if (c->rest && c->rest->off == c->rest->len && !c->protocol.is_inflating &&
      !ws_flow_is_being_read(c))
    ws_flow_drop_rest(c);
  if (is_due(c)) ws_loop_again(c->stream.watch.loop, &c->stream.watch);
  if (c->is_close_pending || c->state == WS_CONN_CLOSED)
    ws_loop_late(c->stream.watch.loop, &c->stream.late);
  if (!ws_flow_is_being_read(c)) ws_conn_update(c);
}

void ws_conn_pause(struct ws_conn *c, bool on) {
  if (c->is_freed || c->is_paused == on) return;
  c->is_paused = on;
  if (!on) c->deadline.heard = ws_loop_tick_now(c->stream.watch.loop);
  ws_conn_resume(c);
}
