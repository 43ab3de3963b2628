/* client.c: from a URL to an open connection. Addresses are tried one after
 * the other; the first that connects is used. */
#include "engine/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "protocol/handshake.h"

#define FIELDS_MAX 100
#define HEAD_MAX (32 * 1024)

struct ws_client {
  struct ws_conn *conn;
  struct ws_lookup lookup;
  struct ws_job start; /* what needs no look-up goes on in the next turn */
  struct ws_buf request;
  struct ws_buf answer;
  struct ws_buf offered; /* the sub-protocols */
  struct ws_buf target;  /* path and query */
  struct ws_http http;
  int tried; /* addresses */
  int error; /* errno of the last one */
  uint32_t deadline;
  char key[WS_KEY_LEN];
  struct ws_http_field fields[FIELDS_MAX];
};

struct ws_route *ws_client_new_route(struct ws_host *host) {
  struct ws_route *r = ws_mem_zero(sizeof *r);
  if (r) r->host = host;
  return r;
}

void ws_client_free_route(struct ws_route *route) {
  ws_strings_free(&route->subprotocols);
  ws_mem_free(route);
}

void ws_client_free(struct ws_conn *c) {
  struct ws_client *cl = c->client;
  if (!cl) return;
  struct ws_io *io = c->stream.loop->io;
  io->ops->lookup_cancel(io, &cl->lookup);
  ws_list_remove(&cl->start.link);
  ws_buf_free(&cl->request);
  ws_buf_free(&cl->answer);
  ws_buf_free(&cl->offered);
  ws_buf_free(&cl->target);
  c->client = NULL;
  ws_mem_free(cl);
}

static const char *describe(int error) {
  switch (error) {
  case ECONNREFUSED: return "connection refused";
  case ENOENT: return "no such socket";
  case ETIMEDOUT: return "connection timed out";
  case ENETUNREACH:
  case EHOSTUNREACH: return "host unreachable";
  case EMFILE:
  case ENFILE: return "too many open files";
  default: return error ? strerror(error) : "cannot connect";
  }
}

static void give_up(struct ws_conn *c, const char *why) {
  ws_conn_cut(c, 1006, why);
}

/* The next address, or the end. */
static void connect_next(struct ws_conn *c) {
  struct ws_client *cl = c->client;
  struct ws_loop *loop = c->stream.loop;
  if (c->state != WS_CONN_PENDING) return; /* it was given up meanwhile */
  ws_stream_close(&c->stream);
  c->stream.error = 0;
  while (cl->tried < cl->lookup.n) {
    int fd = ws_net_connect(loop->io, &cl->lookup.list[cl->tried++]);
    if (fd >= 0) {
      c->stream.watch.fd = fd;
      ws_loop_watch(loop, &c->stream.watch, WS_WRITE);
      return;
    }
    cl->error = -fd;
  }
  give_up(c, cl->lookup.n ? describe(cl->error) : cl->lookup.error);
}

static void on_found(struct ws_lookup *l) {
  struct ws_client *cl = WS_LIST_ENTRY(l, struct ws_client, lookup);
  connect_next(cl->conn);
}

static void on_start(struct ws_job *job) {
  struct ws_client *cl = WS_LIST_ENTRY(job, struct ws_client, start);
  connect_next(cl->conn);
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
  return ws_handshake_write_request(&cl->request, what->url.authority, whole,
                                    cl->key, what->origin, what->subprotocols,
                                    what->fields);
}

static bool prepare(struct ws_client *cl, struct ws_io *io,
                    const struct ws_client_request *what) {
  uint8_t nonce[16];
  if (io->ops->random(io, nonce, sizeof nonce) < 0) return false;
  ws_handshake_make_key(nonce, cl->key);
  cl->http.fields = cl->fields;
  cl->http.max_fields = FIELDS_MAX;
  cl->http.max_line = cl->http.max_field_line = 8192;
  cl->http.max_head = HEAD_MAX;
  ws_http_reset(&cl->http);
  return write_request(cl, what);
}

static void look_up(struct ws_conn *c, const struct ws_url *url) {
  struct ws_client *cl = c->client;
  struct ws_loop *loop = c->stream.loop;
  char host[512];
  bool is_known;
  struct ws_slice name = url->socket.p ? url->socket : url->host;
  snprintf(host, sizeof host, "%.*s", (int)name.n, name.p);
  cl->lookup.done = on_found;
  if (url->socket.p) {
    is_known = true;
    cl->lookup.n = ws_net_unix(&cl->lookup.list[0], host);
    cl->lookup.error = "the path of the socket is too long";
  } else {
    is_known = loop->io->ops->lookup(loop->io, &cl->lookup, host, url->port);
  }
  if (is_known) ws_loop_job(loop, &cl->start);
}

bool ws_client_start(struct ws_conn *c, struct ws_loop *loop,
                     struct ws_route *route, uint64_t id,
                     const struct ws_client_request *what) {
  struct ws_client *cl = ws_mem_zero(sizeof *cl);
  if (!cl || !prepare(cl, loop->io, what)) {
    if (cl) {
      ws_buf_free(&cl->request);
      ws_buf_free(&cl->offered);
      ws_buf_free(&cl->target);
    }
    ws_mem_free(cl);
    return false;
  }
  loop->on_deadline = ws_conn_on_deadline;
  route->options.protocol.pool = &loop->pool;
  ws_conn_init(c, loop, route, -1, id);
  c->is_client = true;
  c->client = cl;
  cl->conn = c;
  cl->start.run = on_start;
  ws_list_init(&cl->start.link);
  uint32_t now = ws_loop_tick(loop, ws_loop_now(loop));
  cl->deadline =
    now + (what->timeout > 0 ? ws_loop_ticks(what->timeout) : WS_TICKS_MAX / 2);
  ws_loop_deadline(loop, &c->deadline, cl->deadline);
  look_up(c, &what->url);
  return true;
}

void ws_client_on_deadline(struct ws_conn *c) {
  if ((int32_t)(c->client->deadline - c->stream.loop->tick) > 0)
    ws_loop_deadline(c->stream.loop, &c->deadline, c->client->deadline);
  else
    give_up(c, "timeout");
}

static void connected(struct ws_conn *c) {
  struct ws_client *cl = c->client;
  struct ws_io *io = c->stream.loop->io;
  int error = 0, r;
  r = io->ops->getsockopt(io, c->stream.watch.fd, SOL_SOCKET, SO_ERROR, &error);
  if (r < 0 || error) {
    cl->error = r < 0 ? -r : error;
    connect_next(c);
    return;
  }
  ws_loop_watch(c->stream.loop, &c->stream.watch, WS_READ);
  ws_stream_write(&c->stream, ws_buf_begin(&cl->request), cl->request.len, NULL,
                  0);
  ws_buf_free(&cl->request);
  if (c->stream.error) give_up(c, "connection reset");
}

/* "403 Forbidden", as the reason of the end. */
static void refused(struct ws_conn *c) {
  struct ws_client *cl = c->client;
  char text[WS_REASON_MAX];
  struct ws_slice reason = {(char *)ws_buf_begin(&cl->answer) + cl->http.reason,
                            cl->http.reason_len};
  int n = snprintf(text, sizeof text, "%d %.*s", cl->http.status,
                   (int)(reason.n < 100 ? reason.n : 100), reason.p);
  for (int i = 0; i < n; i++)
    if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] > 0x7E)
      text[i] = '?';
  while (n > 0 && text[n - 1] == ' ') n--;
  c->status = cl->http.status;
  ws_conn_set_reason(c, text, (size_t)n);
  give_up(c, NULL);
}

static void open_it(struct ws_conn *c, struct ws_slice subprotocol,
                    size_t used) {
  struct ws_client *cl = c->client;
  struct ws_slice query = {"", 0};
  struct ws_slice path = {(char *)cl->target.data, cl->target.len};
  const char *mark = memchr(path.p, '?', path.n);
  if (mark) {
    query = (struct ws_slice){mark + 1, (size_t)(path.p + path.n - mark - 1)};
    path.n = (size_t)(mark - path.p);
  }
  c->meta =
    ws_conn_new_meta(path, query, subprotocol, &cl->lookup.list[cl->tried - 1]);
  if (!c->meta) {
    give_up(c, "out of memory");
    return;
  }
  ws_stream_cork(&c->stream);
  ws_conn_open(c, WS_CLIENT);
  if (cl->answer.len > used && c->state != WS_CONN_CLOSED)
    ws_conn_input(c, ws_buf_begin(&cl->answer) + used, cl->answer.len - used);
  ws_client_free(c);
  ws_stream_uncork(&c->stream);
  ws_conn_resume(c);
}

static void take_answer(struct ws_conn *c) {
  struct ws_client *cl = c->client;
  struct ws_slice subprotocol = {NULL, 0};
  const char *bytes = (char *)ws_buf_begin(&cl->answer), *why = NULL;
  int r = ws_http_response(&cl->http, bytes, cl->answer.len);
  if (r == 0) return;
  if (r < 0) {
    give_up(c, "the answer is not HTTP");
  } else if (cl->http.status != 101) {
    refused(c);
  } else if (ws_handshake_check_answer(
               &cl->http, bytes, cl->key,
               (struct ws_slice){(char *)cl->offered.data, cl->offered.len},
               &subprotocol, &why) != WS_OK) {
    give_up(c, why);
  } else {
    open_it(c, subprotocol, (size_t)r);
  }
}

void ws_client_on_ready(struct ws_conn *c, uint8_t got) {
  struct ws_client *cl = c->client;
  struct ws_loop *loop = c->stream.loop;
  if (got & WS_WRITE && !(c->stream.watch.want & WS_READ)) {
    connected(c);
    return;
  }
  if (got & WS_WRITE) ws_stream_flush(&c->stream);
  if (!(got & WS_READ)) return;
  if (!ws_loop_prepare(loop)) {
    give_up(c, "out of memory");
    return;
  }
  struct iovec iov = {loop->read_buffer, WS_READ_BUFFER};
  ssize_t n = ws_stream_read(&c->stream, &iov, 1);
  if (n == -EAGAIN) return;
  if (n <= 0)
    give_up(c, n ? "connection reset" : "closed during the handshake");
  else if (!ws_buf_append(&cl->answer, loop->read_buffer, (size_t)n))
    give_up(c, "out of memory");
  else
    take_answer(c);
}
