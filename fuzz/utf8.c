/* utf8: the validator against a decoder written from table 3-7 of the Unicode
 * standard. Before the first input: every state with every byte. Then, for
 * each input: the same verdict whole and in pieces, at the same byte. */
#include "kit/fuzz.h"

#include "protocol/utf8.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

/* One beginning for every state that a text can be left in, and the text
 * around them long enough for each of the validator's ways. */
static const char *const states[] = {
  "",         "\xC3",         "\xE1",        "\xE1\x80", "\xF1",
  "\xF1\x80", "\xF1\x80\x80", "\xE0",        "\xE0\xA0", "\xED",
  "\xED\x80", "\xEF",         "\xF0",        "\xF0\x90", "\xF0\x90\x80",
  "\xF4",     "\xF4\x80",     "\xF4\x80\x80"};

/* How many bytes of these are taken before one is wrong. */
static size_t good_bytes(const uint8_t *p, size_t n, bool *is_whole) {
  struct fuzz_utf8 u = {0};
  size_t i = 0;
  while (i < n && fuzz_utf8_byte(&u, p[i])) i++;
  *is_whole = i == n && u.missing == 0;
  return i;
}

static void check(const uint8_t *bytes, size_t n, struct fuzz_cuts cuts) {
  static struct fuzz_fence fence;
  bool is_whole;
  size_t good = good_bytes(bytes, n, &is_whole), at = 0;
  uint32_t state = WS_UTF8_START;
  while (at < n) {
    size_t piece = fuzz_piece(&cuts, n - at);
    bool is_fine =
      ws_utf8_feed(&state, fuzz_fenced(&fence, bytes + at, piece), piece);
    at += piece;
    FUZZ_CHECK(is_fine == (at <= good));
    if (!is_fine) return;
  }
  FUZZ_CHECK((state == WS_UTF8_START) == is_whole);
}

/* Every state x every byte x what may follow, at every distance from the end
 * of a vector. */
static void check_states(void) {
  uint8_t text[128];
  for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
    size_t len = strlen(states[i]);
    for (size_t at = 0; at < 70; at++) {
      memset(text, 'a', sizeof text);
      memcpy(text + at, states[i], len);
      for (unsigned byte = 0; byte < 256; byte++) {
        text[at + len] = (uint8_t)byte;
        check(text, at + len + 1, (struct fuzz_cuts){0});
        if (at > 4) continue;
        check(text, at + len + 1, (struct fuzz_cuts){1});
        check(text, sizeof text, (struct fuzz_cuts){0});
      }
    }
  }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  check_states();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  struct fuzz_input in = {bytes, n};
  struct fuzz_cuts cuts = {fuzz_u16(&in)};
  static struct fuzz_fence fence;
  bool is_whole;
  if (in.n > FUZZ_MAX) return 0;
  good_bytes(in.p, in.n, &is_whole);
  FUZZ_CHECK(ws_utf8_is_valid(fuzz_fenced(&fence, in.p, in.n), in.n) ==
             is_whole);
  check(in.p, in.n, (struct fuzz_cuts){0});
  check(in.p, in.n, (struct fuzz_cuts){1});
  check(in.p, in.n, cuts);
  return 0;
}
