/* answer.c: requests are answered, and what their clients do meanwhile. */
#include "engine/answer.h"

#include <errno.h>
#include <stdio.h>

#include "engine/conn_send.h"
#include "engine/response.h"

static bool is_last(const struct ws_conn *c) {
  const struct ws_pending *p = ws_pending_of(c);
  return p->is_refusing || !p->shake.keep_alive ||
         c->route->server->is_closing || c->route->server->retiring.is_on ||
         c->is_eof || p->requests >= c->route->server->http.keepalive_requests;
}

static void finish(struct ws_conn *c, bool is_end) {
  if (is_end) {
    ws_pending_of(c)->step = WS_STEP_ANSWERED;
    ws_conn_end(c, 1006, "not upgraded");
  } else {
    ws_pending_next(c);
  }
}

/* Counts the request, and writes what there is of its answer. */
static bool write_answer(struct ws_conn *c, struct ws_answer *a) {
  struct ws_pending *p = ws_pending_of(c);
  a->is_head = p->shake.method == WS_HEAD;
  p->requests++;
  c->route->server->stats.requests++;
  p->is_counted = a->has_length;
  p->left = a->length;
  a->is_last =
    is_last(c) || (a->is_stream && !a->has_length && p->http.minor == 0);
  if (ws_response_write(c, a)) return true;
  ws_conn_cut_memory(c);
  return false;
}

void ws_conn_respond(struct ws_conn *c, int status, struct ws_slice fields,
                     bool has_type, struct ws_slice body) {
  struct ws_answer a = {
    .status = status, .fields = fields, .body = body, .has_type = has_type};
  if (!ws_pending_is_answerable(c)) return;
  if (write_answer(c, &a)) finish(c, a.is_last);
}

void ws_conn_respond_status(struct ws_conn *c, int status,
                            struct ws_slice fields) {
  char text[64];
  int n =
    snprintf(text, sizeof text, "%d %s\n", status, ws_handshake_reason(status));
  ws_conn_respond(c, status, fields, false, (struct ws_slice){text, (size_t)n});
}

void ws_conn_respond_nothing(struct ws_conn *c) {
  const struct ws_slice none = {"", 0};
  if (!ws_pending_is_answerable(c)) return;
  if (ws_slice_equal(ws_pending_of(c)->shake.path, WS_SLICE("*")))
    ws_conn_respond(c, 204, WS_SLICE(WS_RESPONSE_ALLOW_ALL), false, none);
  else
    ws_conn_respond_status(c, 404, none);
}

/* ---- a body that is made meanwhile ---- */

bool ws_answer_begin(struct ws_conn *c, int status, struct ws_slice fields,
                     bool has_type, const uint64_t *length) {
  struct ws_answer a = {.status = status,
                        .fields = fields,
                        .has_type = has_type,
                        .is_stream = true,
                        .has_length = length,
                        .length = length ? *length : 0};
  if (!ws_pending_is_answerable(c) || !write_answer(c, &a)) return false;
  struct ws_pending *p = ws_pending_of(c);
  if (!ws_response_has_body(&a)) {
    finish(c, a.is_last);
    return false;
  }
  p->step = WS_STEP_STREAM;
  p->is_last = a.is_last;
  ws_pending_set_deadline(c, 0);
  ws_pending_update(c);
  if (c->route->server->is_leaving) ws_answer_tell_gone(c);
  return true;
}

static bool is_streaming(const struct ws_conn *c) {
  const struct ws_pending *p = ws_pending_of(c);
  return c->state == WS_CONN_PENDING && p && p->step == WS_STEP_STREAM;
}

bool ws_answer_is_open(const struct ws_conn *c) {
  return is_streaming(c) && !c->stream.error &&
         (!c->route->server->is_leaving || ws_pending_of(c)->is_counted);
}

enum ws_err ws_answer_write(struct ws_conn *c, const void *data, size_t n) {
  struct ws_pending *p = ws_pending_of(c);
  if (!ws_answer_is_open(c)) return WS_ERR_CLOSED;
  if (p->is_counted && n > p->left) return WS_ERR_TOO_BIG;
  if (ws_conn_is_full(c, n)) {
    if (c->route->options.close_when_full)
      ws_conn_cut(c, 1006, "slow consumer");
    return WS_ERR_FULL;
  }
  if (c->stream.error) return WS_ERR_CLOSED;
  if (n == 0 || ws_response_piece(c, data, n)) {
    p->left -= p->is_counted ? n : 0;
    return WS_OK;
  }
  ws_conn_cut_memory(c);
  return WS_ERR_MEMORY;
}

void ws_answer_end(struct ws_conn *c) {
  if (!is_streaming(c)) return;
  const struct ws_pending *p = ws_pending_of(c);
  if (ws_response_last_piece(c))
    finish(c, p->is_last || is_last(c) || (p->is_counted && p->left));
  else
    ws_conn_cut_memory(c);
}

void ws_answer_break(struct ws_conn *c) {
  if (is_streaming(c)) finish(c, true);
}

/* ---- the client meanwhile ---- */

void ws_answer_tell_gone(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  if (p->is_gone || !ws_pending_is_busy(p)) return;
  p->is_gone = true;
  if (ws_conn_host(c)->gone) ws_conn_host(c)->gone(c);
}

/* Nobody who asks for a WebSocket ends its half first. */
static void take_end(struct ws_conn *c) {
  c->is_eof = true;
  if (ws_pending_of(c)->shake.is_upgrade)
    ws_conn_cut(c, 1006, "connection lost");
  else
    ws_answer_tell_gone(c);
}

void ws_answer_read_on(struct ws_conn *c) {
  struct ws_loop *loop = c->stream.watch.loop;
  struct ws_pending *p = ws_pending_of(c);
  struct iovec iov = {loop->read_buffer, WS_READ_BUFFER};
  ssize_t r = ws_stream_read(&c->stream, &iov, 1);
  if (r == -EAGAIN) return;
  if (r == 0) {
    take_end(c);
  } else if (r < 0) {
    ws_conn_cut(c, 1006, "connection lost");
  } else if (!ws_buf_append(&p->buf, loop->read_buffer, (size_t)r)) {
    ws_conn_cut_memory(c);
  } else {
    p->n += (size_t)r;
    ws_pending_set_bytes(p, (char *)ws_buf_begin(&p->buf));
  }
}
