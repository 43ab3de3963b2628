/* bus_except.c: messages as they travel, and connections they leave out. */
#include "engine/bus_except.h"

#include "base/buf.h"
#include "engine/conn_base.h"
#include "protocol/frame.h"

#define PAIR 16 /* bytes of a node and a connection */

struct ws_carried ws_bus_carried(const struct ws_publication *p,
                                 uint64_t node) {
  uint8_t flags = p->opcode == WS_OP_BINARY ? WS_CARRIED_BINARY : 0;
  return (struct ws_carried){
    .flags = flags, .node = node, .message = p->message, .meta = p->meta};
}

struct ws_ids ws_bus_excepted(const struct ws_carried *c, uint64_t node,
                              uint64_t ids[WS_BUS_EXCEPT_MAX]) {
  struct ws_ids except = {ids, 0};
  size_t at = 0;
  uint64_t id;
  while (except.n < WS_BUS_EXCEPT_MAX &&
         (id = ws_carried_except(c, node, &at)) != 0) {
    size_t i = except.n++;
    for (; i && ids[i - 1] > id; i--) ids[i] = ids[i - 1];
    ids[i] = id;
  }
  return except;
}

bool ws_bus_name_except(struct ws_except except, uint64_t node,
                        struct ws_carried *c) {
  size_t n = except.n < WS_BUS_EXCEPT_MAX ? except.n : WS_BUS_EXCEPT_MAX;
  char *to = n ? ws_mem_alloc(n * PAIR) : NULL;
  c->except = (struct ws_slice){to, n * PAIR};
  if (n && !to) return false;
  for (size_t i = 0; i < n; i++)
    to = ws_carried_write_except(to, node, except.conns[i]->id);
  return true;
}

unsigned ws_bus_crc16(struct ws_slice text) {
  unsigned crc = 0;
  for (size_t i = 0; i < text.n; i++) {
    crc ^= (unsigned)(unsigned char)text.p[i] << 8;
    for (int k = 0; k < 8; k++)
      crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xFFFF;
  }
  return crc;
}
