/* response.c: what is answered before a connection is open. */
#include "engine/response.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool add(struct ws_buf *out, const char *text) {
  return ws_buf_append(out, text, strlen(text));
}

static bool addf(struct ws_buf *out, const char *format, ...)
  __attribute__((format(printf, 2, 3)));

static bool addf(struct ws_buf *out, const char *format, ...) {
  char line[256];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  return n >= 0 && (size_t)n < sizeof line &&
         ws_buf_append(out, line, (size_t)n);
}

/* RFC 9110 5.6.7, without strftime: its names follow the locale. */
static bool add_date(struct ws_buf *out, int64_t wall) {
  static const char day[] = "SunMonTueWedThuFriSat";
  static const char month[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  struct tm t;
  time_t when = (time_t)wall;
  if (!gmtime_r(&when, &t)) return true;
  return addf(out, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n",
              day + 3 * t.tm_wday, t.tm_mday, month + 3 * t.tm_mon,
              t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

/* RFC 9110 6.4.1: these have no body, whatever the application gave. */
static bool has_no_body(int status) {
  return status < 200 || status == 204 || status == 304;
}

struct answer {
  int status;
  struct ws_slice fields, body;
  bool has_type, is_last, is_head;
};

static bool write_head(struct ws_conn *c, struct ws_buf *out,
                       const struct answer *a) {
  struct ws_io *io = c->stream.loop->io;
  bool has_upgrade = a->status == 426;
  bool ok = addf(out, "HTTP/1.1 %d %s\r\n", a->status,
                 ws_handshake_reason(a->status)) &&
            add_date(out, io->ops->wall(io));
  if (a->is_last)
    ok = ok && add(out, has_upgrade ? "Connection: close, Upgrade\r\n"
                                    : "Connection: close\r\n");
  else if (c->pending->http.minor == 0)
    ok = ok && add(out, "Connection: keep-alive\r\n");
  if (!a->has_type && a->body.n && !has_no_body(a->status))
    ok = ok && add(out, "Content-Type: text/plain; charset=utf-8\r\n");
  if (a->status != 204 && a->status >= 200 && (a->status != 304 || a->body.n))
    ok = ok && addf(out, "Content-Length: %zu\r\n", a->body.n);
  return ok && ws_buf_append(out, a->fields.p, a->fields.n) && add(out, "\r\n");
}

static bool send_out(struct ws_conn *c, const struct answer *a) {
  struct ws_buf *out = &c->pending->out;
  const uint8_t *body = (const uint8_t *)a->body.p;
  size_t n = a->body.n;
  if (a->is_head || has_no_body(a->status) || !body) n = 0;
  if (n <= WS_CORK_PAYLOAD / 2 && out->len <= WS_CORK_PAYLOAD / 2) {
    uint8_t *to = ws_stream_reserve(&c->stream, out->len + n);
    if (!to) return false;
    memcpy(to, ws_buf_begin(out), out->len);
    if (n) memcpy(to + out->len, body, n);
    ws_stream_commit(&c->stream, out->len + n);
    return true;
  }
  return ws_stream_write(&c->stream, ws_buf_begin(out), out->len, body, n);
}

static bool is_answerable(const struct ws_conn *c) {
  return c->state == WS_CONN_PENDING && c->pending &&
         c->pending->step != WS_STEP_ANSWERED && !c->is_client;
}

void ws_conn_refused(struct ws_conn *c, enum ws_refusal why, int status) {
  if (is_answerable(c)) ws_server_refused(c->server, c, why, status);
}

void ws_conn_respond(struct ws_conn *c, int status, struct ws_slice fields,
                     bool has_type, struct ws_slice body) {
  if (!is_answerable(c)) return;
  struct ws_pending *p = c->pending;
  struct answer a = {.status = status,
                     .fields = fields,
                     .body = body,
                     .has_type = has_type,
                     .is_head = p->shake.method == WS_HEAD};
  p->requests++;
  c->server->stats.requests++;
  a.is_last = p->is_refusing || !p->shake.keep_alive || c->server->is_closing ||
              c->is_eof || p->requests >= c->server->http.keepalive_requests;
  p->out.len = p->out.off = 0;
  bool ok = write_head(c, &p->out, &a) && send_out(c, &a);
  ws_buf_free(&p->out);
  if (!ok) {
    ws_conn_cut(c, 1006, "out of memory");
  } else if (a.is_last) {
    p->step = WS_STEP_ANSWERED;
    ws_conn_end(c, 1006, "not upgraded");
  } else {
    ws_upgrade_next(c);
  }
}

void ws_response_error(struct ws_conn *c, int status, struct ws_slice fields) {
  char text[64];
  int n =
    snprintf(text, sizeof text, "%d %s\n", status, ws_handshake_reason(status));
  ws_conn_respond(c, status, fields, false, (struct ws_slice){text, (size_t)n});
}

void ws_response_continue(struct ws_conn *c) {
  static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
  uint8_t *to = ws_stream_reserve(&c->stream, sizeof text - 1);
  if (!to) return; /* the peer sends its body after a while anyway */
  memcpy(to, text, sizeof text - 1);
  ws_stream_commit(&c->stream, sizeof text - 1);
}

/* ---- accepting ---- */

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
  struct ws_pending *p = c->pending;
  c->meta =
    ws_conn_new_meta(p->shake.path, p->shake.query, subprotocol, &p->client);
  if (!c->meta) return false;
  if ((c->meta->pattern = c->route->pattern)) c->meta->pattern->refs++;
  if (!p->shake.origin.p) return true;
  c->meta->origin = share_origin(c->server, p->shake.origin);
  return c->meta->origin != NULL;
}

static bool write_101(struct ws_conn *c, struct ws_slice subprotocol,
                      struct ws_slice fields, struct ws_extension *agreed) {
  struct ws_pending *p = c->pending;
  const struct ws_extension *wish = &c->options->protocol.wish;
  char text[WS_EXTENSION_MAX];
  struct ws_slice extensions = {text, 0};
  p->out.len = p->out.off = 0;
  if (wish->is_on)
    ws_extension_choose(&p->http, p->bytes, wish, agreed, text, &extensions.n);
  if (!ws_handshake_write_101(&p->out, p->shake.key.p, subprotocol, extensions,
                              fields))
    return false;
  struct answer whole = {.status = 200};
  return send_out(c, &whole);
}

void ws_conn_accept(struct ws_conn *c, struct ws_slice subprotocol,
                    struct ws_slice fields) {
  if (!is_answerable(c)) return;
  if (c->server->is_closing) { /* since it was asked about */
    c->pending->is_refusing = true;
    ws_conn_refused(c, WS_REFUSED_CLOSING, 503);
    ws_response_error(c, 503, (struct ws_slice){"", 0});
    return;
  }
  struct ws_pending *p = c->pending;
  struct ws_extension agreed = {.is_on = false};
  bool was_corked = c->stream.loop->corked == &c->stream;
  if (!was_corked) ws_stream_cork(&c->stream);
  if (!make_meta(c, subprotocol) ||
      !write_101(c, subprotocol, fields, &agreed)) {
    ws_conn_cut(c, 1006, "out of memory");
    return;
  }
  ws_buf_free(&p->out);
  ws_server_opened(c->server, c);
  ws_conn_open(c, WS_SERVER, &agreed);
  if (p->n > p->used &&
      c->state != WS_CONN_CLOSED) /* 4.2.2: the first frames */
    ws_conn_input(c, (uint8_t *)p->bytes + p->used, p->n - p->used);
  ws_upgrade_free(c);
  if (!was_corked) ws_stream_uncork(&c->stream);
  ws_conn_resume(c);
}
