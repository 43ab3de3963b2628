/* escape.c: see escape.h. */
#include "base/escape.h"

#include <stdbool.h>
#include <stdint.h>

/* The character that bytes begin with, of 2 to 4 bytes; 0 where they are no
 * UTF-8 (RFC 3629 4). Its length is told. */
static uint32_t decode(const uint8_t *p, size_t n, size_t *len) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t more = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : 1;
  uint32_t c = *p & (0x3Fu >> more);
  *len = more + 1;
  if (*p < 0xC2 || *p > 0xF4 || n < *len) return 0;
  for (size_t i = 1; i <= more; i++) {
    if ((p[i] & 0xC0) != 0x80) return 0;
    c = c << 6 | (p[i] & 0x3Fu);
  }
  bool is_none = c < least[*len] || c > 0x10FFFF || (c >> 11) == 0x1B;
  return is_none ? 0 : c;
}

/* C1, the ends of lines and paragraphs, and what turns the direction in which
 * the rest of a line is shown. */
static bool does_something(uint32_t c) {
  return c < 0xA0 || c == 0x61C || c == 0x200E || c == 0x200F ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

static bool is_plain_ascii(uint8_t c, enum ws_escape how) {
  if (how == WS_ESCAPE_LINES && (c == '\n' || c == '\t')) return true;
  if (c < ' ' || c == 0x7F) return false;
  if (how >= WS_ESCAPE_TEXT) return true;
  return c != '\\' && (c != ' ' || how == WS_ESCAPE_ASCII);
}

/* How many bytes at p stay as they are, as one character; 0: none. */
static size_t plain(const uint8_t *p, size_t n, enum ws_escape how) {
  size_t len;
  if (*p < 0x80) return is_plain_ascii(*p, how);
  if (how < WS_ESCAPE_TEXT) return 0;
  uint32_t c = decode(p, n, &len);
  return c && !does_something(c) ? len : 0;
}

size_t ws_escape(char *out, size_t cap, struct ws_slice text,
                 enum ws_escape how) {
  static const char hex[] = "0123456789abcdef";
  const uint8_t *p = (const uint8_t *)text.p;
  size_t n = 0, i = 0, fits = 0; /* fits: so far, with dots behind */
  while (i < text.n) {
    size_t len = plain(p + i, text.n - i, how), wants = len ? len : 4;
    if (n + 4 <= cap) fits = n;
    if (n + wants >= cap) {
      memcpy(out + fits, "...", 4);
      return fits + 3;
    }
    if (len) {
      memcpy(out + n, p + i, len);
    } else {
      out[n] = '\\';
      out[n + 1] = 'x';
      out[n + 2] = hex[p[i] >> 4];
      out[n + 3] = hex[p[i] & 15];
    }
    n += wants;
    i += len ? len : 1;
  }
  out[n] = 0;
  return n;
}

size_t ws_escape_short(char out[WS_ESCAPE_SHORT], struct ws_slice text,
                       enum ws_escape how) {
  bool is_long = text.n > WS_ESCAPE_SHOWN;
  if (is_long) text.n = WS_ESCAPE_SHOWN;
  size_t n = ws_escape(out, WS_ESCAPE_SHORT, text, how);
  if (is_long) memcpy(out + n, "...", 4);
  return is_long ? n + 3 : n;
}
