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

/* Cuts a prefix off, in whatever case. False, and nothing cut, without it. */
static inline bool ws_slice_cut_prefix(struct ws_slice *s, const char *prefix) {
  struct ws_slice want = {prefix, strlen(prefix)}, have = {s->p, want.n};
  if (s->n < want.n || !ws_slice_equal_nocase(have, want)) return false;
  s->p += want.n;
  s->n -= want.n;
  return true;
}

static inline bool ws_is_blank(char c) {
  return c == ' ' || c == '\t';
}

static inline int ws_hex_digit(char c) {
  c = ws_lower(c);
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of the %-escape at i < s.n, or -1 for a malformed one. */
static inline int ws_slice_escape(struct ws_slice s, size_t i) {
  if (s.n - i < 3) return -1;
  int high = ws_hex_digit(s.p[i + 1]), low = ws_hex_digit(s.p[i + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

#endif
