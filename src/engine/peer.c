/* peer.c: who is at the other end: PROXY headers and forwarded fields, taken
 * from trusted peers alone. */
#include "engine/peer.h"

#include <errno.h>

#include "base/buf.h"
#include "engine/pending.h"
#include "engine/server_log.h"

#define PEEK 512 /* bytes; a longer header takes more than one */

static bool is_trusted(const struct ws_conn *c) {
  const struct ws_trusted *trusted = &c->server->trusted;
  if (!trusted->n) return false;
  struct ws_ip ip = ws_net_ip(&ws_pending_of(c)->peer);
  return ws_forwarded_is_trusted(trusted, &ip);
}

static void log_refusal(struct ws_conn *c, const char *what) {
  struct ws_server *s = c->server;
  char peer[WS_NET_TEXT_MAX];
  static const char local[] = "a peer on the Unix socket";
  ws_server_refused(s, c, WS_REFUSED_PROXY, 0);
  if (!ws_server_may_warn(s, &s->warned_proxy)) return;
  ws_net_text(&ws_pending_of(c)->peer, peer);
  ws_server_log(s, WS_LOG_WARNING, "refused %s: %s", peer[0] ? peer : local,
                what);
}

/* TLS begins where the PROXY header ends. */
static bool start_tls(struct ws_conn *c) {
  struct ws_tls_context *tls = c->server->tls;
  return !tls || ws_stream_start_tls(&c->stream, tls, NULL);
}

bool ws_peer_start(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  p->client = p->peer;
  if (!c->server->proxy_protocol) return start_tls(c);
  if (!is_trusted(c)) {
    log_refusal(c, "a PROXY header is wanted, and it is none of option "
                   "'trusted_proxies'");
    ws_conn_cut(c, 1006, "connection lost");
    return true;
  }
  p->proxy = ws_mem_zero(sizeof *p->proxy);
  p->step = WS_STEP_PROXY;
  return p->proxy != NULL;
}

static bool take_proxy(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  if (p->proxy->from.kind) ws_net_from_ip(&p->peer, &p->proxy->from);
  p->client = p->peer;
  ws_mem_free(p->proxy);
  p->proxy = NULL;
  p->step = WS_STEP_HEAD;
  if (start_tls(c)) return true;
  ws_conn_cut(c, 1006, "out of memory");
  return false;
}

bool ws_peer_read(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  struct ws_io *io = c->stream.loop->io;
  int fd = c->stream.watch.fd;
  uint8_t bytes[PEEK];
  while (!p->proxy->is_done) {
    ssize_t n = io->ops->peek(io, fd, bytes, sizeof bytes);
    if (n == -EAGAIN || n == -EWOULDBLOCK || n == -EINTR) return false;
    int64_t used = n > 0 ? ws_proxy_feed(p->proxy, bytes, (size_t)n) : -1;
    if (n > 0 && used < 0) log_refusal(c, "it sent no PROXY header");
    /* what was looked at is taken, so that it does not wake us again */
    if (used < 0 || io->ops->recv(io, fd, bytes, (size_t)used) != used) {
      if (n <= 0) ws_server_refused(c->server, c, WS_REFUSED_LOST, 0);
      c->is_eof = n == 0;
      ws_conn_cut(c, 1006, "connection lost");
      return false;
    }
  }
  return take_proxy(c);
}

void ws_peer_take_head(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  struct ws_forwarded f;
  if (!is_trusted(c)) return;
  f = ws_forwarded_read(&p->http, p->bytes, &c->server->trusted);
  p->client = p->peer;
  if (f.client.kind) ws_net_from_ip(&p->client, &f.client);
  c->scheme = f.scheme;
}
