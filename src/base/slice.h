/* slice.h: bytes that belong to somebody else. */
#ifndef EVWS_SLICE_H
#define EVWS_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct ws_slice {
  const char *p;
  size_t n;
};

#define WS_SLICE(literal) ((struct ws_slice){(literal), sizeof(literal) - 1})

static inline bool ws_slice_equal(struct ws_slice a, struct ws_slice b) {
  return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline char ws_lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* ASCII case does not count. */
static inline bool ws_slice_equal_nocase(struct ws_slice a, struct ws_slice b) {
  if (a.n != b.n) return false;
  for (size_t i = 0; i < a.n; i++)
    if (ws_lower(a.p[i]) != ws_lower(b.p[i])) return false;
  return true;
}

#endif
