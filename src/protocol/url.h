/* url.h: WebSocket URLs (RFC 6455 3): ws://host[:port][/path][?query], wss://
 * alike, and ws+unix:/socket/path[:/path]. User info is refused. An IPv6
 * address may name its zone: ws://[fe80::1%25eth0]/ (RFC 6874). */
#ifndef EVWS_URL_H
#define EVWS_URL_H

#include <stdbool.h>

#include "base/slice.h"

#define WS_URL_HOST_MAX 255 /* bytes of a Host field */

/* Why, where it may be that only the scheme was left out. */
#define WS_URL_NO_SCHEME "the scheme is not ws, wss or ws+unix"

struct ws_url {
  struct ws_slice host;      /* a name or an address, without brackets */
  struct ws_slice zone;      /* of an address; n 0: none */
  struct ws_slice authority; /* as it stands there, without an empty port */
  struct ws_slice socket;    /* path of a Unix socket instead; p NULL: none */
  struct ws_slice target;    /* path and query; may be without its "/" */
  int port;
  bool is_secure;
};

/* Slices of the text. On false *why says what is wrong. */
bool ws_url_parse(struct ws_slice text, struct ws_url *url, const char **why);

/* The Host field of a request for it: its authority without the zone, which
 * means nothing elsewhere (RFC 6874 4). Returns its length. */
size_t ws_url_write_host(const struct ws_url *url, char out[WS_URL_HOST_MAX]);

#endif
