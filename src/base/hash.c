/* hash.c: SipHash-2-4. */
#include "base/hash.h"

#include <string.h>

static inline uint64_t turn(uint64_t x, int bits) {
  return x << bits | x >> (64 - bits);
}

static inline void mix(uint64_t v[4]) {
  v[0] += v[1];
  v[2] += v[3];
  v[1] = turn(v[1], 13) ^ v[0];
  v[3] = turn(v[3], 16) ^ v[2];
  v[0] = turn(v[0], 32) + v[3];
  v[2] += v[1];
  v[3] = turn(v[3], 21) ^ v[0];
  v[1] = turn(v[1], 17) ^ v[2];
  v[2] = turn(v[2], 32);
}

static inline void take(uint64_t v[4], uint64_t word) {
  v[3] ^= word;
  mix(v);
  mix(v);
  v[0] ^= word;
}

static uint64_t word_at(const uint8_t *p, size_t n) {
  uint64_t word = 0;
  for (size_t i = 0; i < n; i++) word |= (uint64_t)p[i] << (8 * i);
  return word;
}

uint64_t ws_hash(const struct ws_hash_key *key, const void *bytes, size_t n) {
  const uint8_t *p = bytes;
  uint64_t v[4] = {
    key->k[0] ^ 0x736f6d6570736575,
    key->k[1] ^ 0x646f72616e646f6d,
    key->k[0] ^ 0x6c7967656e657261,
    key->k[1] ^ 0x7465646279746573,
  };
  size_t i = 0;
  for (; i + 8 <= n; i += 8) take(v, word_at(p + i, 8));
  take(v, word_at(p + i, n - i) | (uint64_t)n << 56);
  v[2] ^= 0xff;
  for (int r = 0; r < 4; r++) mix(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}
