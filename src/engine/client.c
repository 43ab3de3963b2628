/* client.c: the client's request and the answer to it, between a connected
 * descriptor (dial.c) and an open connection. */
#include "engine/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/conn.h"
#include "engine/conn_deadline.h"
#include "engine/conn_flow.h"
#include "engine/conn_read.h"
#include "engine/dial.h"
#include "engine/route.h"
#include "protocol/handshake_client.h"
#include "protocol/reply.h"
#include "protocol/retry_after.h"

#define BODY_TIMEOUT 1.0 /* seconds for what a refusal has to say */

enum step {
  TUNNEL,  /* a proxy was asked */
  ANSWER,  /* the server was asked */
  REFUSAL, /* either has refused: the body is read */
};

struct ws_client {
  struct ws_phase phase; /* first */
  struct ws_conn *conn;
  struct ws_dial dial;
  struct ws_buf request;
  struct ws_buf offered; /* the sub-protocols */
  struct ws_buf target;  /* path and query */
  struct ws_buf name;    /* whom TLS expects, with its zero byte */
  struct ws_tls_context *tls;
  const struct ws_extension *wish; /* the route's */
  struct ws_extension agreed;
  struct ws_buf host; /* whom a proxy is asked for, */
  int port;
  struct ws_buf login; /* and as whom */
  struct ws_buf proxy_name;
  struct ws_tls_context *proxy_tls;
  uint32_t deadline;
  uint8_t step;
  char key[WS_KEY_LEN];
  char proxy[WS_TUNNEL_NAME_MAX]; /* who speaks until then; "": nobody */
  struct ws_reply reply;
};

static void discard(struct ws_client *cl) {
  ws_buf_free(&cl->request);
  ws_buf_free(&cl->host);
  ws_buf_free(&cl->login);
  ws_reply_free(&cl->reply);
  ws_buf_free(&cl->offered);
  ws_buf_free(&cl->target);
  ws_buf_free(&cl->name);
  ws_buf_free(&cl->proxy_name);
  ws_tls_context_release(cl->tls);
  ws_tls_context_release(cl->proxy_tls);
  ws_mem_free(cl);
}

static struct ws_client *client_of(const struct ws_conn *c) {
  return (struct ws_client *)c->phase;
}

static struct ws_slice slice_of(const struct ws_buf *b) {
  return (struct ws_slice){b->len ? (char *)ws_buf_begin(b) : "", b->len};
}

static void free_client(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  if (!cl) return;
  ws_dial_stop(&cl->dial);
  c->phase = NULL;
  discard(cl);
}

/* Not of the server, if a proxy has not let us through to it. */
static bool is_of_proxy(struct ws_conn *c, const char *why) {
  struct ws_client *cl = client_of(c);
  char text[WS_REASON_MAX];
  if (!cl || !cl->proxy[0]) return false;
  int n = snprintf(text, sizeof text, "proxy %s: %s", cl->proxy, why);
  size_t len = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
  return ws_conn_set_reason(c, text, len) == WS_OK;
}

static void give_up(struct ws_conn *c, const char *why) {
  ws_conn_cut(c, 1006, is_of_proxy(c, why) ? NULL : why);
}

static bool write_request(struct ws_client *cl,
                          const struct ws_client_request *what) {
  struct ws_slice target = what->url.target;
  if (target.n == 0 || target.p[0] != '/')
    if (!ws_buf_append(&cl->target, "/", 1)) return false;
  if (target.n && !ws_buf_append(&cl->target, target.p, target.n)) return false;
  if (what->subprotocols.n &&
      !ws_buf_append(&cl->offered, what->subprotocols.p, what->subprotocols.n))
    return false;
  char text[WS_EXTENSION_MAX], name[WS_URL_HOST_MAX];
  struct ws_slice extensions = {text, ws_extension_offer(cl->wish, text)};
  struct ws_slice host = {name, ws_url_write_host(&what->url, name)};
  return ws_handshake_write_request(&cl->request, host, slice_of(&cl->target),
                                    cl->key, what->origin, what->subprotocols,
                                    extensions, what->fields);
}

/* A dot at the end of a name belongs to the look-up alone. */
static bool keep_name(struct ws_buf *to, struct ws_slice told,
                      struct ws_slice host) {
  struct ws_slice name = told.n ? told : host;
  if (name.n > 1 && name.p[name.n - 1] == '.') name.n--;
  return ws_buf_append(to, name.p, name.n) && ws_buf_append(to, "", 1);
}

static bool prepare_tls(struct ws_client *cl,
                        const struct ws_client_request *what) {
  cl->tls = ws_tls_context_hold(what->tls);
  return !cl->tls || keep_name(&cl->name, what->server_name, what->url.host);
}

static bool prepare_proxy(struct ws_client *cl,
                          const struct ws_client_request *what) {
  cl->step = what->proxy.host.n ? TUNNEL : ANSWER;
  if (cl->step == ANSWER) return true;
  ws_tunnel_name(&what->proxy, cl->proxy);
  cl->port = what->url.port;
  cl->proxy_tls = ws_tls_context_hold(what->proxy.tls);
  return ws_buf_append(&cl->host, what->url.host.p, what->url.host.n) &&
         ws_buf_append(&cl->login, what->proxy.login.p, what->proxy.login.n) &&
         keep_name(&cl->proxy_name, what->proxy.name, what->proxy.host);
}

static bool prepare(struct ws_client *cl, struct ws_io *io,
                    const struct ws_route *route,
                    const struct ws_client_request *what) {
  uint8_t nonce[16];
  if (io->ops->random(io, nonce, sizeof nonce) < 0) return false;
  ws_handshake_make_key(nonce, cl->key);
  cl->wish = &route->options.protocol.wish;
  ws_reply_begin(&cl->reply);
  return prepare_tls(cl, what) && prepare_proxy(cl, what) &&
         write_request(cl, what);
}

static void send_request(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  ws_stream_write(&c->stream, ws_buf_begin(&cl->request), cl->request.len, NULL,
                  0);
  ws_buf_free(&cl->request);
  if (c->stream.error) give_up(c, "connection reset");
}

/* What is said from here on is said to the server. */
static void reached(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  cl->step = ANSWER;
  cl->proxy[0] = '\0';
  if (cl->tls && !ws_stream_start_tls(&c->stream, cl->tls,
                                      (char *)ws_buf_begin(&cl->name)))
    give_up(c, "out of memory");
  else
    send_request(c);
}

static bool start_proxy_tls(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  if (!cl->proxy_tls) return true;
  bool ok = ws_stream_start_tls(&c->stream, cl->proxy_tls,
                                (char *)ws_buf_begin(&cl->proxy_name));
  c->stream.is_secure = false; /* the server is farther away */
  return ok;
}

static void ask_proxy(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  if (!start_proxy_tls(c) || !ws_tunnel_ask(&c->stream, slice_of(&cl->host),
                                            cl->port, slice_of(&cl->login)))
    give_up(c, "out of memory");
  else if (c->stream.error)
    give_up(c, "connection reset");
}

/* The descriptor is connected and nothing has been said yet. */
static void connected(struct ws_conn *c) {
  ws_loop_watch(c->stream.watch.loop, &c->stream.watch, WS_READ);
  if (client_of(c)->step == TUNNEL)
    ask_proxy(c);
  else
    reached(c);
}

static void on_dialed(struct ws_dial *d, int fd) {
  struct ws_conn *c = WS_LIST_ENTRY(d, struct ws_client, dial)->conn;
  c->stream.watch.fd = fd;
  if (c->state != WS_CONN_PENDING) return; /* given up: it will be closed */
  if (fd < 0)
    give_up(c, d->why);
  else
    connected(c);
}

static void dial(struct ws_client *cl, struct ws_loop *loop,
                 const struct ws_client_request *what) {
  char host[512];
  const struct ws_url *url = &what->url;
  struct ws_slice name = url->socket.p ? url->socket : url->host;
  struct ws_slice zone = url->zone;
  int port = url->port;
  if (cl->step == TUNNEL) {
    name = what->proxy.host;
    zone.n = 0;
    port = what->proxy.port;
  }
  snprintf(host, sizeof host, "%.*s%s%.*s", (int)name.n, name.p,
           zone.n ? "%" : "", (int)zone.n, zone.n ? zone.p : "");
  cl->dial.done = on_dialed;
  ws_dial_start(&cl->dial, loop, host, port, url->socket.p ? host : NULL);
}

static struct ws_client *new_client(struct ws_io *io,
                                    const struct ws_route *route,
                                    const struct ws_client_request *what) {
  struct ws_client *cl = ws_mem_zero(sizeof *cl);
  if (cl && prepare(cl, io, route, what)) return cl;
  if (cl) discard(cl);
  return NULL;
}

/* Of this attempt, and what the answer to it was. */
static bool note_answer(struct ws_conn *c, struct ws_slice subprotocol) {
  struct ws_client *cl = client_of(c);
  struct ws_slice query = {"", 0}, path = slice_of(&cl->target);
  const char *mark = memchr(path.p, '?', path.n);
  if (mark) {
    query = (struct ws_slice){mark + 1, (size_t)(path.p + path.n - mark - 1)};
    path.n = (size_t)(mark - path.p);
  }
  struct ws_meta *before = c->meta;
  struct ws_meta *m = ws_conn_new_meta(path, query, subprotocol, cl->dial.peer,
                                       ws_reply_whole(&cl->reply));
  if (!m) return false;
  c->meta = m;
  ws_mem_free(before); /* of a connection that was lost */
  return true;
}

/* "403 Forbidden", as the reason of the end. */
static void refused(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  struct ws_reply *reply = &cl->reply;
  char text[WS_REASON_MAX];
  size_t skip = 0;
  if (cl->proxy[0])
    skip = (size_t)snprintf(text, sizeof text, "proxy %s: ", cl->proxy);
  size_t n = ws_reply_status(reply, text + skip, sizeof text - skip);
  struct ws_rare *r = ws_conn_rare(c);
  if (r) {
    struct ws_io *io = c->stream.watch.loop->io;
    int64_t wait = ws_retry_after(
      &reply->http, (char *)ws_buf_begin(&reply->bytes), io->ops->wall(io));
    r->status = reply->http.status;
    r->retry_after = wait > 0 ? (uint32_t)wait : 0;
  }
  note_answer(c, (struct ws_slice){NULL, 0});
  ws_conn_set_reason(c, text, skip + n);
  ws_conn_cut(c, 1006, NULL);
}

static void read_refusal(struct ws_conn *c) {
  if (ws_reply_read_body(&client_of(c)->reply)) refused(c);
}

/* What the body says is worth a moment, not the time that connecting has. */
static void begin_refusal(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  struct ws_loop *loop = c->stream.watch.loop;
  uint32_t limit = loop->tick + ws_loop_ticks(BODY_TIMEOUT);
  cl->step = REFUSAL;
  if ((int32_t)(cl->deadline - limit) > 0) cl->deadline = limit;
  ws_loop_deadline(loop, &c->deadline, cl->deadline);
  ws_reply_begin_body(&cl->reply);
  read_refusal(c);
}

static void on_deadline(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  if ((int32_t)(cl->deadline - c->stream.watch.loop->tick) > 0)
    ws_loop_deadline(c->stream.watch.loop, &c->deadline, cl->deadline);
  else if (cl->step == REFUSAL)
    refused(c);
  else
    give_up(c, "timeout");
}

static void open_it(struct ws_conn *c, struct ws_slice subprotocol) {
  struct ws_client *cl = client_of(c);
  struct ws_buf *bytes = &cl->reply.bytes;
  size_t used = cl->reply.head, len = bytes->len;
  if (!note_answer(c, subprotocol)) {
    give_up(c, "out of memory");
    return;
  }
  ws_stream_cork(&c->stream);
  ws_conn_open(c, WS_CLIENT, &cl->agreed);
  if (len > used && c->state != WS_CONN_CLOSED)
    ws_conn_input(c, ws_buf_begin(bytes) + used, len - used);
  free_client(c);
  ws_stream_uncork(&c->stream);
  ws_conn_resume(c);
}

static void take_answer(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  struct ws_reply *reply = &cl->reply;
  struct ws_slice subprotocol = {NULL, 0};
  const char *why = NULL;
  int r = ws_reply_read(reply, &why);
  if (r == 0) return;
  if (r < 0)
    give_up(c, why);
  else if (reply->http.status != 101)
    begin_refusal(c);
  else if (ws_handshake_check_answer(&reply->http,
                                     (char *)ws_buf_begin(&reply->bytes),
                                     cl->key, slice_of(&cl->offered), cl->wish,
                                     &subprotocol, &cl->agreed, &why) != WS_OK)
    give_up(c, why);
  else
    open_it(c, subprotocol);
}

/* What TLS says is wrong, with the proxy. */
static void fail_tls(struct ws_conn *c) {
  char why[WS_STREAM_REASON_MAX];
  ws_stream_why(&c->stream, why);
  ws_conn_cut(c, 1006, is_of_proxy(c, why) ? NULL : "out of memory");
}

static void read_proxy(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  const char *why = NULL;
  switch (ws_tunnel_read(&c->stream, &cl->reply, &why)) {
  case WS_TUNNEL_WAITS: break;
  case WS_TUNNEL_REFUSED: begin_refusal(c); break;
  case WS_TUNNEL_FAILED: why ? give_up(c, why) : fail_tls(c); break;
  case WS_TUNNEL_OPEN:
    ws_reply_begin(&cl->reply);
    reached(c);
    break;
  }
}

/* The end of what is read, or a failure. */
static void lost(struct ws_conn *c, ssize_t n) {
  if (client_of(c)->step == REFUSAL) {
    refused(c);
  } else if (n == -EPROTO) {
    c->stream.error = EPROTO;
    ws_loop_late(c->stream.watch.loop, &c->stream.late);
  } else {
    give_up(c, n ? "connection reset" : "closed during the handshake");
  }
}

static void read_server(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  struct ws_loop *loop = c->stream.watch.loop;
  struct iovec iov = {loop->read_buffer, WS_READ_BUFFER};
  ssize_t n = ws_stream_read(&c->stream, &iov, 1);
  if (n == -EAGAIN) return;
  if (n <= 0)
    lost(c, n);
  else if (!ws_buf_append(&cl->reply.bytes, loop->read_buffer, (size_t)n))
    give_up(c, "out of memory");
  else if (cl->step == REFUSAL)
    read_refusal(c);
  else
    take_answer(c);
}

static void on_ready(struct ws_conn *c, uint8_t got) {
  if (got & WS_WRITE) ws_stream_flush(&c->stream);
  if (!(got & WS_READ) || c->stream.error) return;
  if (!ws_loop_prepare(c->stream.watch.loop))
    give_up(c, "out of memory");
  else if (client_of(c)->step == TUNNEL)
    read_proxy(c);
  else
    read_server(c);
}

static void ignore(struct ws_conn *c) {
  (void)c;
}

static const struct ws_phase_calls calls = {.on_ready = on_ready,
                                            .on_deadline = on_deadline,
                                            .after_flush = ignore,
                                            .free = free_client};

static void begin(struct ws_conn *c, struct ws_client *cl,
                  const struct ws_client_request *what) {
  struct ws_loop *loop = c->stream.watch.loop;
  cl->phase.calls = &calls;
  c->phase = &cl->phase;
  cl->conn = c;
  uint32_t now = ws_loop_tick(loop, ws_loop_now(loop));
  cl->deadline =
    now + (what->timeout > 0 ? ws_loop_ticks(what->timeout) : WS_TICKS_MAX / 2);
  ws_loop_deadline(loop, &c->deadline, cl->deadline);
  dial(cl, loop, what);
}

bool ws_client_start(struct ws_conn *c, struct ws_loop *loop,
                     struct ws_route *route, uint64_t id,
                     const struct ws_client_request *what) {
  struct ws_client *cl = new_client(loop->io, route, what);
  if (!cl) return false;
  loop->on_deadline = ws_conn_on_deadline;
  ws_route_lend(route, loop);
  ws_conn_init(c, loop, route, -1, id);
  c->protocol.is_client = true;
  begin(c, cl, what);
  return true;
}

void ws_client_again(struct ws_conn *c, const struct ws_client_request *what) {
  struct ws_client *cl = new_client(c->stream.watch.loop->io, c->route, what);
  c->is_told = false;
  c->code = 1006;
  c->cause = NULL;
  c->rare->reason_len = 0; /* who comes again has it */
  c->rare->status = 0;
  if (cl)
    begin(c, cl, what);
  else
    give_up(c, "out of memory");
}
