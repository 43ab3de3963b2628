/* messagepack: each value is taken as the table of formats in the
 * specification has it, lies inside of the bytes and is written again as the
 * same; an invocation that is read has nothing outside of its bytes.
 *
 * The first byte says whether the rest are values or a record. */
#include "kit/fuzz.h"

#include <string.h>

#include "protocol/messagepack.h"
#include "protocol/packed_call.h"

/* A row of that table: from first to last, a number of so many bytes behind
 * the first byte, which perhaps is a length. */
struct format {
  uint8_t first, last;
  enum ws_messagepack_type type;
  uint8_t width;
};

static const struct format formats[] = {
  {0x00, 0x7F, WS_MESSAGEPACK_INTEGER, 0},
  {0x80, 0x8F, WS_MESSAGEPACK_MAP, 0},
  {0x90, 0x9F, WS_MESSAGEPACK_LIST, 0},
  {0xA0, 0xBF, WS_MESSAGEPACK_TEXT, 0},
  {0xC0, 0xC0, WS_MESSAGEPACK_NIL, 0},
  {0xC2, 0xC3, WS_MESSAGEPACK_BOOLEAN, 0},
  {0xC4, 0xC4, WS_MESSAGEPACK_BYTES, 1},
  {0xC5, 0xC5, WS_MESSAGEPACK_BYTES, 2},
  {0xC6, 0xC6, WS_MESSAGEPACK_BYTES, 4},
  {0xCA, 0xCA, WS_MESSAGEPACK_FLOAT, 4},
  {0xCB, 0xCB, WS_MESSAGEPACK_FLOAT, 8},
  {0xCC, 0xCC, WS_MESSAGEPACK_INTEGER, 1},
  {0xCD, 0xCD, WS_MESSAGEPACK_INTEGER, 2},
  {0xCE, 0xCE, WS_MESSAGEPACK_INTEGER, 4},
  {0xCF, 0xCF, WS_MESSAGEPACK_INTEGER, 8},
  {0xD0, 0xD0, WS_MESSAGEPACK_INTEGER, 1},
  {0xD1, 0xD1, WS_MESSAGEPACK_INTEGER, 2},
  {0xD2, 0xD2, WS_MESSAGEPACK_INTEGER, 4},
  {0xD3, 0xD3, WS_MESSAGEPACK_INTEGER, 8},
  {0xD9, 0xD9, WS_MESSAGEPACK_TEXT, 1},
  {0xDA, 0xDA, WS_MESSAGEPACK_TEXT, 2},
  {0xDB, 0xDB, WS_MESSAGEPACK_TEXT, 4},
  {0xDC, 0xDC, WS_MESSAGEPACK_LIST, 2},
  {0xDD, 0xDD, WS_MESSAGEPACK_LIST, 4},
  {0xDE, 0xDE, WS_MESSAGEPACK_MAP, 2},
  {0xDF, 0xDF, WS_MESSAGEPACK_MAP, 4},
  {0xE0, 0xFF, WS_MESSAGEPACK_INTEGER, 0},
};

static const struct format *format_of(uint8_t first) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (formats[i].first <= first && first <= formats[i].last)
      return &formats[i];
  return NULL;
}

static uint64_t number_at(const char *p, size_t n) {
  uint64_t number = 0;
  while (n-- > 0) number = number * 256 + (uint8_t)*p++;
  return number;
}

/* Of a list or a map the head alone. 0: there is no whole value. */
static size_t length_of(struct ws_slice in, const struct format *f) {
  if (in.n == 0 || !f || in.n - 1 < f->width) return 0;
  size_t head = 1 + (size_t)f->width;
  if (f->type != WS_MESSAGEPACK_TEXT && f->type != WS_MESSAGEPACK_BYTES)
    return head;
  uint64_t n = f->width ? number_at(in.p + 1, f->width) : *in.p & 31;
  return n > in.n - head ? 0 : head + (size_t)n;
}

static bool is_same(struct ws_slice a, const struct ws_messagepack *value) {
  struct ws_messagepack again;
  if (!ws_messagepack_take(&a, &again) || a.n > 0 || again.type != value->type)
    return false;
  if (value->type == WS_MESSAGEPACK_INTEGER)
    return again.integer == value->integer;
  if (value->type == WS_MESSAGEPACK_FLOAT) /* NaN, too */
    return memcmp(&again.number, &value->number, sizeof again.number) == 0;
  return again.bytes.n == value->bytes.n &&
         memcmp(again.bytes.p, value->bytes.p, again.bytes.n) == 0;
}

/* As it was read, and in no more bytes; a float has nine. */
static void check_written(const struct ws_messagepack *value, size_t was) {
  static char said[FUZZ_MAX + WS_MESSAGEPACK_HEAD];
  char *end;
  if (value->type == WS_MESSAGEPACK_INTEGER) {
    end = ws_messagepack_put_integer(said, value->integer);
  } else if (value->type == WS_MESSAGEPACK_FLOAT) {
    end = ws_messagepack_put_float(said, value->number);
    was = 9;
  } else if (value->type == WS_MESSAGEPACK_TEXT) {
    end = ws_messagepack_put_text_head(said, (uint32_t)value->bytes.n);
    FUZZ_CHECK(end - said <= WS_MESSAGEPACK_HEAD);
    memcpy(end, value->bytes.p, value->bytes.n);
    end += value->bytes.n;
  } else {
    return;
  }
  struct ws_slice again = {said, (size_t)(end - said)};
  FUZZ_CHECK(again.n <= was && is_same(again, value));
}

/* The value at the front of *left, which goes on behind it. */
static bool check_value(struct ws_slice *left, struct ws_messagepack *value) {
  struct ws_slice in = *left;
  const struct format *f = in.n ? format_of((uint8_t)*in.p) : NULL;
  size_t n = length_of(in, f);
  bool is_taken = ws_messagepack_take(left, value);
  FUZZ_CHECK(is_taken == (n > 0));
  if (!is_taken) return false;
  FUZZ_CHECK(left->p == in.p + n && left->n == in.n - n);
  bool is_big = (uint8_t)*in.p == 0xCF && (uint8_t)in.p[1] >= 0x80;
  FUZZ_CHECK(value->type == (is_big ? WS_MESSAGEPACK_FLOAT : f->type));
  if (f->type == WS_MESSAGEPACK_TEXT || f->type == WS_MESSAGEPACK_BYTES)
    FUZZ_CHECK(value->bytes.p + value->bytes.n == in.p + n);
  if (f->type == WS_MESSAGEPACK_LIST || f->type == WS_MESSAGEPACK_MAP)
    FUZZ_CHECK(value->count ==
               (f->width ? number_at(in.p + 1, f->width) : *in.p & 15));
  check_written(value, n);
  return true;
}

static bool is_inside(struct ws_slice in, struct ws_slice part) {
  return part.p >= in.p && part.n <= in.n &&
         (size_t)(part.p - in.p) <= in.n - part.n;
}

static void check_call(struct ws_slice in) {
  struct ws_packed_call call;
  struct ws_messagepack value;
  if (!ws_packed_call_read(in, &call)) return;
  FUZZ_CHECK(call.target.n > 0 && is_inside(in, call.target));
  FUZZ_CHECK(!call.id.p || (call.id.n > 0 && is_inside(in, call.id)));
  FUZZ_CHECK(call.args.p + call.args.n == in.p + in.n);
  struct ws_slice left = call.args;
  while (check_value(&left, &value)) continue;
  FUZZ_CHECK(ws_packed_call_ends(&call, call.args) ==
             (call.has_streams ? call.args.n == 1 && *call.args.p == '\x90'
                               : call.args.n == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static struct fuzz_fence fence;
  struct ws_messagepack value;
  if (n < 1 || n > FUZZ_MAX) return 0;
  struct ws_slice in = {(char *)fuzz_fenced(&fence, bytes + 1, n - 1), n - 1};
  if (bytes[0] % 2)
    check_call(in);
  else
    while (check_value(&in, &value)) continue;
  return 0;
}
