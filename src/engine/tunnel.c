/* tunnel.c: CONNECT, and the answer to it. What stands behind its head belongs
 * to the server, or to TLS with it: it is left to the kernel, so that whoever
 * comes next finds the stream as if there were no proxy. Of a proxy over TLS
 * it cannot be left there; but no server speaks before it is asked. */
#include "engine/tunnel.h"

#include <errno.h>
#include <stdio.h>

#include "protocol/tunnel.h"

#define PEEK 4096
#define NAME_SHOWN 48 /* bytes of a host */

bool ws_tunnel_ask(struct ws_stream *s, struct ws_slice host, int port,
                   struct ws_slice login) {
  struct ws_buf request = {0};
  bool ok = ws_tunnel_write_request(&request, host, port, login);
  if (ok) ws_stream_write(s, ws_buf_begin(&request), request.len, NULL, 0);
  ws_stream_flush(s); /* what goes wrong is told as the proxy's */
  ws_buf_free(&request);
  return ok;
}

void ws_tunnel_name(const struct ws_tunnel_to *to,
                    char out[WS_TUNNEL_NAME_MAX]) {
  bool is_long = to->host.n > NAME_SHOWN;
  bool is_ipv6 = memchr(to->host.p, ':', to->host.n) != NULL;
  snprintf(out, WS_TUNNEL_NAME_MAX, "%s%.*s%s%s:%d", is_ipv6 ? "[" : "",
           is_long ? NAME_SHOWN : (int)to->host.n, to->host.p,
           is_long ? "..." : "", is_ipv6 ? "]" : "", to->port);
}

static enum ws_tunnel_state judge(const struct ws_reply *reply) {
  int status = reply->http.status;
  return status >= 200 && status <= 299 ? WS_TUNNEL_OPEN : WS_TUNNEL_REFUSED;
}

/* What was looked at is taken, but for what stands behind the head. */
static bool take(struct ws_stream *s, struct ws_reply *reply, size_t n) {
  struct ws_io *io = s->watch.loop->io;
  char bytes[PEEK];
  if (reply->head) {
    n -= reply->bytes.len - reply->head;
    reply->bytes.len = reply->head;
  }
  return io->ops->recv(io, s->watch.fd, bytes, n) == (ssize_t)n;
}

/* Looks at what has come, and with TLS takes it. */
static ssize_t look(struct ws_stream *s, uint8_t *to) {
  struct ws_io *io = s->watch.loop->io;
  struct iovec iov = {to, WS_READ_BUFFER};
  if (s->tls) return ws_stream_read(s, &iov, 1);
  ssize_t n = io->ops->peek(io, s->watch.fd, to, PEEK);
  return n == -EWOULDBLOCK || n == -EINTR ? -EAGAIN : n;
}

enum ws_tunnel_state ws_tunnel_read(struct ws_stream *s, struct ws_reply *reply,
                                    const char **why) {
  uint8_t *bytes = s->watch.loop->read_buffer;
  ssize_t n = look(s, bytes);
  if (n == -EAGAIN) return WS_TUNNEL_WAITS;
  *why = n ? "connection reset" : "closed during the handshake";
  if (n == -EPROTO) *why = NULL;
  if (n <= 0) return WS_TUNNEL_FAILED;
  *why = "out of memory";
  if (!ws_buf_append(&reply->bytes, bytes, (size_t)n)) return WS_TUNNEL_FAILED;
  int r = ws_reply_read(reply, why);
  if (r < 0) return WS_TUNNEL_FAILED;
  *why = "connection reset";
  if (!s->tls && !take(s, reply, (size_t)n)) return WS_TUNNEL_FAILED;
  if (r == 0) return WS_TUNNEL_WAITS;
  *why = "an answer before the request was sent";
  if (ws_stream_pending(s)) return WS_TUNNEL_FAILED;
  enum ws_tunnel_state state = judge(reply);
  bool is_more = reply->bytes.len > reply->head;
  return state == WS_TUNNEL_OPEN && is_more ? WS_TUNNEL_FAILED : state;
}
