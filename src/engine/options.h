/* options.h: what can be set, for a route's connections and for a listener.
 * Zero or WS_NO_LIMIT stands for "off" as said beside each. */
#ifndef EVWS_OPTIONS_H
#define EVWS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/protocol.h"

struct ws_rate {
  double burst, per_second; /* burst 0: no limit */
};

struct ws_conn_options {
  struct ws_protocol_env protocol;
  double keepalive_interval; /* seconds, 0: off; so the next ones */
  double keepalive_timeout;
  double idle_timeout;
  double stall_timeout;
  double close_timeout;
  double max_lifetime;
  double upgrade_timeout;
  uint64_t high_water, low_water; /* bytes */
  uint64_t max_queued;            /* bytes, WS_NO_LIMIT: off */
  uint64_t receive_queue;         /* bytes */
  uint64_t read_budget;           /* messages in a turn */
  uint64_t concurrency;           /* handlers of one connection at a time */
  struct ws_rate control_rate, message_rate;
  bool read_ahead;      /* deliver whatever our own queue holds */
  bool close_when_full; /* on_full = "close" */
  bool waits_for_rate;  /* on_flood = "wait" */
  bool require_origin;
};

struct ws_http_options {
  uint64_t max_request_line, max_header_bytes, max_header_line, max_headers;
  uint64_t max_body;
  uint64_t max_pending, max_connections;
  uint64_t max_per_address; /* connections, WS_NO_LIMIT: off; so the next */
  uint64_t max_memory;      /* bytes of evws, of all servers */
  uint64_t keepalive_requests;
  double keepalive_timeout, handshake_timeout;
};

#endif
