/* pending.c: a connection that is not open: its memory, its bytes, its place
 * among those that have not asked for anything, its deadline. */
#include "engine/pending.h"

#include <string.h>

#define READ_ON_MAX (64 * 1024) /* bytes kept while the host is busy */

void ws_pending_set_deadline(struct ws_conn *c, double seconds) {
  uint32_t ticks = seconds > 0 ? ws_loop_ticks(seconds) : WS_TICKS_MAX;
  ws_pending_of(c)->deadline = c->stream.watch.loop->tick + ticks;
}

struct ws_pending *ws_pending_new(struct ws_conn *c,
                                  const struct ws_address *peer,
                                  const struct ws_phase_calls *calls) {
  const struct ws_http_options *o = &c->route->server->http;
  size_t n = o->max_headers;
  struct ws_pending *p =
    ws_mem_alloc(sizeof *p + n * sizeof(struct ws_http_field));
  if (!p) return NULL;
  memset(p, 0, sizeof *p); /* the fields are written before they are read */
  p->phase.calls = calls;
  p->why = WS_REFUSED_LOST;
  p->conn = c;
  p->peer = *peer;
  p->http.fields = p->fields;
  p->http.max_fields = (uint32_t)n;
  p->http.max_line = (uint32_t)o->max_request_line;
  p->http.max_field_line = (uint32_t)o->max_header_line;
  p->http.max_head = (uint32_t)o->max_header_bytes;
  ws_http_reset(&p->http);
  ws_list_init(&p->link);
  c->phase = &p->phase;
  return p;
}

void ws_pending_cut(struct ws_conn *c, enum ws_refusal why, const char *cause) {
  ws_pending_of(c)->why = (uint8_t)why;
  ws_conn_cut(c, 1006, cause);
}

void ws_conn_cut_memory(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  if (p && c->state == WS_CONN_PENDING) p->why = WS_REFUSED_MEMORY;
  ws_conn_cut(c, 1006, "out of memory");
}

bool ws_pending_begin(struct ws_conn *c, struct ws_slice bytes) {
  struct ws_pending *p = ws_pending_of(c);
  p->client = p->peer;
  if (!ws_buf_append(&p->buf, bytes.p, bytes.n)) return false;
  p->bytes = (char *)ws_buf_begin(&p->buf);
  p->n = bytes.n;
  p->is_idle = true;
  ws_loop_again(c->stream.watch.loop, &c->stream.watch);
  return true;
}

void ws_pending_leave_list(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  if (!ws_list_is_linked(&p->link)) return;
  ws_list_remove(&p->link);
  c->route->server->n_pending--;
}

void ws_pending_enter_list(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  if (ws_list_is_linked(&p->link)) return;
  ws_list_append(&c->route->server->pending, &p->link);
  c->route->server->n_pending++;
}

void ws_pending_free(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  if (!p) return;
  ws_pending_leave_list(c);
  ws_buf_free(&p->buf);
  ws_buf_free(&p->body);
  ws_buf_free(&p->out);
  ws_mem_free(p->proxy);
  c->phase = NULL;
  ws_mem_free(p);
}

/* While the kernel refuses an answer, only a stall ends the connection. */
uint32_t ws_pending_due(const struct ws_conn *c) {
  double stall = c->route->options.stall_timeout;
  if (!c->stream.is_blocked || !ws_stream_is_ready(&c->stream))
    return ws_pending_of(c)->deadline;
  if (stall <= 0) return c->stream.watch.loop->tick + WS_TICKS_MAX;
  return c->stream.progress + ws_loop_ticks(stall);
}

void ws_pending_update(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  if (c->state != WS_CONN_PENDING || !p) return;
  bool is_taking = p->step != WS_STEP_ANSWERED;
  if (ws_pending_is_busy(p)) is_taking = p->n - p->used < READ_ON_MAX;
  ws_stream_want_read(&c->stream, is_taking && !c->stream.queued && !c->is_eof);
  ws_loop_deadline(c->stream.watch.loop, &c->deadline, ws_pending_due(c));
}

void ws_pending_hurry(struct ws_conn *c, double seconds) {
  struct ws_pending *p = ws_pending_of(c);
  uint32_t limit = c->stream.watch.loop->tick + ws_loop_ticks(seconds);
  if (c->state != WS_CONN_PENDING) return;
  if ((int32_t)(p->deadline - limit) > 0) p->deadline = limit;
  ws_loop_deadline(c->stream.watch.loop, &c->deadline, p->deadline);
}

void ws_pending_set_bytes(struct ws_pending *p, const char *bytes) {
  const char *why = NULL;
  bool have_moved = p->bytes != bytes;
  p->bytes = bytes;
  if (have_moved && p->step != WS_STEP_HEAD)
    ws_handshake_check(&p->http, bytes, &p->shake, &why);
}

/* The head, and n bytes behind it, stand in the buffer: they are all. */
static void set_kept(struct ws_pending *p, size_t n) {
  p->used = p->head;
  p->n = p->head + n;
  ws_pending_set_bytes(p, (char *)ws_buf_begin(&p->buf));
}

bool ws_pending_stash(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  size_t left = p->n - p->used;
  const char *rest = p->bytes + p->used;
  if (p->n == 0) return true;
  if (p->buf.len && p->bytes == (char *)ws_buf_begin(&p->buf)) {
    memmove(ws_buf_begin(&p->buf) + p->head, rest, left);
    p->buf.len = p->head + left;
  } else if (!ws_buf_append(&p->buf, p->bytes, p->head) ||
             !ws_buf_append(&p->buf, rest, left)) {
    ws_conn_cut_memory(c);
    return false;
  }
  set_kept(p, left);
  return true;
}

bool ws_pending_keep(struct ws_conn *c, const char *bytes, size_t n) {
  struct ws_pending *p = ws_pending_of(c);
  if (!ws_buf_append(&p->buf, bytes, n)) {
    ws_conn_cut_memory(c);
    return false;
  }
  set_kept(p, n);
  return true;
}

bool ws_pending_is_answerable(const struct ws_conn *c) {
  const struct ws_pending *p = ws_pending_of(c);
  return c->state == WS_CONN_PENDING && p && p->step != WS_STEP_ANSWERED &&
         p->step != WS_STEP_STREAM;
}

bool ws_pending_may_pass(const struct ws_conn *c) {
  const struct ws_pending *p = ws_pending_of(c);
  return ws_pending_is_answerable(c) && p->step == WS_STEP_ASKED &&
         !c->is_eof && !ws_conn_is_secure(c) && !ws_stream_pending(&c->stream);
}

void ws_pending_passed(struct ws_conn *c) {
  struct ws_io *io = c->stream.watch.loop->io;
  ws_pending_of(c)->is_told = true;
  /* only closed: to shut it down would do so for whoever has it now */
  io->ops->close(io, ws_stream_detach(&c->stream));
  ws_conn_cut(c, 1006, "connection lost"); /* nobody hears of it */
}

void ws_pending_next(struct ws_conn *c) {
  struct ws_pending *p = ws_pending_of(c);
  size_t left = p->n - p->used;
  if (p->buf.len) {
    ws_buf_consume(&p->buf, p->used);
  } else if (left && !ws_buf_append(&p->buf, p->bytes + p->used, left)) {
    ws_conn_cut_memory(c);
    return;
  }
  if (left == 0) ws_buf_free(&p->buf);
  ws_buf_free(&p->body);
  p->bytes = (char *)p->buf.data;
  if (left) p->bytes = (char *)ws_buf_begin(&p->buf);
  p->n = left;
  p->head = p->used = 0;
  p->step = WS_STEP_HEAD;
  p->is_idle = true;
  p->is_gone = false;
  p->shake = (struct ws_handshake){.is_upgrade = false};
  c->route = &c->route->server->route;
  ws_http_reset(&p->http);
  ws_pending_enter_list(c);
  ws_pending_set_deadline(c, c->route->server->http.keepalive_timeout);
  if (left) ws_loop_again(c->stream.watch.loop, &c->stream.watch);
  ws_pending_update(c);
}
