/* frame: a frame head that decodes is the shortest one and encodes to the
 * same bytes; its length is known from two bytes; what is refused was refused
 * at the byte that shows it, or would be. Masking is what a loop over bytes
 * does, at every phase, alignment and cut. */
#include "kit/fuzz.h"

#include <stdlib.h>

#include "base/err.h"
#include "protocol/frame.h"

/* Decodes prefixes of growing length. Returns the length of the head, or the
 * error. */
static int grow(struct ws_frame *f, const uint8_t *bytes, size_t n) {
  static struct fuzz_fence fence;
  size_t most = n < WS_FRAME_HEAD_MAX ? n : WS_FRAME_HEAD_MAX;
  for (size_t i = 0; i <= most; i++) {
    int used = ws_frame_decode(f, fuzz_fenced(&fence, bytes, i), i);
    FUZZ_CHECK(used <= (int)i);
    FUZZ_CHECK(used >= 0 || used == WS_ERR_PROTOCOL);
    if (used > 0) FUZZ_CHECK((size_t)used == i);
    if (used != 0) return used;
  }
  return 0;
}

static void check_head(const uint8_t *bytes, size_t n) {
  uint8_t again[WS_FRAME_HEAD_MAX];
  struct ws_frame f, g;
  int used = grow(&f, bytes, n), whole = ws_frame_decode(&g, bytes, n);
  FUZZ_CHECK(used == whole);
  if (used == 0) FUZZ_CHECK(n < WS_FRAME_HEAD_MAX);
  if (used <= 0) return;
  FUZZ_CHECK((size_t)used == ws_frame_head_size(bytes));
  FUZZ_CHECK(f.len == g.len && f.opcode == g.opcode && f.rsv == g.rsv);
  FUZZ_CHECK(f.fin == g.fin && f.is_masked == g.is_masked);
  FUZZ_CHECK(f.len <= INT64_MAX && f.opcode <= 15);
  if (f.opcode >= WS_OP_CLOSE) FUZZ_CHECK(f.fin && f.len <= WS_CONTROL_MAX);
  uint8_t first = (uint8_t)(f.opcode | f.rsv | (f.fin ? WS_FIN : 0));
  size_t size =
    ws_frame_encode(again, first, f.len, f.is_masked ? f.mask : NULL);
  FUZZ_CHECK(size == (size_t)used && memcmp(again, bytes, size) == 0);
}

/* Any length and mask that can be written can be read. */
static void check_encode(struct fuzz_input in) {
  uint8_t head[WS_FRAME_HEAD_MAX], first = fuzz_byte(&in), mask[4];
  uint64_t len = 0;
  unsigned bits = fuzz_byte(&in) % 64;
  bool is_masked = fuzz_byte(&in) & 1;
  for (int i = 0; i < 4; i++) mask[i] = fuzz_byte(&in);
  for (int i = 0; i < 8; i++) len = len << 8 | fuzz_byte(&in);
  len &= (UINT64_C(1) << bits) - 1;
  bool is_control = (first & 8) != 0;
  bool is_fine = !is_control || ((first & WS_FIN) && len <= WS_CONTROL_MAX);
  struct ws_frame f;
  size_t size = ws_frame_encode(head, first, len, is_masked ? mask : NULL);
  int used = ws_frame_decode(&f, head, size);
  FUZZ_CHECK(used == (is_fine ? (int)size : WS_ERR_PROTOCOL));
  if (!is_fine) return;
  FUZZ_CHECK(f.len == len && f.is_masked == is_masked);
  FUZZ_CHECK((f.opcode | f.rsv | (f.fin ? WS_FIN : 0)) == first);
  if (is_masked) FUZZ_CHECK(memcmp(f.mask, mask, 4) == 0);
}

/* `front`: bytes that stand before the payload, so that it is at any
 * alignment; nothing is written to them or behind the end. */
static void check_mask(struct fuzz_input in, size_t front) {
  static struct fuzz_fence one, two;
  static uint8_t want[FUZZ_MAX];
  uint8_t mask[4], split = fuzz_byte(&in);
  for (int i = 0; i < 4; i++) mask[i] = fuzz_byte(&in);
  if (in.n < front || in.n > FUZZ_MAX) return;
  size_t n = in.n - front, cut = n > 0 ? split % (n + 1) : 0;
  for (unsigned phase = 0; phase < 4; phase++) {
    uint8_t *b = fuzz_fenced(&one, in.p, in.n);
    for (size_t i = 0; i < n; i++)
      want[i] = b[front + i] ^ mask[(i + phase) % 4];
    ws_frame_mask(b + front, n, mask, phase);
    FUZZ_CHECK(memcmp(b + front, want, n) == 0);
    FUZZ_CHECK(memcmp(b, in.p, front) == 0);
    b = fuzz_fenced(&one, in.p + front, n);
    ws_frame_mask(b, cut, mask, phase);
    ws_frame_mask(b + cut, n - cut, mask, phase + (unsigned)cut);
    FUZZ_CHECK(memcmp(b, want, n) == 0);
    const uint8_t *from = fuzz_fenced(&two, in.p + front, n);
    ws_frame_mask_copy(b, from, n, mask, phase);
    FUZZ_CHECK(memcmp(b, want, n) == 0);
    FUZZ_CHECK(n == 0 || memcmp(from, in.p + front, n) == 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  struct fuzz_input in = {bytes, n};
  check_head(bytes, n);
  check_encode(in);
  check_mask(in, 0);
  check_mask(in, n > 0 ? bytes[n - 1] % 16 : 0);
  return 0;
}
