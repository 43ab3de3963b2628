/* messagepack.c: see messagepack.h. */
#include "protocol/messagepack.h"

/* A number of so many bytes, the high ones first. */
static bool take_number(struct ws_slice *left, size_t n, uint64_t *number) {
  if (left->n < n) return false;
  *number = 0;
  for (size_t i = 0; i < n; i++) *number = *number << 8 | (uint8_t)left->p[i];
  left->p += n;
  left->n -= n;
  return true;
}

static bool take_bytes(struct ws_slice *left, uint64_t n,
                       struct ws_messagepack *value,
                       enum ws_messagepack_type type) {
  if (left->n < n) return false;
  value->type = type;
  value->bytes = (struct ws_slice){left->p, (size_t)n};
  left->p += n;
  left->n -= (size_t)n;
  return true;
}

static bool found_count(struct ws_messagepack *value,
                        enum ws_messagepack_type type, uint64_t n) {
  value->type = type;
  value->count = (uint32_t)n;
  return true;
}

static bool found_boolean(struct ws_messagepack *value, bool boolean) {
  value->type = WS_MESSAGEPACK_BOOLEAN;
  value->boolean = boolean;
  return true;
}

static bool found_integer(struct ws_messagepack *value, int64_t integer) {
  value->type = WS_MESSAGEPACK_INTEGER;
  value->integer = integer;
  return true;
}

static bool found_float(struct ws_messagepack *value, double number) {
  value->type = WS_MESSAGEPACK_FLOAT;
  value->number = number;
  return true;
}

static bool found_unsigned(struct ws_messagepack *value, uint64_t number) {
  if (number > INT64_MAX) return found_float(value, (double)number);
  return found_integer(value, (int64_t)number);
}

/* Of n bytes, in two's complement. */
static bool found_signed(struct ws_messagepack *value, uint64_t number,
                         size_t n) {
  unsigned unused = 64 - 8 * (unsigned)n;
  return found_integer(value, (int64_t)(number << unused) >> unused);
}

static bool found_bits(struct ws_messagepack *value, uint64_t bits, size_t n) {
  double number;
  if (n == 4) {
    float single;
    uint32_t low = (uint32_t)bits;
    memcpy(&single, &low, sizeof single);
    number = single;
  } else {
    memcpy(&number, &bits, sizeof number);
  }
  return found_float(value, number);
}

/* Behind a first byte from 0xC0 to 0xDF. */
static bool take_long(struct ws_slice *left, uint8_t first,
                      struct ws_messagepack *value) {
  static const uint8_t widths[32] = {
    [0x04] = 1, [0x05] = 2, [0x06] = 4,             /* bytes */
    [0x0A] = 4, [0x0B] = 8,                         /* floats */
    [0x0C] = 1, [0x0D] = 2, [0x0E] = 4, [0x0F] = 8, /* without a sign */
    [0x10] = 1, [0x11] = 2, [0x12] = 4, [0x13] = 8, /* with one */
    [0x19] = 1, [0x1A] = 2, [0x1B] = 4,             /* text */
    [0x1C] = 2, [0x1D] = 4,                         /* lists */
    [0x1E] = 2, [0x1F] = 4,                         /* maps */
  };
  uint64_t number;
  size_t n = widths[first & 31];
  if (first == 0xC0) {
    value->type = WS_MESSAGEPACK_NIL;
    return true;
  }
  if (first == 0xC2 || first == 0xC3) return found_boolean(value, first & 1);
  if (n == 0 || !take_number(left, n, &number)) return false;
  if (first < 0xCA)
    return take_bytes(left, number, value, WS_MESSAGEPACK_BYTES);
  if (first < 0xCC) return found_bits(value, number, n);
  if (first < 0xD0) return found_unsigned(value, number);
  if (first < 0xD4) return found_signed(value, number, n);
  if (first < 0xDC) return take_bytes(left, number, value, WS_MESSAGEPACK_TEXT);
  if (first < 0xDE) return found_count(value, WS_MESSAGEPACK_LIST, number);
  return found_count(value, WS_MESSAGEPACK_MAP, number);
}

bool ws_messagepack_take(struct ws_slice *left, struct ws_messagepack *value) {
  if (left->n == 0) return false;
  uint8_t first = (uint8_t)*left->p;
  left->p++;
  left->n--;
  if (first < 0x80) return found_integer(value, first);
  if (first >= 0xE0) return found_integer(value, (int8_t)first);
  if (first >= 0xC0) return take_long(left, first, value);
  if (first >= 0xA0)
    return take_bytes(left, first & 31, value, WS_MESSAGEPACK_TEXT);
  return found_count(value,
                     first >= 0x90 ? WS_MESSAGEPACK_LIST : WS_MESSAGEPACK_MAP,
                     first & 15);
}

/* ---- writing ---- */

/* A first byte, and a number of so many bytes. */
static char *put(char *to, uint8_t first, uint64_t number, size_t n) {
  *to++ = (char)first;
  for (size_t i = n; i > 0; i--) *to++ = (char)(number >> 8 * (i - 1));
  return to;
}

static char *put_unsigned(char *to, uint64_t value) {
  if (value < 0x80) return put(to, (uint8_t)value, 0, 0);
  if (value <= UINT8_MAX) return put(to, 0xCC, value, 1);
  if (value <= UINT16_MAX) return put(to, 0xCD, value, 2);
  if (value <= UINT32_MAX) return put(to, 0xCE, value, 4);
  return put(to, 0xCF, value, 8);
}

char *ws_messagepack_put_integer(char *to, int64_t value) {
  uint64_t bits = (uint64_t)value;
  if (value >= 0) return put_unsigned(to, bits);
  if (value >= -32) return put(to, (uint8_t)bits, 0, 0);
  if (value >= INT8_MIN) return put(to, 0xD0, bits, 1);
  if (value >= INT16_MIN) return put(to, 0xD1, bits, 2);
  if (value >= INT32_MIN) return put(to, 0xD2, bits, 4);
  return put(to, 0xD3, bits, 8);
}

char *ws_messagepack_put_float(char *to, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return put(to, 0xCB, bits, 8);
}

char *ws_messagepack_put_text_head(char *to, uint32_t n) {
  if (n < 32) return put(to, (uint8_t)(0xA0 + n), 0, 0);
  if (n <= UINT8_MAX) return put(to, 0xD9, n, 1);
  if (n <= UINT16_MAX) return put(to, 0xDA, n, 2);
  return put(to, 0xDB, n, 4);
}
