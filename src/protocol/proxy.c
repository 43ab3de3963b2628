/* proxy.c: the PROXY protocol, versions 1 and 2. */
#include "protocol/proxy.h"

#include <string.h>

#include "base/err.h"

#define FIXED 16 /* version 2: signature, command, family, length */

static const uint8_t signature[12] = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D,
                                      0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};
static const uint8_t word[6] = {'P', 'R', 'O', 'X', 'Y', ' '};

enum { LOCAL = 0x20, PROXY = 0x21 };
enum { UNSPEC = 0x00, TCP4 = 0x11, TCP6 = 0x21, UNIX = 0x31 };

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

/* ---- version 2 ---- */

static uint16_t get16(const uint8_t *b) {
  return (uint16_t)(b[0] << 8 | b[1]);
}

/* Bytes of addresses that a family has; -1: not one of a stream. */
static int address_bytes(uint8_t family) {
  switch (family) {
  case UNSPEC: return 0;
  case TCP4: return 12;
  case TCP6: return 36;
  case UNIX: return 216;
  default: return -1;
  }
}

/* How many bytes have to be kept, as far as is known; negative: malformed. */
static int wanted_v2(const struct ws_proxy *p) {
  if (p->n < FIXED) return FIXED;
  uint8_t command = p->bytes[12], family = p->bytes[13];
  int addresses = address_bytes(family);
  uint16_t block = get16(p->bytes + 14);
  if (block > WS_PROXY_BLOCK_MAX) return WS_ERR_BAD_REQUEST;
  if (command == LOCAL) return FIXED; /* whatever else it says */
  if (command != PROXY || addresses < 0 || block < addresses)
    return WS_ERR_BAD_REQUEST;
  return family == TCP4 || family == TCP6 ? FIXED + addresses : FIXED;
}

static void take_v2(struct ws_proxy *p) {
  const uint8_t *at = p->bytes + FIXED;
  if (p->bytes[12] == LOCAL) return;
  switch (p->bytes[13]) {
  case TCP4: p->from = ws_ip_v4(at, get16(at + 8)); break;
  case TCP6: p->from = ws_ip_v6(at, get16(at + 32)); break;
  case UNIX: p->from.kind = WS_IP_UNIX; break;
  default: break;
  }
}

static int64_t feed_v2(struct ws_proxy *p, const uint8_t *b, size_t n) {
  size_t used = 0;
  while (!p->skip && used < n) {
    int want = wanted_v2(p);
    if (want < 0) return want;
    size_t piece = least(n - used, (size_t)want - p->n);
    memcpy(p->bytes + p->n, b + used, piece);
    p->n = (uint8_t)(p->n + piece);
    used += piece;
    if (p->n < FIXED) continue;
    if ((want = wanted_v2(p)) < 0) return want;
    if (p->n < want) continue;
    take_v2(p);
    p->skip = (uint16_t)(get16(p->bytes + 14) + FIXED - p->n);
    p->is_done = p->skip == 0;
    if (p->is_done) return (int64_t)used;
  }
  size_t skipped = least(n - used, p->skip);
  p->skip = (uint16_t)(p->skip - skipped);
  p->is_done = skipped && p->skip == 0;
  return (int64_t)(used + skipped);
}

/* ---- version 1 ---- */

/* Takes what stands before the next space, or the rest. */
static struct ws_slice next_word(struct ws_slice *line) {
  const char *space = line->n ? memchr(line->p, ' ', line->n) : NULL;
  struct ws_slice s = *line;
  if (space) s.n = (size_t)(space - line->p);
  size_t used = space ? s.n + 1 : s.n;
  line->p += used;
  line->n -= used;
  return s;
}

static bool parse_address(struct ws_slice s, uint8_t kind, struct ws_ip *out) {
  bool is_v6 = s.n && memchr(s.p, ':', s.n);
  return is_v6 == (kind == WS_IP_V6) && ws_ip_parse(s, out);
}

/* "TCP4 192.0.2.1 192.0.2.2 56324 443", or "UNKNOWN" and anything. */
static int take_v1(struct ws_proxy *p) {
  struct ws_slice line = {(char *)p->bytes + sizeof word,
                          p->n - sizeof word - 2};
  struct ws_ip from, to;
  struct ws_slice family = next_word(&line);
  if (ws_slice_equal(family, WS_SLICE("UNKNOWN"))) return WS_OK;
  uint8_t kind = ws_slice_equal(family, WS_SLICE("TCP4"))   ? WS_IP_V4
                 : ws_slice_equal(family, WS_SLICE("TCP6")) ? WS_IP_V6
                                                            : WS_IP_NONE;
  if (!kind || !parse_address(next_word(&line), kind, &from) ||
      !parse_address(next_word(&line), kind, &to) ||
      !ws_ip_parse_port(next_word(&line), &from.port))
    return WS_ERR_BAD_REQUEST;
  bool has_end = line.n > 0 && line.p[line.n - 1] != ' ';
  if (!has_end || !ws_ip_parse_port(next_word(&line), &to.port) || line.n)
    return WS_ERR_BAD_REQUEST;
  p->from = from;
  return WS_OK;
}

static int64_t feed_v1(struct ws_proxy *p, const uint8_t *b, size_t n) {
  for (size_t used = 0; used < n;) {
    bool was_cr = p->n && p->bytes[p->n - 1] == '\r';
    if (p->n == WS_PROXY_LINE_MAX) return WS_ERR_BAD_REQUEST;
    uint8_t c = p->bytes[p->n++] = b[used++];
    if (was_cr != (c == '\n')) return WS_ERR_BAD_REQUEST;
    if (!was_cr) continue;
    if (take_v1(p) != WS_OK) return WS_ERR_BAD_REQUEST;
    p->is_done = true;
    return (int64_t)used;
  }
  return (int64_t)n;
}

int64_t ws_proxy_feed(struct ws_proxy *p, const void *bytes, size_t n) {
  const uint8_t *b = bytes;
  size_t used = 0;
  if (p->is_done) return 0;
  while (used < n && p->n < sizeof signature) {
    bool is_v2 = (p->n ? p->bytes[0] : b[used]) == signature[0];
    if (!is_v2 && p->n >= sizeof word) break;
    if (b[used] != (is_v2 ? signature : word)[p->n]) return WS_ERR_BAD_REQUEST;
    p->bytes[p->n++] = b[used++];
  }
  if (used == n) return (int64_t)n;
  int64_t r = p->bytes[0] == signature[0] ? feed_v2(p, b + used, n - used)
                                          : feed_v1(p, b + used, n - used);
  return r < 0 ? r : r + (int64_t)used;
}
