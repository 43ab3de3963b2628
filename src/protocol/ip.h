/* ip.h: addresses and ranges of them (RFC 4632, RFC 4291), for the question
 * whether a peer is one of ours. */
#ifndef EVWS_IP_H
#define EVWS_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum ws_ip_kind { WS_IP_NONE, WS_IP_V4, WS_IP_V6, WS_IP_UNIX };

/* IPv4 stands in the last four bytes, as where it is mapped into IPv6. */
struct ws_ip {
  uint8_t bytes[16];
  uint16_t port; /* 0: not known */
  uint8_t kind;
};

struct ws_ip_range {
  struct ws_ip first;
  uint8_t bits; /* of the 128 that count */
};

/* These bytes of a sockaddr or a header. ::ffff:a.b.c.d becomes IPv4. */
struct ws_ip ws_ip_v4(const uint8_t bytes[4], uint16_t port);
struct ws_ip ws_ip_v6(const uint8_t bytes[16], uint16_t port);

/* The whole text is an IPv4 or an IPv6 address, without brackets, zone or
 * port. */
bool ws_ip_parse(struct ws_slice text, struct ws_ip *out);

/* Decimal digits, 0 to 65535, no zero in front. */
bool ws_ip_parse_port(struct ws_slice text, uint16_t *port);

/* "10.0.0.0/8", "2001:db8::/32", or an address alone. NULL, or what is wrong
 * with it. */
const char *ws_ip_parse_range(struct ws_slice text, struct ws_ip_range *out);

/* Does the range hold it? An IPv6 range never holds an IPv4 address, not even
 * ::/0; a Unix socket is held by a range of that kind. */
bool ws_ip_is_in(const struct ws_ip *ip, const struct ws_ip_range *range);

#endif
