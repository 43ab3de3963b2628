/* conn_deadline.c: when a connection has to be looked at, and what is done
 * then: keepalive (RFC 6455 5.5.2), silence, stalls, lifetimes. A connection
 * has one deadline in the wheel, the earliest of all; reading only notes the
 * time, so the deadline may find when it comes that it has moved. */
#include "engine/client.h"
#include "engine/conn.h"
#include "engine/upgrade.h"
#include "protocol/compression.h"

#define TELL_AGAIN 0.1 /* seconds, when there was no memory to tell the end */

static void consider(uint32_t *next, uint32_t now, uint32_t tick) {
  if ((int32_t)(tick - now) < (int32_t)(*next - now)) *next = tick;
}

/* Up to a tenth earlier, so that many connections do not act as one. */
static uint32_t with_jitter(const struct ws_conn *c, double seconds) {
  uint32_t h = (uint32_t)(c->id * 2654435761u) ^ c->heard * 40503u;
  double part = (double)(h >> 8 & 0xFFFF) / 65536.0;
  return ws_loop_ticks(seconds * (1.0 - 0.1 * part));
}

static uint32_t ping_due(const struct ws_conn *c) {
  uint32_t last = c->heard;
  if (c->ping_at > 0) {
    uint32_t pinged = ws_loop_tick(c->stream.loop, c->ping_at);
    if ((int32_t)(pinged - last) > 0) last = pinged;
  }
  return last + with_jitter(c, c->options->keepalive_interval);
}

static bool is_silence_counted(const struct ws_conn *c) {
  return ws_stream_is_reading(&c->stream) && !c->rest;
}

/* The earliest tick at which on_deadline has something to look at. */
static uint32_t next_deadline(const struct ws_conn *c) {
  const struct ws_conn_options *o = c->options;
  uint32_t now = c->stream.loop->tick, next = now + WS_TICKS_MAX;
  if (c->stream.is_blocked && o->stall_timeout > 0)
    consider(&next, now, c->stream.progress + ws_loop_ticks(o->stall_timeout));
  if (c->is_tell_due) consider(&next, now, now + ws_loop_ticks(TELL_AGAIN));
  if (c->state == WS_CONN_CLOSED) return next;
  if ((c->is_close_left || c->is_close_pending) && o->close_timeout > 0)
    consider(&next, now, c->began + ws_loop_ticks(o->close_timeout));
  if (c->state != WS_CONN_OPEN) return next;
  if (is_silence_counted(c)) {
    if (o->keepalive_interval > 0) consider(&next, now, ping_due(c));
    if (o->keepalive_timeout > 0)
      consider(&next, now, c->heard + ws_loop_ticks(o->keepalive_timeout));
    if (o->idle_timeout > 0)
      consider(&next, now, c->messaged + ws_loop_ticks(o->idle_timeout));
  }
  if (o->max_lifetime > 0 && !c->is_close_pending)
    consider(&next, now, c->began + with_jitter(c, o->max_lifetime));
  return next;
}

static bool has_only_later(const struct ws_conn *c) {
  return c->state == WS_CONN_OPEN && !c->stream.is_blocked &&
         !c->is_close_pending && !c->is_close_left && !c->is_tell_due &&
         ws_list_is_linked(&c->deadline.link);
}

void ws_conn_update(struct ws_conn *c) {
  if (c->is_freed || c->state == WS_CONN_PENDING) return;
  struct ws_loop *loop = c->stream.loop;
  bool was_reading = ws_stream_is_reading(&c->stream);
  bool is_reading = ws_conn_wants_read(c);
  if (was_reading != is_reading) {
    ws_stream_want_read(&c->stream, is_reading);
    if (is_reading) c->heard = c->messaged = ws_loop_tick_now(loop);
  }
  /* hearing something only makes deadlines later: the one that is set will
   * find that out when it comes */
  if (was_reading == is_reading && has_only_later(c)) return;
  uint32_t next = next_deadline(c);
  if (!ws_list_is_linked(&c->deadline.link) ||
      (int32_t)(next - c->deadline.tick) < 0)
    ws_loop_deadline(loop, &c->deadline, next);
}

static bool is_past(const struct ws_conn *c, uint32_t since, double seconds) {
  return seconds > 0 &&
         (int32_t)(c->stream.loop->tick - since - ws_loop_ticks(seconds)) >= 0;
}

static void judge_silence(struct ws_conn *c) {
  const struct ws_conn_options *o = c->options;
  struct ws_loop *loop = c->stream.loop;
  if (!is_silence_counted(c)) return;
  if (is_past(c, c->heard, o->keepalive_timeout)) {
    if ((int32_t)(loop->grace - loop->tick) > 0) {
      /* we were held up ourselves: hear what has come meanwhile first */
      c->heard = loop->grace - ws_loop_ticks(o->keepalive_timeout);
      return;
    }
    ws_conn_cut(c, 1006, "keepalive timeout");
    return;
  }
  if (is_past(c, c->messaged, o->idle_timeout)) {
    ws_conn_close(c, 1001, (struct ws_slice){NULL, 0}, "idle timeout");
    return;
  }
  if (o->keepalive_interval > 0 && (int32_t)(loop->tick - ping_due(c)) >= 0) {
    ws_conn_ping(c, NULL, 0);
    ws_compression_forget(&c->protocol); /* idle: its memory is for others */
  }
}

void ws_conn_on_deadline(struct ws_deadline *d) {
  struct ws_conn *c = WS_LIST_ENTRY(d, struct ws_conn, deadline);
  const struct ws_conn_options *o = c->options;
  if (c->state == WS_CONN_PENDING) {
    if (c->is_client)
      ws_client_on_deadline(c);
    else
      ws_upgrade_on_deadline(c);
    return;
  }
  if (c->is_tell_due) {
    c->is_tell_due = false;
    ws_loop_late(c->stream.loop, &c->stream.late);
  }
  if (c->stream.is_blocked && is_past(c, c->stream.progress, o->stall_timeout))
    ws_conn_cut(c, 1006, "write stalled");
  else if (c->is_close_pending && is_past(c, c->began, o->close_timeout))
    ws_conn_answer_close(c);
  else if (c->is_close_left && c->state != WS_CONN_CLOSED &&
           is_past(c, c->began, o->close_timeout))
    ws_conn_cut(c, 1006, "close timeout");
  else if (c->state == WS_CONN_OPEN && !c->is_close_pending &&
           o->max_lifetime > 0 &&
           (int32_t)(c->stream.loop->tick - c->began -
                     with_jitter(c, o->max_lifetime)) >= 0)
    ws_conn_close(c, 1001, (struct ws_slice){NULL, 0}, "max lifetime");
  else if (c->state == WS_CONN_OPEN)
    judge_silence(c);
  if (c->state != WS_CONN_PENDING && !c->is_freed) ws_conn_update(c);
}
