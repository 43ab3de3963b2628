/* upgrade.c: the HTTP in front of a connection: requests are read, judged and
 * answered, until one of them is an upgrade that is accepted. */
#include "engine/upgrade.h"

#include <errno.h>
#include <string.h>

#include "engine/peer.h"
#include "engine/response.h"
#include "protocol/origin.h"

#define TLS_HANDSHAKE 22 /* the first byte of it (RFC 8446 5.1) */

/* 0 seconds: none. */
static void set_deadline(struct ws_conn *c, double seconds) {
  uint32_t ticks = seconds > 0 ? ws_loop_ticks(seconds) : WS_TICKS_MAX;
  c->pending->deadline = c->stream.loop->tick + ticks;
}

bool ws_upgrade_start(struct ws_conn *c, const struct ws_address *peer) {
  const struct ws_http_options *o = &c->server->http;
  size_t n = o->max_headers;
  struct ws_pending *p =
    ws_mem_zero(sizeof *p + n * sizeof(struct ws_http_field));
  if (!p) return false;
  p->conn = c;
  p->peer = *peer;
  p->http.fields = p->fields;
  p->http.max_fields = (uint32_t)n;
  p->http.max_line = (uint32_t)o->max_request_line;
  p->http.max_field_line = (uint32_t)o->max_header_line;
  p->http.max_head = (uint32_t)o->max_header_bytes;
  ws_http_reset(&p->http);
  c->pending = p;
  ws_list_init(&p->link);
  if (!ws_peer_start(c)) return false;
  if (c->state != WS_CONN_PENDING) return true;
  set_deadline(c, o->handshake_timeout);
  ws_list_append(&c->server->pending, &p->link);
  c->server->n_pending++;
  ws_loop_deadline(c->stream.loop, &c->deadline, p->deadline);
  ws_stream_want_read(&c->stream, true);
  return true;
}

void ws_upgrade_hurry(struct ws_conn *c, double seconds) {
  struct ws_pending *p = c->pending;
  uint32_t limit = c->stream.loop->tick + ws_loop_ticks(seconds);
  if (c->state != WS_CONN_PENDING) return;
  if ((int32_t)(p->deadline - limit) > 0) p->deadline = limit;
  ws_loop_deadline(c->stream.loop, &c->deadline, p->deadline);
}

static void leave_list(struct ws_conn *c) {
  struct ws_pending *p = c->pending;
  if (!ws_list_is_linked(&p->link)) return;
  ws_list_remove(&p->link);
  c->server->n_pending--;
}

static void enter_list(struct ws_conn *c) {
  struct ws_pending *p = c->pending;
  if (ws_list_is_linked(&p->link)) return;
  ws_list_append(&c->server->pending, &p->link);
  c->server->n_pending++;
}

void ws_upgrade_free(struct ws_conn *c) {
  struct ws_pending *p = c->pending;
  if (!p) return;
  leave_list(c);
  ws_buf_free(&p->buf);
  ws_buf_free(&p->body);
  ws_buf_free(&p->out);
  ws_mem_free(p->proxy);
  c->pending = NULL;
  ws_mem_free(p);
}

/* While the kernel refuses an answer, only a stall ends the connection. */
static uint32_t due(const struct ws_conn *c) {
  double stall = c->options->stall_timeout;
  if (!c->stream.is_blocked || !ws_stream_is_ready(&c->stream))
    return c->pending->deadline;
  if (stall <= 0) return c->stream.loop->tick + WS_TICKS_MAX;
  return c->stream.progress + ws_loop_ticks(stall);
}

/* Reading and deadline follow the step. */
static void update(struct ws_conn *c) {
  struct ws_pending *p = c->pending;
  if (c->state != WS_CONN_PENDING || !p) return;
  bool is_taking = p->step != WS_STEP_ASKED && p->step != WS_STEP_ANSWERED;
  ws_stream_want_read(&c->stream, is_taking && !c->stream.queued && !c->is_eof);
  ws_loop_deadline(c->stream.loop, &c->deadline, due(c));
}

static void refuse_for(struct ws_conn *c, enum ws_refusal why, int status,
                       const char *fields) {
  struct ws_slice line = {fields, strlen(fields)};
  c->pending->is_refusing = true;
  ws_server_refused(c->server, c, why, status);
  ws_response_error(c, status, line);
}

static void refuse(struct ws_conn *c, int status, const char *fields) {
  refuse_for(c, ws_refusal_of(status), status, fields);
}

/* ---- an upgrade ---- */

static bool is_origin_allowed(struct ws_conn *c) {
  const struct ws_route *r = c->route;
  const struct ws_handshake *shake = &c->pending->shake;
  if (!shake->origin.p) return !r->options.require_origin;
  switch (r->origin_rule) {
  case WS_ORIGIN_ANY:
  case WS_ORIGIN_ASK: return true;
  case WS_ORIGIN_SAME:
    return ws_origin_is_same(shake->origin, shake->host, ws_conn_is_secure(c));
  case WS_ORIGIN_LIST: break;
  }
  for (size_t i = 0; i < r->origins.n; i++) {
    const char *o = r->origins.list[i];
    if (ws_origin_matches(shake->origin, (struct ws_slice){o, strlen(o)}))
      return true;
  }
  return false;
}

void ws_upgrade_refuse_origin(struct ws_conn *c) {
  if (c->state != WS_CONN_PENDING || !c->pending) return;
  ws_server_warn_origin(c->server, c->pending->shake.origin);
  refuse(c, 403, "");
}

bool ws_upgrade_offers(const struct ws_conn *c, struct ws_slice name) {
  const struct ws_pending *p = c->pending;
  struct ws_slice offered;
  size_t iter = 0;
  while (ws_handshake_next_subprotocol(&p->http, p->bytes, &iter, &offered) ==
         1)
    if (ws_slice_equal(offered, name)) return true;
  return false;
}

struct ws_slice ws_upgrade_choose(const struct ws_conn *c) {
  const struct ws_strings *ours = &c->route->subprotocols;
  for (size_t i = 0; i < ours->n; i++) {
    struct ws_slice name = {ours->list[i], strlen(ours->list[i])};
    if (ws_upgrade_offers(c, name)) return name;
  }
  return (struct ws_slice){NULL, 0};
}

/* Even where none is wanted, what is offered has to be well-formed. */
static bool are_subprotocols_valid(const struct ws_conn *c) {
  const struct ws_pending *p = c->pending;
  struct ws_slice name;
  size_t iter = 0;
  int r;
  while ((r = ws_handshake_next_subprotocol(&p->http, p->bytes, &iter,
                                            &name)) == 1) {
  }
  return r == 0;
}

static void ask(struct ws_conn *c, bool is_upgrade) {
  struct ws_pending *p = c->pending;
  double limit = c->server->http.upgrade_timeout;
  p->step = WS_STEP_ASKED;
  p->is_refusing = is_upgrade;
  leave_list(c);
  set_deadline(c, limit);
  ws_conn_host(c)->request(c, is_upgrade);
}

static void take_upgrade(struct ws_conn *c) {
  struct ws_pending *p = c->pending;
  struct ws_route *route = ws_server_find(c->server, p->shake.path);
  if (!route) {
    refuse(c, 404, "");
  } else if (c->server->is_closing) {
    refuse_for(c, WS_REFUSED_CLOSING, 503, "");
  } else if (!are_subprotocols_valid(c)) {
    refuse(c, 400, "");
  } else {
    c->route = route;
    c->options = &route->options;
    if (!is_origin_allowed(c)) {
      ws_upgrade_refuse_origin(c);
    } else if (route->asks_upgrade) {
      ask(c, true);
    } else {
      ws_conn_accept(c, ws_upgrade_choose(c), (struct ws_slice){"", 0});
    }
  }
}

/* A plain request: on a WebSocket route it should have been an upgrade. */
static void take_plain(struct ws_conn *c) {
  struct ws_server *s = c->server;
  struct ws_route *route = ws_server_find(s, c->pending->shake.path);
  bool is_named = route && route->pattern;
  if (!is_named && s->asks_request)
    ask(c, false);
  else if (route)
    refuse(c, 426, WS_RESPONSE_UPGRADE);
  else
    refuse(c, 404, "");
}

/* ---- reading ---- */

static bool is_host_served(const struct ws_conn *c) {
  const struct ws_strings *hosts = &c->server->hosts;
  struct ws_slice host = c->pending->shake.host;
  if (!hosts->n) return true;
  for (size_t i = 0; i < hosts->n; i++) {
    const char *h = hosts->list[i];
    if (ws_origin_host_matches(host, (struct ws_slice){h, strlen(h)}))
      return true;
  }
  return false;
}

/* The request's bytes stand here now: what was found in them is found again
 * in their new place. */
static void set_bytes(struct ws_pending *p, const char *bytes) {
  const char *why = NULL;
  bool have_moved = p->bytes != bytes;
  p->bytes = bytes;
  if (have_moved && p->step != WS_STEP_HEAD)
    ws_handshake_check(&p->http, bytes, &p->shake, &why);
}

/* Keeps what stands in the loop's buffer. False without memory. */
static bool stash(struct ws_conn *c) {
  struct ws_pending *p = c->pending;
  if (p->n == 0 || (p->buf.len && p->bytes == (char *)ws_buf_begin(&p->buf)))
    return true;
  if (!ws_buf_append(&p->buf, p->bytes, p->n)) {
    ws_conn_cut(c, 1006, "out of memory");
    return false;
  }
  set_bytes(p, (char *)ws_buf_begin(&p->buf));
  return true;
}

static void take_body(struct ws_conn *c) {
  struct ws_pending *p = c->pending;
  while (!ws_body_is_done(&p->coding) && p->used < p->n) {
    struct ws_slice data;
    int64_t r =
      ws_body_feed(&p->coding, p->bytes + p->used, p->n - p->used, &data);
    if (r < 0) {
      refuse(c, (int)-r, "");
      return;
    }
    p->used += (size_t)r;
    if (data.n && !ws_buf_append(&p->body, data.p, data.n)) {
      refuse_for(c, WS_REFUSED_MEMORY, 503, "");
      return;
    }
  }
  if (!ws_body_is_done(&p->coding)) {
    stash(c);
    return;
  }
  take_plain(c);
}

static void take_head(struct ws_conn *c) {
  struct ws_pending *p = c->pending;
  const char *why = NULL;
  int r = ws_handshake_check(&p->http, p->bytes, &p->shake, &why);
  if (r < 0) {
    refuse(c, -r,
           r == WS_ERR_UPGRADE  ? WS_RESPONSE_VERSION
           : r == WS_ERR_METHOD ? WS_RESPONSE_ALLOW
                                : "");
    return;
  }
  ws_peer_take_head(c);
  if (!is_host_served(c)) {
    refuse(c, 421, "");
    return;
  }
  if (p->shake.is_upgrade) {
    take_upgrade(c);
    return;
  }
  uint64_t max = c->server->http.max_body;
  r = WS_OK;
  if (p->shake.is_chunked)
    ws_body_init_chunked(&p->coding, max);
  else
    r = ws_body_init_length(&p->coding, p->shake.content_length, max);
  if (r < 0) {
    refuse(c, -r, "");
    return;
  }
  p->step = WS_STEP_BODY;
  if (p->shake.expects_continue && p->used == p->n &&
      !ws_body_is_done(&p->coding))
    ws_response_continue(c);
  take_body(c);
}

/* Goes through the bytes that are there, at most to the end of one request:
 * the next one waits for the next turn. */
static void parse(struct ws_conn *c) {
  struct ws_pending *p = c->pending;
  if (p->step == WS_STEP_BODY) {
    take_body(c);
    return;
  }
  if (p->is_idle && p->n) { /* a further request has begun */
    p->is_idle = false;
    set_deadline(c, c->server->http.handshake_timeout);
  }
  int r = ws_http_request(&p->http, p->bytes, p->n);
  if (r < 0) {
    bool is_tls = p->bytes[0] == TLS_HANDSHAKE;
    if (is_tls) ws_server_warn_tls(c->server, c);
    refuse_for(c, is_tls ? WS_REFUSED_TLS : ws_refusal_of(-r), -r, "");
  } else if (r == 0) {
    stash(c);
  } else {
    p->used = (size_t)r;
    take_head(c);
  }
}

void ws_upgrade_next(struct ws_conn *c) {
  struct ws_pending *p = c->pending;
  size_t left = p->n - p->used;
  if (p->buf.len) {
    ws_buf_consume(&p->buf, p->used);
  } else if (left && !ws_buf_append(&p->buf, p->bytes + p->used, left)) {
    ws_conn_cut(c, 1006, "out of memory");
    return;
  }
  if (left == 0) ws_buf_free(&p->buf);
  ws_buf_free(&p->body);
  p->bytes = (char *)p->buf.data;
  if (left) p->bytes = (char *)ws_buf_begin(&p->buf);
  p->n = left;
  p->used = 0;
  p->step = WS_STEP_HEAD;
  p->is_idle = true;
  p->shake = (struct ws_handshake){.is_upgrade = false};
  ws_http_reset(&p->http);
  enter_list(c);
  set_deadline(c, c->server->http.keepalive_timeout);
  if (left) ws_loop_again(c->stream.loop, &c->stream.watch);
  update(c);
}

static void take_bytes(struct ws_conn *c, char *bytes, size_t n) {
  struct ws_pending *p = c->pending;
  if (p->buf.len) {
    if (n && !ws_buf_append(&p->buf, bytes, n)) {
      ws_conn_cut(c, 1006, "out of memory");
      return;
    }
    bytes = (char *)ws_buf_begin(&p->buf);
    n = p->buf.len;
  }
  set_bytes(p, bytes);
  p->n = n;
  ws_stream_cork(&c->stream);
  parse(c);
  p = c->pending;
  if (p && c->state == WS_CONN_PENDING && p->step == WS_STEP_ASKED) stash(c);
  ws_stream_uncork(&c->stream);
}

void ws_upgrade_on_ready(struct ws_conn *c, uint8_t got) {
  struct ws_loop *loop = c->stream.loop;
  struct ws_pending *p = c->pending;
  if (got & WS_WRITE) {
    ws_stream_flush(&c->stream);
    ws_loop_late(loop, &c->stream.late);
  }
  if (p->step == WS_STEP_PROXY && !ws_peer_read(c)) return;
  if (p->step != WS_STEP_HEAD && p->step != WS_STEP_BODY) return;
  if (c->stream.queued) return;
  if (!ws_loop_prepare(loop)) {
    ws_conn_cut(c, 1006, "out of memory");
    return;
  }
  if (got & WS_AGAIN && p->n && p->is_idle) {
    take_bytes(c, NULL, 0);
  } else if (got & WS_READ) {
    struct iovec iov = {loop->read_buffer, WS_READ_BUFFER};
    ssize_t r = ws_stream_read(&c->stream, &iov, 1);
    if (r == -EAGAIN) return;
    if (r <= 0) {
      c->is_eof = r == 0;
      if (r == -EPROTO) {
        ws_server_warn_tls(c->server, c);
        c->stream.error = EPROTO;
      }
      ws_conn_cut(c, 1006, "connection lost");
      if (!p->requests)
        ws_server_refused(c->server, c,
                          r == -EPROTO ? WS_REFUSED_TLS : WS_REFUSED_LOST, 0);
      return;
    }
    take_bytes(c, (char *)loop->read_buffer, (size_t)r);
  }
  update(c);
}

void ws_upgrade_after_flush(struct ws_conn *c) {
  struct ws_pending *p = c->pending;
  if (!p) return;
  if (!c->stream.queued && p->step == WS_STEP_HEAD && p->is_idle) {
    set_deadline(c, c->server->http.keepalive_timeout);
    if (p->n) ws_loop_again(c->stream.loop, &c->stream.watch);
  }
  update(c);
}

void ws_upgrade_shed(struct ws_conn *c) {
  if (c->pending->is_idle || c->pending->n == 0) {
    ws_conn_cut(c, 1006, "shed");
    ws_server_refused(c->server, c, WS_REFUSED_PENDING, 0);
  } else {
    refuse_for(c, WS_REFUSED_PENDING, 503, "");
  }
}

void ws_upgrade_on_deadline(struct ws_conn *c) {
  struct ws_pending *p = c->pending;
  if ((int32_t)(due(c) - c->stream.loop->tick) > 0) {
    update(c);
  } else if (c->stream.is_blocked) {
    ws_conn_cut(c, 1006, "write stalled");
  } else if (p->step == WS_STEP_ASKED) {
    refuse_for(c, WS_REFUSED_HANDLER_TIMEOUT, 503, "");
  } else if (p->is_idle || p->n == 0) {
    ws_conn_cut(c, 1006, "handshake timeout");
    if (!p->requests) ws_server_refused(c->server, c, WS_REFUSED_TIMEOUT, 0);
  } else {
    refuse(c, 408, "");
  }
}
