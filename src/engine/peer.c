/* peer.c: who is at the other end: PROXY headers and forwarded fields, taken
 * from trusted peers alone. */
#include "engine/peer.h"

#include <errno.h>

#include "base/buf.h"
#include "engine/pending.h"
#include "engine/pressure.h"
#include "engine/route.h"
#include "engine/server_log.h"
#include "transport/random.h"

#define PEEK 512 /* bytes; a longer header takes more than one */

static bool is_proxy(const struct ws_server *s, const struct ws_ip *ip) {
  return s->trusted.n && ws_forwarded_is_trusted(&s->trusted, ip);
}

static bool is_trusted(const struct ws_conn *c) {
  struct ws_ip ip = ws_net_ip(&ws_pending_of(c)->peer);
  return is_proxy(c->route->server, &ip);
}

/* ---- how many there are from one address ---- */

static bool counts(const struct ws_server *s, const struct ws_ip *ip) {
  return s->http.max_per_address != WS_NO_LIMIT &&
         (ip->kind == WS_IP_V4 || ip->kind == WS_IP_V6) && !is_proxy(s, ip);
}

bool ws_peer_is_welcome(const struct ws_server *s,
                        const struct ws_address *peer) {
  struct ws_ip ip = ws_net_ip(peer);
  return !counts(s, &ip) ||
         ws_crowd_count(&s->crowd, &ip) < s->http.max_per_address;
}

static bool has_key(struct ws_server *s) {
  struct ws_crowd *crowd = &s->crowd;
  return crowd->n_buckets ||
         ws_random_take(s->loop, &crowd->key, sizeof crowd->key);
}

bool ws_peer_count(struct ws_conn *c, const struct ws_address *client) {
  struct ws_server *s = c->route->server;
  struct ws_ip ip = ws_net_ip(client);
  if (c->neighbours || !counts(s, &ip)) return true;
  if (has_key(s)) c->neighbours = ws_crowd_enter(&s->crowd, &ip);
  return c->neighbours != NULL;
}

/* ---- proxies ---- */

static void log_refusal(struct ws_conn *c, const char *what) {
  struct ws_server *s = c->route->server;
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
  struct ws_tls_context *tls = c->route->server->tls;
  return !tls || ws_stream_start_tls(&c->stream, tls, NULL);
}

bool ws_peer_start(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  p->client = p->peer;
  if (!ws_peer_count(c, &p->peer)) return false;
  if (!c->route->server->proxy_protocol) return start_tls(c);
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
  if (!ws_peer_is_welcome(c->route->server, &p->peer)) {
    ws_pending_cut(c, WS_REFUSED_ADDRESS, "connection lost");
    return false;
  }
  if (ws_peer_count(c, &p->peer) && start_tls(c)) return true;
  ws_conn_cut_memory(c);
  return false;
}

bool ws_peer_read(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  struct ws_io *io = c->stream.watch.loop->io;
  int fd = c->stream.watch.fd;
  uint8_t bytes[PEEK];
  while (!p->proxy->is_done) {
    ssize_t n = io->ops->peek(io, fd, bytes, sizeof bytes);
    if (n == -EAGAIN || n == -EWOULDBLOCK || n == -EINTR) return false;
    int64_t used = n > 0 ? ws_proxy_feed(p->proxy, bytes, (size_t)n) : -1;
    if (n > 0 && used < 0) log_refusal(c, "it sent no PROXY header");
    /* what was looked at is taken, so that it does not wake us again */
    if (used < 0 || io->ops->recv(io, fd, bytes, (size_t)used) != used) {
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
  f = ws_forwarded_read(&p->http, p->bytes, &c->route->server->trusted);
  p->client = p->peer;
  if (f.client.kind) ws_net_from_ip(&p->client, &f.client);
  c->scheme = f.scheme;
}

/* Of whom a trusted proxy has named, the place is taken here. */
int ws_peer_judge(struct ws_conn *c, bool is_upgrade) {
  struct ws_server *s = c->route->server;
  struct ws_pending *p = ws_pending_of(c);
  if (!ws_route_serves_host(s, p->shake.host)) return 421;
  if (ws_pressure_is_high(s)) return 503;
  if (!is_upgrade || c->neighbours) return 0;
  if (!ws_peer_is_welcome(s, &p->client)) return 429;
  return ws_peer_count(c, &p->client) ? 0 : 503;
}
