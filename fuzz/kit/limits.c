/* limits.c: small limits and large ones, by the bits of a byte. */
#include "kit/limits.h"

void fuzz_limits(struct ws_conn_options *o, struct ws_http_options *h,
                 uint8_t limits) {
  static const uint64_t messages[] = {1024, 16, 65536, WS_NO_LIMIT};
  o->protocol.max_message = messages[limits & 3];
  o->protocol.max_fragments = limits & 4 ? 3 : 4096;
  o->keepalive_interval = 120;
  o->keepalive_timeout = 240;
  o->stall_timeout = 10;
  o->upgrade_timeout = 30;
  o->close_timeout = 5;
  o->idle_timeout = limits & 8 ? 60 : 0; /* the friend may be silent so long */
  o->high_water = limits & 16 ? 64 : 65536;
  o->low_water = o->high_water / 2;
  o->max_queued = limits & 16 ? 1 << 18 : WS_NO_LIMIT;
  o->receive_queue = limits & 32 ? 16 : 65536;
  o->read_budget = limits & 64 ? 1 : 256;
  o->concurrency = 1;
  if (limits & 128) o->control_rate = (struct ws_rate){50, 10};
  o->protocol.wish =
    (struct ws_extension){true, limits & 4, limits & 8, 15, 15, false};
  o->protocol.deflate_level = (struct ws_deflate_level){1, 1};
  o->protocol.deflate_threshold = 1;
  o->protocol.max_ratio = WS_NO_LIMIT;
  h->max_request_line = h->max_header_bytes = h->max_header_line = 1024;
  h->max_headers = 16;
  h->max_body = 512;
  h->max_pending = 4;
  h->max_connections = 6;
  h->max_per_address = h->max_memory = WS_NO_LIMIT;
  h->keepalive_requests = 5;
  h->keepalive_timeout = 60;
  h->handshake_timeout = 10;
}
