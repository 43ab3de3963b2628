/* wslay: the same stream at an endpoint of ours and at one of wslay, a library
 * written by others: both take it or both refuse it, with the same messages
 * before. Where they differ for a reason, it stands in `is_excused`. */
#include "kit/fuzz.h"

#include <stdlib.h>
#include <wslay/wslay.h>

#include "kit/model.h"
#include "protocol/protocol.h"

#define MESSAGE_MAX 65536

/* wslay's endpoint, and what it has said. */
struct peer {
  wslay_event_context_ptr ctx;
  const uint8_t *bytes;
  size_t n;
  struct model_events events;
  bool has_odd_close; /* of one byte */
};

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *to, size_t n,
                       int flags, void *user) {
  struct peer *p = user;
  (void)flags;
  if (p->n == 0) {
    wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
    return -1;
  }
  if (n > p->n) n = p->n;
  memcpy(to, p->bytes, n);
  p->bytes += n;
  p->n -= n;
  return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *bytes,
                       size_t n, int flags, void *user) {
  (void)ctx;
  (void)bytes;
  (void)flags;
  (void)user;
  return (ssize_t)n;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *to, size_t n,
                   void *user) {
  (void)ctx;
  (void)user;
  memset(to, 0, n);
  return 0;
}

static void on_message(wslay_event_context_ptr ctx,
                       const struct wslay_event_on_msg_recv_arg *arg,
                       void *user) {
  struct peer *p = user;
  struct ws_event ev = {.opcode = arg->opcode};
  size_t skip = 0;
  (void)ctx;
  ev.type = arg->opcode == WSLAY_PING   ? WS_EVENT_PING
            : arg->opcode == WSLAY_PONG ? WS_EVENT_PONG
                                        : WS_EVENT_MESSAGE;
  if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
    ev.type = WS_EVENT_CLOSE;
    ev.code = arg->status_code ? arg->status_code : 1005;
    p->has_odd_close = arg->msg_length == 1;
    skip = arg->msg_length >= 2 ? 2 : 0;
  }
  ev.len = arg->msg_length - skip;
  ev.data = ev.len ? arg->msg + skip : NULL;
  model_add(&p->events, &ev);
}

/* Feeds it; true when it has refused something, for which an error with the
 * code that it closes with is added to its events. */
static bool feed_peer(struct peer *p, const uint8_t *bytes, size_t n) {
  p->bytes = bytes;
  p->n = n;
  wslay_event_recv(p->ctx);
  if (wslay_event_get_read_enabled(p->ctx)) return false;
  if (wslay_event_get_close_received(p->ctx)) return false;
  wslay_event_send(p->ctx);
  /* A frame that is malformed by itself is answered without a code. */
  unsigned code = wslay_event_get_status_code_sent(p->ctx);
  struct ws_event ev = {.type = WS_EVENT_ERROR};
  ev.code = (uint16_t)(code == 1005 ? 1002 : code);
  model_add(&p->events, &ev);
  return true;
}

static void open_peer(struct peer *p, enum ws_role role) {
  static const struct wslay_event_callbacks calls = {
    .recv_callback = on_recv,
    .send_callback = on_send,
    .genmask_callback = on_mask,
    .on_msg_recv_callback = on_message,
  };
  p->events.n = 0;
  p->has_odd_close = false;
  int r = role == WS_SERVER
            ? wslay_event_context_server_init(&p->ctx, &calls, p)
            : wslay_event_context_client_init(&p->ctx, &calls, p);
  if (r != 0) abort();
  wslay_event_config_set_max_recv_msg_length(p->ctx, MESSAGE_MAX);
}

static void run(struct ws_protocol *p, struct model_events *events,
                const uint8_t *bytes, size_t n) {
  static struct fuzz_fence fence;
  uint8_t *copy = fuzz_fenced(&fence, bytes, n);
  struct ws_event ev;
  events->n = 0;
  for (size_t at = 0;;) {
    at += ws_protocol_feed(p, copy + at, n - at, &ev);
    if (ev.type == WS_EVENT_NONE) break;
    model_add(events, &ev);
  }
}

static const struct model_event *last(const struct model_events *events) {
  static const struct model_event none = {.type = WS_EVENT_NONE};
  return events->n > 0 ? &events->list[events->n - 1] : &none;
}

/* May the lists differ in their last events, x being ours? */
static bool is_excused(const struct ws_protocol *p, struct peer *w,
                       const struct model_event *x,
                       const struct model_event *y) {
  /* 5.5.1 wants a code of two bytes; wslay takes one byte for no code */
  if (w->has_odd_close && y->type == WS_EVENT_CLOSE && y->code == 1005)
    return x->type == WS_EVENT_ERROR && x->code == 1002;
  /* 1012 to 1014 have been registered since wslay was written */
  if (x->type == WS_EVENT_CLOSE && x->code >= 1012 && x->code <= 1014)
    return y->type == WS_EVENT_ERROR && y->code == 1002;
  /* of a bad code and a bad reason in one Close we name the code */
  if (p->opcode == WS_OP_CLOSE && x->type == WS_EVENT_ERROR && x->code == 1002)
    return y->type == WS_EVENT_ERROR && y->code == 1007;
  /* it judges the reason of a Close before the Close is complete */
  if (p->in_payload && p->opcode == WS_OP_CLOSE && !p->is_ended)
    return y->type == WS_EVENT_ERROR && y->code == 1007;
  return false;
}

/* We refuse a head at the byte that shows it, wslay when it is complete and
 * the payload has begun. Whatever comes next, it does. */
static void catch_up(struct peer *w, const struct model_events *ours) {
  static const uint8_t zeros[16];
  if (last(ours)->type != WS_EVENT_ERROR) return;
  if (w->events.n + 1 != ours->n || w->has_odd_close) return;
  feed_peer(w, zeros, sizeof zeros);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static struct model_events ours;
  static struct peer w;
  struct fuzz_input in = {bytes, n};
  struct ws_protocol_env env = {.max_message = MESSAGE_MAX,
                                .max_fragments = WS_NO_LIMIT};
  struct ws_protocol p;
  enum ws_role role = fuzz_byte(&in) & 1 ? WS_CLIENT : WS_SERVER;
  if (in.n > 4000) return 0;
  ws_protocol_init(&p, role, &env);
  run(&p, &ours, in.p, in.n);
  open_peer(&w, role);
  if (!feed_peer(&w, in.p, in.n)) catch_up(&w, &ours);
  const struct model_event *x = last(&ours), *y = last(&w.events);
  if (is_excused(&p, &w, x, y)) {
    if (ours.n == w.events.n) ours.n--;
    w.events.n--;
  }
  model_compare(&ours, &w.events);
  wslay_event_context_free(w.ctx);
  ws_protocol_free(&p);
  return 0;
}
