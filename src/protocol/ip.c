/* ip.c: addresses and ranges of them (RFC 4632, RFC 4291). */
#include "protocol/ip.h"

#include <arpa/inet.h>
#include <string.h>

#define MAPPED_BITS 96 /* in front of an IPv4 address */

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

struct ws_ip ws_ip_v4(const uint8_t bytes[4], uint16_t port) {
  struct ws_ip ip = {.port = port, .kind = WS_IP_V4};
  memcpy(ip.bytes, mapped, sizeof mapped);
  memcpy(ip.bytes + sizeof mapped, bytes, 4);
  return ip;
}

struct ws_ip ws_ip_v6(const uint8_t bytes[16], uint16_t port) {
  struct ws_ip ip = {.port = port, .kind = WS_IP_V6};
  memcpy(ip.bytes, bytes, 16);
  if (memcmp(bytes, mapped, sizeof mapped) == 0) ip.kind = WS_IP_V4;
  return ip;
}

bool ws_ip_parse(struct ws_slice text, struct ws_ip *out) {
  char copy[INET6_ADDRSTRLEN];
  uint8_t bytes[16];
  /* inet_pton would take what stands before a NUL for the whole */
  if (text.n == 0 || text.n >= sizeof copy || memchr(text.p, 0, text.n))
    return false;
  memcpy(copy, text.p, text.n);
  copy[text.n] = 0;
  if (inet_pton(AF_INET, copy, bytes) == 1)
    *out = ws_ip_v4(bytes, 0);
  else if (inet_pton(AF_INET6, copy, bytes) == 1)
    *out = ws_ip_v6(bytes, 0);
  else
    return false;
  return true;
}

/* Up to 5 digits, no zero in front of others; -1 for anything else. */
static long parse_number(struct ws_slice s) {
  long v = 0;
  if (s.n == 0 || s.n > 5 || (s.n > 1 && s.p[0] == '0')) return -1;
  for (size_t i = 0; i < s.n; i++) {
    if (s.p[i] < '0' || s.p[i] > '9') return -1;
    v = v * 10 + (s.p[i] - '0');
  }
  return v;
}

bool ws_ip_parse_port(struct ws_slice text, uint16_t *port) {
  long v = parse_number(text);
  if (v < 0 || v > 65535) return false;
  *port = (uint16_t)v;
  return true;
}

static bool has_bits_behind(const struct ws_ip_range *r) {
  for (unsigned i = r->bits; i < 128; i++)
    if (r->first.bytes[i / 8] & (0x80u >> i % 8)) return true;
  return false;
}

const char *ws_ip_parse_range(struct ws_slice text, struct ws_ip_range *out) {
  const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
  struct ws_slice address = text;
  if (slash) address.n = (size_t)(slash - text.p);
  if (!ws_ip_parse(address, &out->first)) return "no address";
  out->bits = 128;
  if (!slash) return NULL;
  long bits =
    parse_number((struct ws_slice){slash + 1, text.n - address.n - 1});
  bool is_v4 = memchr(address.p, ':', address.n) == NULL;
  if (bits < 0 || bits > (is_v4 ? 32 : 128)) return "a bad prefix length";
  out->bits = (uint8_t)(is_v4 ? bits + MAPPED_BITS : bits);
  /* 10.0.0.1/8 may be meant as one address: that would trust 16 millions */
  return has_bits_behind(out) ? "bits behind the prefix" : NULL;
}

bool ws_ip_is_in(const struct ws_ip *ip, const struct ws_ip_range *range) {
  unsigned whole = range->bits / 8u, rest = range->bits % 8u;
  if (ip->kind != range->first.kind || ip->kind == WS_IP_NONE) return false;
  if (ip->kind == WS_IP_UNIX) return true;
  if (memcmp(ip->bytes, range->first.bytes, whole) != 0) return false;
  return rest == 0 ||
         (ip->bytes[whole] ^ range->first.bytes[whole]) >> (8 - rest) == 0;
}
