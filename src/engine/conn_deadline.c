/* conn_deadline.c: what time does to an open connection: keepalive (RFC 6455
 * 5.5.2), silence, stalls, lifetimes. When it is looked at is the business of
 * conn_flow.c. */
#include "engine/conn_deadline.h"

#include "engine/conn.h"
#include "engine/conn_event.h"
#include "engine/conn_flow.h"
#include "engine/conn_send.h"
#include "protocol/compression.h"

static bool is_past(const struct ws_conn *c, uint32_t since, double seconds) {
  return seconds > 0 && (int32_t)(c->stream.watch.loop->tick - since -
                                  ws_loop_ticks(seconds)) >= 0;
}

/* Nobody receives: its Pings and Close are heard all the same. */
static void judge_unheard(struct ws_conn *c) {
  if (!ws_flow_is_unheard(c) || !is_past(c, c->messaged, WS_UNHEARD)) return;
  c->drops_unread = true;
  ws_conn_resume(c);
}

/* Nothing is read now, so an end is not heard of. What was read and not taken
 * yet may be the peer's Close: that comes first. */
static void judge_unread(struct ws_conn *c) {
  struct ws_io *io = c->stream.watch.loop->io;
  uint8_t byte;
  if (ws_stream_is_reading(&c->stream) || c->is_eof) return;
  int fd = c->stream.watch.fd, gone = io->ops->hangup(io, fd);
  if (gone < 0) {
    c->stream.error = (uint16_t)-gone;
    ws_loop_late(c->stream.watch.loop, &c->stream.late);
  } else if (gone && !c->rest && !ws_conn_has_queue(c) &&
             io->ops->peek(io, fd, &byte, 1) == 0) {
    c->is_eof = true;
    ws_conn_end(c, 1006, "connection closed without a close frame");
  }
}

/* Has a ping gone out since the peer was last heard? */
static bool was_asked(const struct ws_conn *c) {
  uint32_t asked = ws_loop_tick(c->stream.watch.loop, c->ping_at);
  return c->ping_at > 0 && (int32_t)(asked - c->deadline.heard) >= 0;
}

static void judge_silence(struct ws_conn *c) {
  const struct ws_conn_options *o = &c->route->options;
  struct ws_loop *loop = c->stream.watch.loop;
  if (!ws_flow_is_silence_counted(c)) return;
  if (is_past(c, c->deadline.heard, o->keepalive_timeout)) {
    if (o->keepalive_interval > 0 && !was_asked(c)) {
      /* we were held up ourselves: it has as long as ever to answer */
      c->deadline.heard = loop->tick - ws_loop_ticks(o->keepalive_interval);
      ws_conn_ping(c, NULL, 0);
      return;
    }
    ws_conn_cut(c, 1006, "keepalive timeout");
    return;
  }
  if (is_past(c, ws_flow_last_sign(c), o->idle_timeout))
    ws_conn_close(c, 1001, (struct ws_slice){NULL, 0}, "idle timeout");
}

/* Also while nothing is read: a proxy wants to hear something, and a write
 * that fails tells of a peer that is gone. */
static void judge_ping(struct ws_conn *c) {
  if (c->state != WS_CONN_OPEN || c->route->options.keepalive_interval <= 0)
    return;
  if ((int32_t)(c->stream.watch.loop->tick - ws_flow_ping_due(c)) < 0) return;
  ws_conn_ping(c, NULL, 0);
  ws_compression_forget(&c->protocol); /* idle: its memory is for others */
}

/* message_rate allows one more message. */
static void judge_brake(struct ws_conn *c) {
  uint32_t tick = c->stream.watch.loop->tick;
  if (!c->is_braked || (int32_t)(tick - ws_flow_brake_end(c)) < 0) return;
  c->is_braked = false;
  ws_conn_resume(c);
}

void ws_conn_on_deadline(struct ws_deadline *d) {
  struct ws_conn *c = WS_LIST_ENTRY(d, struct ws_conn, deadline);
  const struct ws_conn_options *o = &c->route->options;
  if (c->state == WS_CONN_PENDING) {
    c->phase->calls->on_deadline(c);
    return;
  }
  if (c->is_tell_due) {
    c->is_tell_due = false;
    ws_loop_late(c->stream.watch.loop, &c->stream.late);
  }
  judge_brake(c);
  if (c->stream.is_blocked && is_past(c, c->stream.progress, o->stall_timeout))
    ws_conn_cut(c, 1006, "write stalled");
  else if (c->is_close_pending &&
           is_past(c, c->closing_since, o->close_timeout))
    ws_conn_answer_close(c);
  else if (c->is_close_left && c->state != WS_CONN_CLOSED &&
           is_past(c, c->closing_since, o->close_timeout))
    ws_conn_cut(c, 1006, "close timeout");
  else if (c->state == WS_CONN_OPEN && !c->is_close_pending &&
           o->max_lifetime > 0 &&
           (int32_t)(c->stream.watch.loop->tick - c->opened -
                     ws_flow_jittered(c, o->max_lifetime)) >= 0)
    ws_conn_close(c, 1001, (struct ws_slice){NULL, 0}, "max lifetime");
  else if (c->state == WS_CONN_OPEN) {
    judge_silence(c);
    judge_ping(c);
    judge_unheard(c);
    judge_unread(c);
  }
  ws_conn_update(c);
}
