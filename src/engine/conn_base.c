/* conn_base.c: what is known of a connection, and the marks of its end. */
#include "engine/conn_base.h"

#include <assert.h>
#include <string.h>

struct ws_rare *ws_conn_rare(struct ws_conn *c) {
  if (!c->rare) c->rare = ws_mem_zero(sizeof *c->rare);
  return c->rare;
}

bool ws_conn_is_secure(const struct ws_conn *c) {
  return c->scheme ? c->scheme == WS_SCHEME_SECURE : c->stream.is_secure;
}

int ws_conn_code(const struct ws_conn *c) {
  return c->code;
}

struct ws_slice ws_conn_reason(const struct ws_conn *c) {
  if (c->cause) return (struct ws_slice){c->cause, strlen(c->cause)};
  if (c->rare) return (struct ws_slice){c->rare->reason, c->rare->reason_len};
  return (struct ws_slice){"", 0};
}

enum ws_err ws_conn_set_reason(struct ws_conn *c, const void *reason,
                               size_t n) {
  struct ws_rare *r;
  if (n == 0) return WS_OK;
  if (!(r = ws_conn_rare(c))) return WS_ERR_MEMORY;
  assert(n <= sizeof r->reason);
  memcpy(r->reason, reason, n);
  r->reason_len = (uint8_t)n;
  return WS_OK;
}

struct ws_meta *ws_conn_new_meta(struct ws_slice path, struct ws_slice query,
                                 struct ws_slice subprotocol,
                                 const struct ws_address *peer,
                                 struct ws_slice answer) {
  struct ws_ip ip = ws_net_ip(peer);
  size_t n = ip.kind == WS_IP_V4 ? 4 : ip.kind == WS_IP_V6 ? 16 : 0;
  struct ws_slice address = {(char *)ip.bytes + sizeof ip.bytes - n, n};
  struct ws_slice parts[] = {path, query, subprotocol, address, answer};
  struct ws_meta *m = ws_mem_zero(offsetof(struct ws_meta, text) + path.n +
                                  query.n + subprotocol.n + n + answer.n);
  if (!m) return NULL;
  m->path_len = (uint16_t)path.n;
  m->query_len = (uint16_t)query.n;
  m->subprotocol_len = (uint16_t)subprotocol.n;
  m->has_subprotocol = subprotocol.p != NULL;
  m->address_len = (uint8_t)n;
  m->port = ip.port;
  m->answer_len = (uint16_t)answer.n;
  char *to = m->text;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (parts[i].p && parts[i].n) memcpy(to, parts[i].p, parts[i].n);
    to += parts[i].n;
  }
  return m;
}

size_t ws_conn_address(const struct ws_meta *m, char out[WS_NET_TEXT_MAX]) {
  struct ws_address a;
  struct ws_ip ip = {.kind = WS_IP_UNIX};
  const char *at = m->text + m->path_len + m->query_len + m->subprotocol_len;
  if (m->address_len == 4) ip = ws_ip_v4((const uint8_t *)at, m->port);
  if (m->address_len == 16) ip = ws_ip_v6((const uint8_t *)at, m->port);
  ws_net_from_ip(&a, &ip);
  ws_net_text(&a, out);
  return strlen(out);
}

/* ---- the end ---- */

void ws_conn_drop_queue(struct ws_conn *c) {
  if (!c->rare) return;
  c->rare->queue_n = c->rare->queue_controls = 0;
}

void ws_conn_drop_writer(struct ws_conn *c) {
  c->has_writer = c->is_held = c->is_backed_up = false;
  if (!c->rare) return;
  ws_buf_free(&c->rare->writing.behind);
  ws_fleetings_free(c->rare->fleetings);
  c->rare->fleetings = NULL;
}

void ws_conn_end(struct ws_conn *c, int code, const char *cause) {
  if (c->state == WS_CONN_CLOSED) return;
  if (!c->is_ours || c->is_cut) {
    c->code = (uint16_t)code;
    c->cause = cause;
  }
  c->state = WS_CONN_CLOSED;
  ws_conn_drop_writer(c);
  if (c->ahead) c->ahead->calls->leave(c);
  if (c->mode == WS_DISCARD) ws_conn_drop_queue(c);
  ws_stream_want_read(&c->stream, false);
  ws_loop_late(c->stream.watch.loop, &c->stream.late);
}

void ws_conn_drop_unread(struct ws_conn *c) {
  if (!c->is_retrying || c->mode != WS_PULL) ws_conn_drop_queue(c);
}

void ws_conn_cut(struct ws_conn *c, int code, const char *cause) {
  if (c->is_freed) return;
  c->is_cut = true;
  ws_conn_drop_unread(c);
  ws_conn_end(c, code, cause);
  ws_loop_late(c->stream.watch.loop, &c->stream.late);
}

void ws_conn_terminate(struct ws_conn *c, int code, const char *cause) {
  if (c->is_freed) return;
  ws_conn_cut(c, code, cause);
  if (c->mode == WS_CALLBACK) ws_conn_drop_queue(c);
}
