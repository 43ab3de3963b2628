/* upgrade.c: the HTTP in front of a connection: requests are read, judged and
 * answered, until one of them is an upgrade that is accepted. */
#include "engine/upgrade.h"

#include <errno.h>
#include <string.h>

#include "engine/answer.h"
#include "engine/conn.h"
#include "engine/conn_flow.h"
#include "engine/conn_read.h"
#include "engine/conn_send.h"
#include "engine/peer.h"
#include "engine/response.h"
#include "engine/route.h"
#include "engine/server_log.h"

#define TLS_HANDSHAKE 22 /* the first byte of it (RFC 8446 5.1) */

/* ---- answers ---- */

void ws_upgrade_count(struct ws_conn *c, enum ws_refusal why, int status) {
  if (ws_pending_is_answerable(c))
    ws_server_refused(c->route->server, c, why, status);
}

static void refuse_for(struct ws_conn *c, enum ws_refusal why, int status,
                       const char *fields) {
  struct ws_slice line = {fields, strlen(fields)};
  ws_pending_of(c)->is_refusing = true;
  ws_server_refused(c->route->server, c, why, status);
  ws_conn_respond_status(c, status, line);
}

static void refuse(struct ws_conn *c, int status, const char *fields) {
  refuse_for(c, ws_refusal_of(status), status, fields);
}

/* ---- an upgrade ---- */

bool ws_upgrade_is_origin_allowed(const struct ws_conn *c) {
  const struct ws_handshake *shake = &ws_pending_of(c)->shake;
  return ws_route_allows_origin(c->route, shake->origin, shake->host,
                                ws_conn_is_secure(c));
}

void ws_upgrade_refuse_origin(struct ws_conn *c) {
  if (c->state != WS_CONN_PENDING || !ws_pending_of(c)) return;
  ws_server_warn_origin(c->route->server, ws_pending_of(c)->shake.origin);
  refuse(c, 403, "");
}

bool ws_upgrade_offers(const struct ws_conn *c, struct ws_slice name) {
  const struct ws_pending *p = ws_pending_of(c);
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
  const struct ws_pending *p = ws_pending_of(c);
  struct ws_slice name;
  size_t iter = 0;
  int r;
  while ((r = ws_handshake_next_subprotocol(&p->http, p->bytes, &iter,
                                            &name)) == 1) {
  }
  return r == 0;
}

static struct ws_text *share_origin(struct ws_server *s, struct ws_slice text) {
  struct ws_text *o = s->last_origin;
  if (o && o->len == text.n && memcmp(o->text, text.p, text.n) == 0) {
    o->refs++;
    return o;
  }
  if (!(o = ws_text_new(text))) return NULL;
  o->refs = 2; /* the connection's and the server's */
  ws_text_release(s->last_origin);
  s->last_origin = o;
  return o;
}

static bool make_meta(struct ws_conn *c, struct ws_slice subprotocol) {
  struct ws_pending *p = ws_pending_of(c);
  c->meta = ws_conn_new_meta(p->shake.path, p->shake.query, subprotocol,
                             &p->client, (struct ws_slice){NULL, 0});
  if (!c->meta) return false;
  if ((c->meta->pattern = c->route->pattern)) c->meta->pattern->refs++;
  if (!p->shake.origin.p) return true;
  c->meta->origin = share_origin(c->route->server, p->shake.origin);
  return c->meta->origin != NULL;
}

void ws_conn_accept(struct ws_conn *c, struct ws_slice subprotocol,
                    struct ws_slice fields) {
  if (!ws_pending_is_answerable(c)) return;
  if (c->route->server->is_closing) { /* since it was asked about */
    ws_pending_of(c)->is_refusing = true;
    ws_upgrade_count(c, WS_REFUSED_CLOSING, 503);
    ws_conn_respond_status(c, 503, (struct ws_slice){"", 0});
    return;
  }
  struct ws_pending *p = ws_pending_of(c);
  struct ws_extension agreed = {.is_on = false};
  bool was_corked = c->stream.watch.loop->corked == &c->stream;
  if (!was_corked) ws_stream_cork(&c->stream);
  if (!make_meta(c, subprotocol) ||
      !ws_response_write_101(c, subprotocol, fields, &agreed)) {
    ws_conn_cut_memory(c);
    return;
  }
  ws_buf_free(&p->out);
  ws_conn_open(c, WS_SERVER, &agreed);
  if (p->n > p->used &&
      c->state != WS_CONN_CLOSED) /* 4.2.2: the first frames */
    ws_conn_input(c, (uint8_t *)p->bytes + p->used, p->n - p->used);
  ws_pending_free(c);
  if (!was_corked) ws_stream_uncork(&c->stream);
  ws_conn_resume(c);
}

static void ask(struct ws_conn *c, bool is_upgrade) {
  struct ws_pending *p = ws_pending_of(c);
  double limit = c->route->options.upgrade_timeout;
  p->step = WS_STEP_ASKED;
  p->is_refusing = is_upgrade;
  ws_pending_leave_list(c);
  ws_pending_set_deadline(c, limit);
  ws_conn_host(c)->request(c, is_upgrade);
}

static void take_upgrade(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  struct ws_route *route = ws_route_find(c->route->server, p->shake.path);
  if (!route) {
    refuse(c, 404, "");
  } else if (c->route->server->is_closing) {
    refuse_for(c, WS_REFUSED_CLOSING, 503, "");
  } else if (!are_subprotocols_valid(c)) {
    refuse(c, 400, "");
  } else {
    c->route = route;
    if (!ws_upgrade_is_origin_allowed(c)) {
      ws_upgrade_refuse_origin(c);
    } else if (route->asks_upgrade) {
      ask(c, true);
    } else {
      ws_conn_accept(c, ws_upgrade_choose(c), (struct ws_slice){"", 0});
    }
  }
}

/* Who answers a plain request: a route with a pattern for itself, all other
 * paths by what stands beside the routes. NULL: nobody. */
static struct ws_route *answering(struct ws_server *s, struct ws_route *found) {
  bool is_named = found && found->pattern;
  struct ws_route *by = is_named ? found : &s->route;
  if (is_named && found == &s->route) return NULL; /* the option path */
  return by->asks_request ? by : NULL;
}

/* OPTIONS * that no handler is there for. Its body, if it has one, is not
 * read. */
static void answer_options(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  p->is_refusing = p->shake.is_chunked || p->shake.content_length > 0;
  ws_conn_respond_nothing(c);
}

/* The head of a plain request: on a WebSocket route it should have been an
 * upgrade. Whatever its body, one that nobody asked for is not read. */
static bool find_answering(struct ws_conn *c) {
  struct ws_server *s = c->route->server;
  struct ws_slice path = ws_pending_of(c)->shake.path;
  struct ws_route *route = ws_route_find(s, path);
  struct ws_route *by = answering(s, route);
  if (by) {
    c->route = by;
  } else if (ws_slice_equal(path, WS_SLICE("*"))) {
    answer_options(c);
  } else if (route) {
    refuse(c, 426, WS_RESPONSE_UPGRADE);
  } else {
    refuse(c, 404, "");
  }
  return by != NULL;
}

/* ---- reading ---- */

/* Decodes what there is of the body. Returns the bytes used; or an error, and
 * it is answered. */
static int64_t decode(struct ws_conn *c, const char *bytes, size_t n) {
  struct ws_pending *p = ws_pending_of(c);
  size_t at = 0;
  while (!ws_body_is_done(&p->coding) && at < n) {
    struct ws_slice data;
    int64_t r = ws_body_feed(&p->coding, bytes + at, n - at, &data);
    if (r < 0) {
      refuse(c, (int)-r, "");
      return r;
    }
    at += (size_t)r;
    if (data.n && !ws_buf_append(&p->body, data.p, data.n)) {
      refuse_for(c, WS_REFUSED_MEMORY, 503, "");
      return WS_ERR_MEMORY;
    }
  }
  return (int64_t)at;
}

/* What stands of the body behind its head. */
static void take_body(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  int64_t r = decode(c, p->bytes + p->used, p->n - p->used);
  if (r < 0) return;
  p->used += (size_t)r;
  if (ws_body_is_done(&p->coding))
    ask(c, false);
  else
    ws_pending_stash(c);
}

/* More of it, when the head is kept. */
static void take_more(struct ws_conn *c, const char *bytes, size_t n) {
  int64_t r = decode(c, bytes, n);
  if (r < 0 || !ws_body_is_done(&ws_pending_of(c)->coding)) return;
  if (ws_pending_keep(c, bytes + r, n - (size_t)r)) ask(c, false);
}

static void take_head(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
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
  if ((r = ws_peer_judge(c, p->shake.is_upgrade))) {
    refuse(c, r, "");
    return;
  }
  if (p->shake.is_upgrade) {
    take_upgrade(c);
    return;
  }
  if (!find_answering(c)) return;
  uint64_t max = c->route->server->http.max_body;
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

static bool has_begun(const struct ws_pending *p) {
  return ws_http_has_begun(&p->http, p->n);
}

/* Goes through the bytes that are there, at most to the end of one request:
 * the next one waits for the next turn. */
static void parse(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  int r = ws_http_request(&p->http, p->bytes, p->n);
  if (p->is_idle && has_begun(p)) { /* a further request */
    p->is_idle = false;
    ws_pending_set_deadline(c, c->route->server->http.handshake_timeout);
  }
  /* a hello may hold no line's end, and nothing follows it unanswered */
  bool is_tls = p->n && p->bytes[0] == TLS_HANDSHAKE;
  if (is_tls && r == 0) r = WS_ERR_BAD_REQUEST;
  if (r < 0) {
    if (is_tls) ws_server_warn_tls(c->route->server, c);
    refuse_for(c, is_tls ? WS_REFUSED_TLS : ws_refusal_of(-r), -r, "");
  } else if (r == 0) {
    ws_pending_stash(c);
  } else {
    p->head = p->used = (size_t)r;
    take_head(c);
  }
}

/* Of a head, or of several requests that came at once. */
static void take_request(struct ws_conn *c, char *bytes, size_t n) {
  struct ws_pending *p = ws_pending_of(c);
  if (p->buf.len) {
    if (n && !ws_buf_append(&p->buf, bytes, n)) {
      ws_conn_cut_memory(c);
      return;
    }
    bytes = (char *)ws_buf_begin(&p->buf);
    n = p->buf.len;
  }
  ws_pending_set_bytes(p, bytes);
  p->n = n;
  parse(c);
}

static void take_bytes(struct ws_conn *c, char *bytes, size_t n) {
  ws_stream_cork(&c->stream);
  if (ws_pending_of(c)->step == WS_STEP_BODY)
    take_more(c, bytes, n);
  else
    take_request(c, bytes, n);
  struct ws_pending *p = ws_pending_of(c);
  if (p && c->state == WS_CONN_PENDING && ws_pending_is_busy(p))
    ws_pending_stash(c);
  ws_stream_uncork(&c->stream);
}

static void on_ready(struct ws_conn *c, uint8_t got) {
  struct ws_loop *loop = c->stream.watch.loop;
  struct ws_pending *p = ws_pending_of(c);
  if (got & WS_DEAF) return;
  if (got & WS_WRITE) {
    ws_stream_flush(&c->stream);
    ws_loop_late(loop, &c->stream.late);
  }
  if (p->step == WS_STEP_PROXY && !ws_peer_read(c)) return;
  if (p->step == WS_STEP_ANSWERED || p->step == WS_STEP_PROXY) return;
  if (c->stream.queued) return;
  if (!ws_loop_prepare(loop)) {
    ws_conn_cut_memory(c);
    return;
  }
  if (ws_pending_is_busy(p)) {
    if (got & WS_READ) ws_answer_read_on(c);
  } else if (got & WS_AGAIN && p->n && p->is_idle) {
    take_bytes(c, NULL, 0);
  } else if (got & WS_READ) {
    struct iovec iov = {loop->read_buffer, WS_READ_BUFFER};
    ssize_t r = ws_stream_read(&c->stream, &iov, 1);
    if (r == -EAGAIN) return;
    if (r <= 0) {
      c->is_eof = r == 0;
      if (r == -EPROTO) ws_server_warn_tls(c->route->server, c);
      if (r < 0) c->stream.error = (uint16_t)-r;
      ws_conn_cut(c, 1006, "connection lost");
      return;
    }
    take_bytes(c, (char *)loop->read_buffer, (size_t)r);
  }
  ws_pending_update(c);
}

static void after_flush(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  if (!p) return;
  if (!c->stream.queued && p->step == WS_STEP_HEAD && p->is_idle) {
    ws_pending_set_deadline(c, c->route->server->http.keepalive_timeout);
    if (p->n) ws_loop_again(c->stream.watch.loop, &c->stream.watch);
  }
  if (c->is_drain_awaited && c->stream.queued <= ws_conn_low_water(c)) {
    c->needs_empty = false;
    c->is_drain_awaited = false;
    ws_conn_host(c)->drained(c, false);
  }
  ws_pending_update(c);
}

void ws_upgrade_shed(struct ws_conn *c) {
  if (ws_pending_of(c)->is_idle || !has_begun(ws_pending_of(c))) {
    ws_pending_cut(c, WS_REFUSED_PENDING, "shed");
  } else {
    refuse_for(c, WS_REFUSED_PENDING, 503, "");
  }
}

static void on_deadline(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  if ((int32_t)(ws_pending_due(c) - c->stream.watch.loop->tick) > 0) {
    ws_pending_update(c);
  } else if (c->stream.is_blocked) {
    ws_pending_cut(c, WS_REFUSED_TIMEOUT, "write stalled");
  } else if (p->step == WS_STEP_STREAM) {
    ws_pending_set_deadline(c, 0);
    ws_pending_update(c);
  } else if (p->step == WS_STEP_ASKED) {
    refuse_for(c, WS_REFUSED_HANDLER_TIMEOUT, 503, "");
  } else if (p->is_idle || !has_begun(p)) {
    ws_pending_cut(c, WS_REFUSED_TIMEOUT, "handshake timeout");
  } else {
    refuse(c, 408, "");
  }
}

/* It is over before it was open: whoever is answering is told. */
static void free_phase(struct ws_conn *c) {
  if (c->phase && c->state == WS_CONN_CLOSED && !c->is_told) {
    ws_server_ended(c);
    ws_answer_tell_gone(c);
  }
  ws_pending_free(c);
}

static const struct ws_phase_calls calls = {.on_ready = on_ready,
                                            .on_deadline = on_deadline,
                                            .after_flush = after_flush,
                                            .free = free_phase};

bool ws_upgrade_start(struct ws_conn *c, const struct ws_address *peer,
                      struct ws_slice bytes) {
  if (!ws_pending_new(c, peer, &calls)) return false;
  if (!(bytes.p ? ws_pending_begin(c, bytes) : ws_peer_start(c))) return false;
  if (c->state != WS_CONN_PENDING) return true;
  ws_pending_set_deadline(c, c->route->server->http.handshake_timeout);
  ws_pending_enter_list(c);
  ws_loop_deadline(c->stream.watch.loop, &c->deadline,
                   ws_pending_of(c)->deadline);
  ws_stream_want_read(&c->stream, true);
  return true;
}
