/* response.c: an answer as bytes: its head, written as RFC 9112 wants it, and
 * its body behind it. */
#include "engine/response.h"

#include <inttypes.h>
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
  return status == 204 || status == 304;
}

bool ws_response_has_body(const struct ws_answer *a) {
  return !a->is_head && !has_no_body(a->status);
}

/* 7.1: HTTP/1.0 has no chunks: there the end of the connection is that of the
 * body. */
static bool has_chunks(const struct ws_conn *c) {
  const struct ws_pending *p = ws_pending_of(c);
  return p->http.minor != 0 && !p->is_counted;
}

static bool add_length(struct ws_conn *c, struct ws_buf *out,
                       const struct ws_answer *a) {
  if (a->status == 204) return true;
  if (a->has_length)
    return addf(out, "Content-Length: %" PRIu64 "\r\n", a->length);
  if (a->is_stream)
    return !ws_response_has_body(a) || !has_chunks(c) ||
           add(out, "Transfer-Encoding: chunked\r\n");
  if (a->status == 304 && !a->body.n) return true;
  return addf(out, "Content-Length: %zu\r\n", a->body.n);
}

static bool write_head(struct ws_conn *c, struct ws_buf *out,
                       const struct ws_answer *a) {
  struct ws_io *io = c->stream.watch.loop->io;
  bool has_upgrade = a->status == 426;
  bool ok = addf(out, "HTTP/1.1 %d %s\r\n", a->status,
                 ws_handshake_reason(a->status)) &&
            add_date(out, io->ops->wall(io));
  if (a->is_last)
    ok = ok && add(out, has_upgrade ? "Connection: close, Upgrade\r\n"
                                    : "Connection: close\r\n");
  else if (ws_pending_of(c)->http.minor == 0)
    ok = ok && add(out, "Connection: keep-alive\r\n");
  if (!a->has_type && (a->body.n || a->is_stream) && !has_no_body(a->status))
    ok = ok && add(out, "Content-Type: text/plain; charset=utf-8\r\n");
  return ok && add_length(c, out, a) &&
         ws_buf_append(out, a->fields.p, a->fields.n) && add(out, "\r\n");
}

static bool send_out(struct ws_conn *c, const struct ws_answer *a) {
  struct ws_buf *out = &ws_pending_of(c)->out;
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

bool ws_response_write(struct ws_conn *c, const struct ws_answer *a) {
  struct ws_buf *out = &ws_pending_of(c)->out;
  out->len = out->off = 0;
  bool ok = write_head(c, out, a) && send_out(c, a);
  ws_buf_free(out);
  return ok;
}

static bool send_small(struct ws_conn *c, const void *data, size_t n) {
  uint8_t *to = ws_stream_reserve(&c->stream, n);
  if (!to) return false;
  memcpy(to, data, n);
  ws_stream_commit(&c->stream, n);
  return true;
}

bool ws_response_piece(struct ws_conn *c, const void *data, size_t n) {
  char head[24];
  int h = has_chunks(c) ? snprintf(head, sizeof head, "%zx\r\n", n) : 0;
  size_t tail = h ? 2 : 0, len = (size_t)h + n + tail;
  if (len > WS_CORK_PAYLOAD)
    return ws_stream_write(&c->stream, (uint8_t *)head, (size_t)h, data, n) &&
           (!tail || send_small(c, "\r\n", tail));
  uint8_t *to = ws_stream_reserve(&c->stream, len);
  if (!to) return false;
  memcpy(to, head, (size_t)h);
  memcpy(to + h, data, n);
  if (tail) memcpy(to + h + n, "\r\n", tail);
  ws_stream_commit(&c->stream, len);
  return true;
}

bool ws_response_last_piece(struct ws_conn *c) {
  return !has_chunks(c) || send_small(c, "0\r\n\r\n", 5);
}

void ws_response_continue(struct ws_conn *c) {
  static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
  uint8_t *to = ws_stream_reserve(&c->stream, sizeof text - 1);
  if (!to) return; /* the peer sends its body after a while anyway */
  memcpy(to, text, sizeof text - 1);
  ws_stream_commit(&c->stream, sizeof text - 1);
}

bool ws_response_write_101(struct ws_conn *c, struct ws_slice subprotocol,
                           struct ws_slice fields,
                           struct ws_extension *agreed) {
  struct ws_pending *p = ws_pending_of(c);
  const struct ws_extension *wish = &c->route->options.protocol.wish;
  char text[WS_EXTENSION_MAX];
  struct ws_slice extensions = {text, 0};
  p->out.len = p->out.off = 0;
  if (wish->is_on)
    ws_extension_choose(&p->http, p->bytes, wish, agreed, text, &extensions.n);
  if (!ws_handshake_write_101(&p->out, p->shake.key.p, subprotocol, extensions,
                              fields))
    return false;
  struct ws_answer whole = {.status = 200};
  return send_out(c, &whole);
}
