/* frame.c: frame heads and masking, RFC 6455 5.2 and 5.3. */
#include "protocol/frame.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"

#define LEN7 0x7F /* of the second byte: the length, or one of these two */
#define LEN_IS16 126
#define LEN_IS64 127
#define MASKED 0x80
#define CONTROL 0x8 /* 5.5: control frames are the opcodes with this bit */

static uint64_t read_be(const uint8_t *p, size_t n) {
  uint64_t v = 0;
  for (size_t i = 0; i < n; i++) v = v << 8 | p[i];
  return v;
}

static void write_be(uint8_t *p, size_t n, uint64_t v) {
  for (; n > 0; v >>= 8) p[--n] = (uint8_t)v;
}

size_t ws_frame_head_size(const uint8_t bytes[2]) {
  uint8_t len = bytes[1] & LEN7;
  size_t size = len < LEN_IS16 ? 2 : len == LEN_IS16 ? 4 : 10;
  return size + (bytes[1] & MASKED ? 4 : 0);
}

/* 5.2: the length is in network order, in the shortest form that holds it,
 * and the top bit of 64 is 0. Can these bytes still begin such a head? The
 * second byte is there. */
static bool is_length_fine(const uint8_t *bytes, size_t n) {
  switch (bytes[1] & LEN7) {
  case LEN_IS16: return n < 4 || read_be(bytes + 2, 2) >= LEN_IS16;
  case LEN_IS64:
    if (n >= 3 && (bytes[2] & 0x80) != 0) return false;
    return n < 8 || read_be(bytes + 2, 6) != 0; /* 65536 needs the 6th */
  default: return true;
  }
}

int ws_frame_decode(struct ws_frame *f, const uint8_t *bytes, size_t n) {
  if (n == 0) return 0;
  bool is_control = (bytes[0] & CONTROL) != 0;
  /* 5.5: control frames are never fragmented */
  if (is_control && (bytes[0] & WS_FIN) == 0) return WS_ERR_PROTOCOL;
  if (n == 1) return 0;
  uint8_t len = bytes[1] & LEN7;
  /* 5.5: and hold 125 bytes at most */
  if (is_control && len > WS_CONTROL_MAX) return WS_ERR_PROTOCOL;
  if (len >= LEN_IS16 && !is_length_fine(bytes, n)) return WS_ERR_PROTOCOL;
  size_t size = ws_frame_head_size(bytes);
  if (n < size) return 0;

  f->fin = (bytes[0] & WS_FIN) != 0;
  f->rsv = bytes[0] & (WS_RSV1 | WS_RSV2 | WS_RSV3);
  f->opcode = bytes[0] & 0x0F;
  f->is_masked = (bytes[1] & MASKED) != 0;
  f->len = len < LEN_IS16    ? len
           : len == LEN_IS16 ? read_be(bytes + 2, 2)
                             : read_be(bytes + 2, 8);
  if (f->is_masked) memcpy(f->mask, bytes + size - 4, 4);
  return (int)size;
}

size_t ws_frame_encode(uint8_t out[WS_FRAME_HEAD_MAX], uint8_t first,
                       uint64_t len, const uint8_t *mask) {
  size_t size = 2;
  assert(len <= INT64_MAX);
  out[0] = first;
  if (len < LEN_IS16) {
    out[1] = (uint8_t)len;
  } else if (len <= UINT16_MAX) {
    out[1] = LEN_IS16;
    write_be(out + 2, 2, len);
    size = 4;
  } else {
    out[1] = LEN_IS64;
    write_be(out + 2, 8, len);
    size = 10;
  }
  if (mask == NULL) return size;
  out[1] |= MASKED;
  memcpy(out + size, mask, 4);
  return size + 4;
}

/* The mask as a word in memory order that starts with the byte of `phase`. */
static inline uint32_t rotate_key(const uint8_t mask[4], unsigned phase) {
  uint32_t key;
  memcpy(&key, mask, 4);
  unsigned bits = phase % 4 * 8;
  if (bits == 0) return key;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  return key << bits | key >> (32 - bits);
#else
  return key >> bits | key << (32 - bits);
#endif
}

/* One vector register of the machine's baseline (SSE2, NEON); where there is
 * none the compiler makes words of it. */
typedef uint32_t block __attribute__((vector_size(16)));

static inline void mask_block(uint8_t *dst, const uint8_t *src, block key) {
  block b;
  memcpy(&b, src, sizeof b);
  b ^= key;
  memcpy(dst, &b, sizeof b);
}

/* dst is src, or does not overlap it. Each step takes a multiple of 4 bytes,
 * so the key stays in phase, and the steps shrink towards the end, so nothing
 * beyond it is touched. */
static inline void mask_bytes(uint8_t *dst, const uint8_t *src, size_t n,
                              uint32_t key32) {
  const block key = {key32, key32, key32, key32};
  const uint64_t key64 = (uint64_t)key32 << 32 | key32;
  for (; n >= 64; n -= 64, src += 64, dst += 64) {
    mask_block(dst, src, key);
    mask_block(dst + 16, src + 16, key);
    mask_block(dst + 32, src + 32, key);
    mask_block(dst + 48, src + 48, key);
  }
  for (; n >= 16; n -= 16, src += 16, dst += 16) mask_block(dst, src, key);
  if (n >= 8) {
    uint64_t w;
    memcpy(&w, src, 8);
    w ^= key64;
    memcpy(dst, &w, 8);
    n -= 8, src += 8, dst += 8;
  }
  if (n >= 4) {
    uint32_t w;
    memcpy(&w, src, 4);
    w ^= key32;
    memcpy(dst, &w, 4);
    n -= 4, src += 4, dst += 4;
  }
  uint8_t k[4];
  memcpy(k, &key32, 4);
  for (size_t i = 0; i < n; i++) dst[i] = src[i] ^ k[i];
}

void ws_frame_mask(uint8_t *bytes, size_t n, const uint8_t mask[4],
                   unsigned phase) {
  mask_bytes(bytes, bytes, n, rotate_key(mask, phase));
}

void ws_frame_mask_copy(uint8_t *dst, const uint8_t *src, size_t n,
                        const uint8_t mask[4], unsigned phase) {
  mask_bytes(dst, src, n, rotate_key(mask, phase));
}
