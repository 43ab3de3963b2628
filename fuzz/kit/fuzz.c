/* fuzz.c: what the fuzz targets share. */
#include "kit/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

void fuzz_fail(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  abort();
}

uint8_t fuzz_byte(struct fuzz_input *in) {
  if (in->n == 0) return 0;
  in->n--;
  return *in->p++;
}

uint16_t fuzz_u16(struct fuzz_input *in) {
  uint16_t high = fuzz_byte(in);
  return (uint16_t)(high << 8 | fuzz_byte(in));
}

struct ws_slice fuzz_take(struct fuzz_input *in, size_t n) {
  struct ws_slice s = {(const char *)in->p, n < in->n ? n : in->n};
  in->p += s.n;
  in->n -= s.n;
  return s;
}

size_t fuzz_piece(struct fuzz_cuts *cuts, size_t left) {
  if (cuts->seed == 0) return left;
  if (cuts->seed == 1) return left > 0;
  /* xorshift, then a length whose order of magnitude is random as well */
  uint32_t x = cuts->seed;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  cuts->seed = x > 1 ? x : 2;
  size_t n = (x >> 8) & ((1U << (x & 7)) - 1);
  return n < left ? n : left;
}

/* Only what has changed since the last call is poisoned or freed of it. */
uint8_t *fuzz_fenced(struct fuzz_fence *fence, const void *bytes, size_t n) {
  FUZZ_CHECK(n <= FUZZ_MAX);
  if (fence->block == NULL) {
    fence->block = malloc(FUZZ_MAX);
    if (fence->block == NULL) abort();
    fence->used = FUZZ_MAX;
  }
  uint8_t *end = fence->block + FUZZ_MAX, *p = end - n;
  if (n > fence->used)
    ASAN_UNPOISON_MEMORY_REGION(p, n);
  else
    ASAN_POISON_MEMORY_REGION(end - fence->used, fence->used - n);
  fence->used = n;
  if (n > 0) memcpy(p, bytes, n);
  return p;
}

uint64_t fuzz_hash(const void *bytes, size_t n) {
  const uint8_t *p = bytes;
  uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
  for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * UINT64_C(0x100000001b3);
  return h;
}

bool fuzz_utf8_byte(struct fuzz_utf8 *u, uint8_t b) {
  if (u->missing > 0) {
    if (b < u->low || b > u->high) return false;
    *u = (struct fuzz_utf8){(uint8_t)(u->missing - 1), 0x80, 0xBF};
    return true;
  }
  if (b <= 0x7F) return true;
  if (b < 0xC2 || b > 0xF4) return false;
  u->missing = b < 0xE0 ? 1 : b < 0xF0 ? 2 : 3;
  u->low = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
  u->high = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
  return true;
}
