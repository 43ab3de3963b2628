/* pressure.c: what is done when memory gets short. */
#include "engine/pressure.h"

#include "base/buf.h"
#include "protocol/deflate.h"

bool ws_pressure_is_high(struct ws_server *s) {
  uint64_t most = s->http.max_memory;
  if (most == WS_NO_LIMIT || ws_mem_used() <= most) return false;
  ws_deflate_pool_rest(&s->loop->deflate);
  return ws_mem_used() > most;
}
