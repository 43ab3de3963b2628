/* conn_flow.h: may a connection read, parse, deliver, and when has it to be
 * looked at? Whoever changes something of that calls ws_conn_resume. */
#ifndef EVWS_CONN_FLOW_H
#define EVWS_CONN_FLOW_H

#include "engine/conn_base.h"

#define WS_QUEUE_MESSAGES 256 /* receive_queue counts things beside bytes */

/* ---- predicates: inline, for each message asks them ---- */

/* What comes is discarded: we have said Close. */
static inline bool ws_flow_is_closing(const struct ws_conn *c) {
  return c->state == WS_CONN_CLOSING && !c->is_shutdown;
}

/* Does the application want a message now? */
static inline bool ws_flow_wants(const struct ws_conn *c) {
  if (ws_flow_is_closing(c) || c->mode == WS_DISCARD) return true;
  if (c->is_control_due && c->state != WS_CONN_CLOSED) return false;
  if (c->mode == WS_PULL) return c->is_receiving;
  return c->busy < c->route->options.concurrency;
}

/* Our own queue is high: handlers, which may answer, are not called before
 * the peer has read some of it. Who pulls brakes by not pulling, and what is
 * discarded is not answered: else two ends that both wait for the other to
 * read would stall. */
static inline bool ws_flow_is_pressed(const struct ws_conn *c) {
  if (c->stream.queued <= c->route->options.high_water && !c->is_backed_up)
    return false;
  return c->mode == WS_CALLBACK && !c->route->options.read_ahead;
}

static inline bool ws_flow_may_parse(const struct ws_conn *c) {
  if (c->state != WS_CONN_OPEN && c->state != WS_CONN_CLOSING) return false;
  if (c->is_close_pending || c->protocol.is_ended) return false;
  if (ws_flow_is_closing(c)) return true; /* what comes is discarded */
  return !c->is_paused && !c->is_braked && !ws_flow_is_pressed(c);
}

static inline bool ws_flow_is_queue_full(const struct ws_conn *c) {
  const struct ws_rare *r = c->rare;
  uint32_t n = r ? r->queue_n - r->queue_controls : 0;
  return n >= WS_QUEUE_MESSAGES ||
         (n && r->queue.len >= c->route->options.receive_queue);
}

/* Is there room for a message that nobody takes now? */
static inline bool ws_flow_has_room(const struct ws_conn *c) {
  return !ws_flow_is_queue_full(c) || c->drops_unread;
}

static inline bool ws_flow_is_being_read(const struct ws_conn *c) {
  return c->stream.watch.loop->input.owner == &c->stream;
}

/* Handlers are not called now: a pause, or our own queue is high. */
static inline bool ws_flow_is_held(const struct ws_conn *c) {
  return c->state == WS_CONN_OPEN && c->mode == WS_CALLBACK &&
         (c->is_paused || ws_flow_is_pressed(c));
}

static inline size_t ws_flow_input_left(const struct ws_conn *c) {
  if (ws_flow_is_being_read(c)) return c->stream.watch.loop->input.n;
  return c->rest ? c->rest->len - c->rest->off : 0;
}

static inline bool ws_flow_has_input(const struct ws_conn *c) {
  return ws_flow_input_left(c) > 0 || ws_protocol_has_event(&c->protocol);
}

/* Silence is held against the peer only while it is listened to. */
static inline bool ws_flow_is_silence_counted(const struct ws_conn *c) {
  return ws_stream_is_reading(&c->stream) && !c->rest;
}

/* ---- deadlines, in ticks ---- */

/* A client whose messages nobody has ever received, and whose queue is full,
 * is read on all the same after a while, and what comes is dropped: else it
 * would answer no Ping and no Close. */
#define WS_UNHEARD 2.0 /* seconds */
static inline bool ws_flow_is_unheard(const struct ws_conn *c) {
  return c->is_unheard && c->mode == WS_PULL && !c->drops_unread &&
         ws_flow_is_queue_full(c);
}

/* Up to a tenth earlier, so that many connections do not act as one. */
uint32_t ws_flow_jittered(const struct ws_conn *c, double seconds);

/* When a braked connection is read again. */
uint32_t ws_flow_brake_end(const struct ws_conn *c);

/* When the next keepalive ping is due. */
uint32_t ws_flow_ping_due(const struct ws_conn *c);

/* When there was a sign of life last: a message, bytes of one, or bytes of
 * ours that the peer took. */
uint32_t ws_flow_last_sign(const struct ws_conn *c);

/* ---- changes ---- */

/* Does the connection want bytes from its descriptor? */
bool ws_flow_wants_read(const struct ws_conn *c);

/* Something has changed that a deadline or the watching depends on. */
void ws_conn_update(struct ws_conn *c);

/* Deliveries may go on: mode, receiver, busy or pause changed. */
void ws_conn_resume(struct ws_conn *c);
void ws_conn_pause(struct ws_conn *c, bool on);

/* In the next turn, if there is something and it may be. */
void ws_flow_deliver_later(struct ws_conn *c);

/* The bytes that were kept have been used up. */
void ws_flow_drop_rest(struct ws_conn *c);

/* Nothing of what was read is parsed any more: it is over. */
void ws_flow_drop_input(struct ws_conn *c);

#endif
