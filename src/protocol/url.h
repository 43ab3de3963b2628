/* url.h: WebSocket URLs (RFC 6455 3): ws://host[:port][/path][?query], wss://
 * alike, and ws+unix:/socket/path[:/path]. User info is refused. */
#ifndef EVWS_URL_H
#define EVWS_URL_H

#include <stdbool.h>

#include "base/slice.h"

struct ws_url {
  struct ws_slice host;      /* a name or an address, without brackets */
  struct ws_slice authority; /* as it belongs into Host: no empty port */
  struct ws_slice socket;    /* path of a Unix socket instead; p NULL: none */
  struct ws_slice target;    /* path and query; may be without its "/" */
  int port;
  bool is_secure;
};

/* Slices of the text. On false *why says what is wrong. */
bool ws_url_parse(struct ws_slice text, struct ws_url *url, const char **why);

#endif
