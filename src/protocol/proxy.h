/* proxy.h: the header that a proxy puts in front of a connection to say whom
 * it is for: the PROXY protocol, versions 1 and 2
 * (https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt).
 *
 * It is read once, before the first byte of TLS or HTTP, and nothing behind
 * its end is touched. */
#ifndef EVWS_PROXY_H
#define EVWS_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/ip.h"

#define WS_PROXY_LINE_MAX 107   /* version 1, with CR LF */
#define WS_PROXY_BLOCK_MAX 4096 /* version 2: addresses and TLVs */

struct ws_proxy {
  /* The result, when is_done. */
  struct ws_ip from; /* WS_IP_NONE: it does not say (LOCAL, UNKNOWN, UNSPEC):
                        the connection's own address counts */
  bool is_done;

  /* The parser's own. */
  uint8_t n;     /* bytes kept */
  uint16_t skip; /* bytes of version 2 that are of no interest, to come */
  uint8_t bytes[WS_PROXY_LINE_MAX];
};

/* Takes bytes of a header that began with zeroed memory. Returns how many
 * were used: all of them, or fewer when is_done with the last of those; or
 * WS_ERR_BAD_REQUEST as soon as they cannot be the start of a header that is
 * well-formed and within the limits. Datagram families are refused: this is a
 * stream. Checksums are not looked at. */
int64_t ws_proxy_feed(struct ws_proxy *p, const void *bytes, size_t n);

#endif
