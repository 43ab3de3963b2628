/* conn_writer.c: one message that is sent in fragments as they are made, RFC
 * 6455 5.4. Control frames pass between them (5.5); other messages may not,
 * so they are kept (conn_send.c) and follow its end. A Close ends it where it
 * stands (5.5.1), and what was kept behind it is lost with it. */
#include "engine/conn_writer.h"

#include <assert.h>
#include <string.h>

#include "engine/conn_flow.h"
#include "engine/conn_send.h"
#include "protocol/frame.h"

enum ws_err ws_conn_writer_begin(struct ws_conn *c, uint8_t opcode,
                                 uint32_t *id) {
  struct ws_rare *r;
  if (!ws_conn_can_send(c)) return WS_ERR_CLOSED;
  assert(!c->has_writer);
  if (c->ahead) c->ahead->calls->catch_up(c);
  if (c->is_held) ws_conn_follow(c, true); /* it would pass them by */
  if (!ws_conn_can_send(c)) return WS_ERR_CLOSED;
  if (!(r = ws_conn_rare(c))) return WS_ERR_MEMORY;
  r->writing.first = opcode;
  r->writing.by = NULL;
  *id = ++r->writing.id;
  c->has_writer = true;
  if (c->ahead) c->ahead->calls->note(c);
  return WS_OK;
}

bool ws_conn_writer_is_open(const struct ws_conn *c, uint32_t id) {
  return c->has_writer && c->rare->writing.id == id && ws_conn_can_send(c);
}

void ws_conn_writer_set_by(struct ws_conn *c, const void *by) {
  assert(c->has_writer);
  c->rare->writing.by = by;
}

bool ws_conn_writer_is_by(const struct ws_conn *c, const void *by) {
  return c->has_writer && c->rare->writing.by == by;
}

enum ws_err ws_conn_writer_write(struct ws_conn *c, uint32_t id,
                                 const void *data, size_t len) {
  assert(ws_conn_writer_is_open(c, id));
  (void)id;
  if (len == 0) return WS_OK;
  if (ws_conn_is_full(c, len)) return ws_conn_overflow(c);
  if (c->stream.error) return WS_ERR_CLOSED;
  uint8_t first = c->rare->writing.first;
  c->rare->writing.first = WS_OP_CONTINUATION;
  return ws_conn_write_frame(c, first, data, len);
}

enum ws_err ws_conn_writer_finish(struct ws_conn *c, uint32_t id) {
  assert(ws_conn_writer_is_open(c, id));
  (void)id;
  uint8_t first = c->rare->writing.first | WS_FIN;
  c->has_writer = c->is_backed_up = false;
  enum ws_err err = ws_conn_write_frame(c, first, "", 0);
  /* what has waited was counted against max_queued when it came */
  ws_conn_follow(c, !c->is_held);
  return err;
}
