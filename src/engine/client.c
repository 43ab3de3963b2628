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
#include "protocol/retry_after.h"

#define FIELDS_MAX 100
#define HEAD_MAX (32 * 1024)
#define INTERIM_MAX 16

struct ws_client {
  struct ws_phase phase; /* first */
  struct ws_conn *conn;
  struct ws_dial dial;
  struct ws_buf request;
  struct ws_buf answer;
  struct ws_buf offered; /* the sub-protocols */
  struct ws_buf target;  /* path and query */
  struct ws_buf name;    /* whom TLS expects, with its zero byte */
  struct ws_tls_context *tls;
  const struct ws_extension *wish; /* the route's */
  struct ws_extension agreed;
  struct ws_http http;
  int interim; /* answers with a status of 1xx before the one that counts */
  uint32_t deadline;
  char key[WS_KEY_LEN];
  struct ws_http_field fields[FIELDS_MAX];
};

static void discard(struct ws_client *cl) {
  ws_buf_free(&cl->request);
  ws_buf_free(&cl->answer);
  ws_buf_free(&cl->offered);
  ws_buf_free(&cl->target);
  ws_buf_free(&cl->name);
  ws_tls_context_release(cl->tls);
  ws_mem_free(cl);
}

static struct ws_client *client_of(const struct ws_conn *c) {
  return (struct ws_client *)c->phase;
}

static void free_client(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  if (!cl) return;
  ws_dial_stop(&cl->dial);
  c->phase = NULL;
  discard(cl);
}

static void give_up(struct ws_conn *c, const char *why) {
  ws_conn_cut(c, 1006, why);
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
  struct ws_slice whole = {(char *)cl->target.data, cl->target.len};
  char text[WS_EXTENSION_MAX], name[WS_URL_HOST_MAX];
  struct ws_slice extensions = {text, ws_extension_offer(cl->wish, text)};
  struct ws_slice host = {name, ws_url_write_host(&what->url, name)};
  return ws_handshake_write_request(&cl->request, host, whole, cl->key,
                                    what->origin, what->subprotocols,
                                    extensions, what->fields);
}

/* A dot at the end of a name belongs to the look-up alone. */
static bool prepare_tls(struct ws_client *cl,
                        const struct ws_client_request *what) {
  struct ws_slice name =
    what->server_name.n ? what->server_name : what->url.host;
  if (name.n > 1 && name.p[name.n - 1] == '.') name.n--;
  cl->tls = ws_tls_context_hold(what->tls);
  return !cl->tls || (ws_buf_append(&cl->name, name.p, name.n) &&
                      ws_buf_append(&cl->name, "", 1));
}

static bool prepare(struct ws_client *cl, struct ws_io *io,
                    const struct ws_route *route,
                    const struct ws_client_request *what) {
  uint8_t nonce[16];
  if (io->ops->random(io, nonce, sizeof nonce) < 0) return false;
  ws_handshake_make_key(nonce, cl->key);
  cl->wish = &route->options.protocol.wish;
  cl->http.fields = cl->fields;
  cl->http.max_fields = FIELDS_MAX;
  cl->http.max_line = cl->http.max_field_line = 8192;
  cl->http.max_head = HEAD_MAX;
  ws_http_reset(&cl->http);
  return prepare_tls(cl, what) && write_request(cl, what);
}

static void send_request(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  ws_stream_write(&c->stream, ws_buf_begin(&cl->request), cl->request.len, NULL,
                  0);
  ws_buf_free(&cl->request);
  if (c->stream.error) give_up(c, "connection reset");
}

/* The descriptor is connected and nothing has been said yet. */
static void connected(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  ws_loop_watch(c->stream.loop, &c->stream.watch, WS_READ);
  if (cl->tls && !ws_stream_start_tls(&c->stream, cl->tls,
                                      (char *)ws_buf_begin(&cl->name)))
    give_up(c, "out of memory");
  else
    send_request(c);
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
                 const struct ws_url *url) {
  char host[512];
  struct ws_slice name = url->socket.p ? url->socket : url->host;
  struct ws_slice zone = url->zone;
  snprintf(host, sizeof host, "%.*s%s%.*s", (int)name.n, name.p,
           zone.n ? "%" : "", (int)zone.n, zone.n ? zone.p : "");
  cl->dial.done = on_dialed;
  ws_dial_start(&cl->dial, loop, host, url->port, url->socket.p ? host : NULL);
}

static struct ws_client *new_client(struct ws_io *io,
                                    const struct ws_route *route,
                                    const struct ws_client_request *what) {
  struct ws_client *cl = ws_mem_zero(sizeof *cl);
  if (cl && prepare(cl, io, route, what)) return cl;
  if (cl) discard(cl);
  return NULL;
}

static void on_deadline(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  if ((int32_t)(cl->deadline - c->stream.loop->tick) > 0)
    ws_loop_deadline(c->stream.loop, &c->deadline, cl->deadline);
  else
    give_up(c, "timeout");
}

/* "403 Forbidden", as the reason of the end. */
static void refused(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  char text[WS_REASON_MAX];
  struct ws_slice reason = {(char *)ws_buf_begin(&cl->answer) + cl->http.reason,
                            cl->http.reason_len};
  int n = snprintf(text, sizeof text, "%d %.*s", cl->http.status,
                   (int)(reason.n < 100 ? reason.n : 100), reason.p);
  for (int i = 0; i < n; i++)
    if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] > 0x7E)
      text[i] = '?';
  while (n > 0 && text[n - 1] == ' ') n--;
  struct ws_rare *r = ws_conn_rare(c);
  if (r) {
    struct ws_io *io = c->stream.loop->io;
    int64_t wait = ws_retry_after(&cl->http, (char *)ws_buf_begin(&cl->answer),
                                  io->ops->wall(io));
    r->status = (uint16_t)cl->http.status;
    r->retry_after = wait > 0 ? (uint32_t)wait : 0;
  }
  ws_conn_set_reason(c, text, (size_t)n);
  give_up(c, NULL);
}

static void open_it(struct ws_conn *c, struct ws_slice subprotocol,
                    size_t used) {
  struct ws_client *cl = client_of(c);
  struct ws_slice query = {"", 0};
  struct ws_slice path = {(char *)cl->target.data, cl->target.len};
  const char *mark = memchr(path.p, '?', path.n);
  if (mark) {
    query = (struct ws_slice){mark + 1, (size_t)(path.p + path.n - mark - 1)};
    path.n = (size_t)(mark - path.p);
  }
  struct ws_meta *before = c->meta;
  c->meta = ws_conn_new_meta(path, query, subprotocol, cl->dial.peer);
  ws_mem_free(before); /* of a connection that was lost */
  if (!c->meta) {
    give_up(c, "out of memory");
    return;
  }
  ws_stream_cork(&c->stream);
  ws_conn_open(c, WS_CLIENT, &cl->agreed);
  if (cl->answer.len > used && c->state != WS_CONN_CLOSED)
    ws_conn_input(c, ws_buf_begin(&cl->answer) + used, cl->answer.len - used);
  free_client(c);
  ws_stream_uncork(&c->stream);
  ws_conn_resume(c);
}

/* RFC 9110 15.2: answers with 1xx may precede the one that counts, and 101
 * is one that does. Returns the length of its head, as ws_http_response. */
static int read_answer(struct ws_client *cl) {
  struct ws_http *h = &cl->http;
  for (;;) {
    int r =
      ws_http_response(h, (char *)ws_buf_begin(&cl->answer), cl->answer.len);
    if (r <= 0 || h->status >= 200 || h->status == 101) return r;
    if (++cl->interim > INTERIM_MAX) return WS_ERR_HEADERS_TOO_BIG;
    ws_buf_consume(&cl->answer, (size_t)r);
    ws_http_reset(h);
  }
}

static void take_answer(struct ws_conn *c) {
  struct ws_client *cl = client_of(c);
  struct ws_slice subprotocol = {NULL, 0};
  int r = read_answer(cl);
  const char *bytes = (char *)ws_buf_begin(&cl->answer), *why = NULL;
  if (r == 0) return;
  if (r == WS_ERR_HEADERS_TOO_BIG) {
    give_up(c, "the head of the answer is too big");
  } else if (r < 0) {
    bool has_lf = r == WS_ERR_BAD_REQUEST &&
                  ws_http_has_bare_lf(&cl->http, bytes, cl->answer.len);
    give_up(c, has_lf ? "lines of the answer end in LF without CR"
                      : "the answer is not HTTP");
  } else if (cl->http.status != 101) {
    refused(c);
  } else if (ws_handshake_check_answer(
               &cl->http, bytes, cl->key,
               (struct ws_slice){(char *)cl->offered.data, cl->offered.len},
               cl->wish, &subprotocol, &cl->agreed, &why) != WS_OK) {
    give_up(c, why);
  } else {
    open_it(c, subprotocol, (size_t)r);
  }
}

static void on_ready(struct ws_conn *c, uint8_t got) {
  struct ws_client *cl = client_of(c);
  struct ws_loop *loop = c->stream.loop;
  if (got & WS_WRITE) ws_stream_flush(&c->stream);
  if (!(got & WS_READ) || c->stream.error) return;
  if (!ws_loop_prepare(loop)) {
    give_up(c, "out of memory");
    return;
  }
  struct iovec iov = {loop->read_buffer, WS_READ_BUFFER};
  ssize_t n = ws_stream_read(&c->stream, &iov, 1);
  if (n == -EAGAIN) return;
  if (n == -EPROTO) {
    c->stream.error = EPROTO;
    ws_loop_late(loop, &c->stream.late);
  } else if (n <= 0)
    give_up(c, n ? "connection reset" : "closed during the handshake");
  else if (!ws_buf_append(&cl->answer, loop->read_buffer, (size_t)n))
    give_up(c, "out of memory");
  else
    take_answer(c);
}

static void after_flush(struct ws_conn *c) {
  (void)c;
}

static const struct ws_phase_calls calls = {.on_ready = on_ready,
                                            .on_deadline = on_deadline,
                                            .after_flush = after_flush,
                                            .free = free_client};

static void begin(struct ws_conn *c, struct ws_client *cl,
                  const struct ws_client_request *what) {
  struct ws_loop *loop = c->stream.loop;
  cl->phase.calls = &calls;
  c->phase = &cl->phase;
  cl->conn = c;
  uint32_t now = ws_loop_tick(loop, ws_loop_now(loop));
  cl->deadline =
    now + (what->timeout > 0 ? ws_loop_ticks(what->timeout) : WS_TICKS_MAX / 2);
  ws_loop_deadline(loop, &c->deadline, cl->deadline);
  dial(cl, loop, &what->url);
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
  struct ws_client *cl = new_client(c->stream.loop->io, c->route, what);
  c->is_told = false;
  c->code = 1006;
  c->cause = NULL;
  if (c->rare) {
    c->rare->reason_len = 0;
    c->rare->status = 0;
  }
  if (cl)
    begin(c, cl, what);
  else
    give_up(c, "out of memory");
}
