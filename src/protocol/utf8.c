/* utf8.c: incremental UTF-8 validation, RFC 3629 (RFC 6455 8.1).
 *
 * Three ways, picked by length and processor: short ASCII is looked at by the
 * word; long pieces go through a vectorised check of every byte against the
 * three before it; heads, tails and all the rest through a small automaton,
 * whose state is the one that is carried between pieces.
 *
 * The vectorised check is the algorithm of J. Keiser and D. Lemire,
 * "Validating UTF-8 in less than one instruction per byte", 2021. */
#include "protocol/utf8.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* Up to this length a look for plain ASCII comes first. */
#define ASCII_FIRST 128

/* The automaton. A state is the position of a 6 bit field in the row of a
 * byte, and the field holds the next state: one load and one shift per
 * byte. */
enum {
  START = WS_UTF8_START,
  BAD = 6,
  ONE = 12, /* one continuation is missing */
  TWO = 18,
  THREE = 24,
  IN_E0 = 30, /* after this lead the next byte is more restricted */
  IN_ED = 36,
  IN_F0 = 42,
  IN_F4 = 48
};

#define ROW(start, one, two, three, e0, ed, f0, f4) \
  ((uint64_t)(start) << START | (uint64_t)BAD << BAD | \
   (uint64_t)(one) << ONE | (uint64_t)(two) << TWO | \
   (uint64_t)(three) << THREE | (uint64_t)(e0) << IN_E0 | \
   (uint64_t)(ed) << IN_ED | (uint64_t)(f0) << IN_F0 | \
   (uint64_t)(f4) << IN_F4)
#define LEAD(next) ROW(next, BAD, BAD, BAD, BAD, BAD, BAD, BAD)

/* RFC 3629 4. E0 and F0 start overlong forms, ED surrogates, and F4 values
 * above U+10FFFF unless the second byte is in half of its range. */
static const uint64_t rows[256] = {
  [0x00 ... 0x7F] = LEAD(START),
  /*                    START  ONE   TWO  THREE IN_E0 IN_ED IN_F0 IN_F4 */
  [0x80 ... 0x8F] = ROW(BAD, START, ONE, TWO, BAD, ONE, BAD, TWO),
  [0x90 ... 0x9F] = ROW(BAD, START, ONE, TWO, BAD, ONE, TWO, BAD),
  [0xA0 ... 0xBF] = ROW(BAD, START, ONE, TWO, ONE, BAD, TWO, BAD),
  [0xC0 ... 0xC1] = LEAD(BAD),
  [0xC2 ... 0xDF] = LEAD(ONE),
  [0xE0] = LEAD(IN_E0),
  [0xE1 ... 0xEC] = LEAD(TWO),
  [0xED] = LEAD(IN_ED),
  [0xEE ... 0xEF] = LEAD(TWO),
  [0xF0] = LEAD(IN_F0),
  [0xF1 ... 0xF3] = LEAD(THREE),
  [0xF4] = LEAD(IN_F4),
  [0xF5 ... 0xFF] = LEAD(BAD),
};

static uint32_t run(uint32_t state, const uint8_t *p, const uint8_t *end) {
  uint64_t s = state;
  for (; p != end; p++) s = rows[*p] >> (s & 63);
  return (uint32_t)(s & 63);
}

static inline uint64_t load_word(const uint8_t *p) {
  uint64_t w;
  memcpy(&w, p, sizeof w);
  return w;
}

/* A vector register of the machine's baseline, words where it has none. */
typedef uint64_t words __attribute__((vector_size(16)));

static inline words load_words(const uint8_t *p) {
  words w;
  memcpy(&w, p, sizeof w);
  return w;
}

static bool feed_scalar(uint32_t *state, const uint8_t *p, size_t n) {
  const uint8_t *end = p + n;
  for (; end - p >= 8; p += 8)
    if (*state != START || (load_word(p) & HIGH_BITS) != 0)
      *state = run(*state, p, p + 8);
  *state = run(*state, p, end);
  return *state != BAD;
}

/* Is all of this ASCII? The last loads overlap those before them, so that
 * there is no loop over single bytes. */
static inline bool is_ascii(const uint8_t *p, size_t n) {
  if (n >= 16) {
    words w = load_words(p + n - 16);
    for (size_t i = 0; i < n - 16; i += 16) w |= load_words(p + i);
    return ((w[0] | w[1]) & HIGH_BITS) == 0;
  }
  if (n >= 8) return ((load_word(p) | load_word(p + n - 8)) & HIGH_BITS) == 0;
  if (n >= 4) {
    uint32_t a, b;
    memcpy(&a, p, 4);
    memcpy(&b, p + n - 4, 4);
    return ((a | b) & (uint32_t)HIGH_BITS) == 0;
  }
  return n == 0 || ((p[0] | p[n / 2] | p[n - 1]) & 0x80) == 0;
}

/* The vectorised check. All that can be wrong with two neighbours is told by
 * three nibbles: both of the first byte and the upper one of the second. Each
 * nibble selects the set of faults it is compatible with; a fault that is in
 * all three sets is there. A continuation after a continuation is the one
 * pair that needs more: it is right exactly where the byte two back is E0 or
 * above, or the one three back F0 or above.
 *
 * Every byte is checked with loads 1, 2 and 3 bytes back, so nothing but the
 * verdict is carried from block to block, and the last block may overlap the
 * one before it. */
#if defined(__x86_64__) || defined(__aarch64__)

enum {
  SHORT = 1 << 0,     /* lead, then no continuation */
  LONG = 1 << 1,      /* ASCII, then a continuation */
  OVERLONG2 = 1 << 2, /* C0 or C1 */
  OVERLONG3 = 1 << 3, /* E0, then 80 to 9F */
  SURROGATE = 1 << 4, /* ED, then A0 to BF */
  LARGE = 1 << 5,     /* F4 to FF, then 90 to BF */
  EDGE4 = 1 << 6,     /* F0 (overlong) or F5 to FF (large), then 80 to 8F */
  CONTS = 1 << 7,     /* two continuations */
  ANY_LOW = SHORT | LONG | CONTS
};

static const uint8_t first_high[16] = {LONG,
                                       LONG,
                                       LONG,
                                       LONG,
                                       LONG,
                                       LONG,
                                       LONG,
                                       LONG,
                                       CONTS,
                                       CONTS,
                                       CONTS,
                                       CONTS,
                                       SHORT | OVERLONG2,
                                       SHORT,
                                       SHORT | OVERLONG3 | SURROGATE,
                                       SHORT | LARGE | EDGE4};

static const uint8_t first_low[16] = {ANY_LOW | OVERLONG2 | OVERLONG3 | EDGE4,
                                      ANY_LOW | OVERLONG2,
                                      ANY_LOW,
                                      ANY_LOW,
                                      ANY_LOW | LARGE,
                                      ANY_LOW | LARGE | EDGE4,
                                      ANY_LOW | LARGE | EDGE4,
                                      ANY_LOW | LARGE | EDGE4,
                                      ANY_LOW | LARGE | EDGE4,
                                      ANY_LOW | LARGE | EDGE4,
                                      ANY_LOW | LARGE | EDGE4,
                                      ANY_LOW | LARGE | EDGE4,
                                      ANY_LOW | LARGE | EDGE4,
                                      ANY_LOW | LARGE | EDGE4 | SURROGATE,
                                      ANY_LOW | LARGE | EDGE4,
                                      ANY_LOW | LARGE | EDGE4};

static const uint8_t second_high[16] = {
  SHORT,
  SHORT,
  SHORT,
  SHORT,
  SHORT,
  SHORT,
  SHORT,
  SHORT,
  LONG | CONTS | OVERLONG2 | OVERLONG3 | EDGE4,
  LONG | CONTS | OVERLONG2 | OVERLONG3 | LARGE,
  LONG | CONTS | OVERLONG2 | SURROGATE | LARGE,
  LONG | CONTS | OVERLONG2 | SURROGATE | LARGE,
  SHORT,
  SHORT,
  SHORT,
  SHORT};

/* Does a sequence go on at p? Then ASCII must not stand there. */
static inline bool is_open(const uint8_t *p) {
  return p[-1] >= 0xC0 || p[-2] >= 0xE0 || p[-3] >= 0xF0;
}

/* The last byte that may start a sequence not ended yet, or end. */
static const uint8_t *find_open(const uint8_t *end) {
  for (int i = 1; i <= 3; i++)
    if (end[-i] >= 0xC0) return end - i;
  return end;
}

/* Validates n >= 3 + one vector bytes. blocks() tells whether p[0..end) is
 * right, seen together with the three bytes before it, up to a sequence that
 * end cuts off. The automaton takes those first three, which also ends
 * whatever an earlier piece began, and the cut sequence again: its first bad
 * byte may be the last of this piece, or its lead be one that never is right
 * (C0, F5). */
static inline bool feed_blocks(uint32_t *state, const uint8_t *p, size_t n,
                               bool (*blocks)(const uint8_t *p,
                                              const uint8_t *end)) {
  const uint8_t *end = p + n;
  if (run(*state, p, p + 3) == BAD || !blocks(p + 3, end)) return false;
  *state = run(START, find_open(end), end);
  return *state != BAD;
}

#endif

#if defined(__x86_64__)

#define SSSE3 __attribute__((target("ssse3")))
#define AVX2 __attribute__((target("avx2")))

SSSE3 static inline __m128i load16(const uint8_t *p) {
  return _mm_loadu_si128((const __m128i *)p);
}

/* Not zero where a byte of p[0..16) is wrong after the three before it. */
SSSE3 static inline __m128i check16(const uint8_t *p) {
  const __m128i nibble = _mm_set1_epi8(0x0F);
  __m128i one = load16(p - 1);
  __m128i high = _mm_and_si128(_mm_srli_epi16(one, 4), nibble);
  __m128i next = _mm_and_si128(_mm_srli_epi16(load16(p), 4), nibble);
  __m128i faults =
    _mm_and_si128(_mm_and_si128(_mm_shuffle_epi8(load16(first_high), high),
                                _mm_shuffle_epi8(load16(first_low),
                                                 _mm_and_si128(one, nibble))),
                  _mm_shuffle_epi8(load16(second_high), next));
  /* Saturating: the top bit is left from E0, and from F0, upwards. */
  __m128i third = _mm_subs_epu8(load16(p - 2), _mm_set1_epi8(0xE0 - 0x80));
  __m128i fourth = _mm_subs_epu8(load16(p - 3), _mm_set1_epi8(0xF0 - 0x80));
  __m128i wanted =
    _mm_and_si128(_mm_or_si128(third, fourth), _mm_set1_epi8((char)CONTS));
  return _mm_xor_si128(faults, wanted);
}

SSSE3 static bool blocks_ssse3(const uint8_t *p, const uint8_t *end) {
  __m128i wrong = _mm_setzero_si128();
  while (end - p >= 32) {
    if (_mm_movemask_epi8(_mm_or_si128(load16(p), load16(p + 16))) == 0) {
      if (is_open(p)) return false;
    } else {
      wrong = _mm_or_si128(wrong, check16(p));
      wrong = _mm_or_si128(wrong, check16(p + 16));
    }
    p += 32;
  }
  if (end - p > 16) wrong = _mm_or_si128(wrong, check16(p));
  wrong = _mm_or_si128(wrong, check16(end - 16));
  return _mm_movemask_epi8(_mm_cmpeq_epi8(wrong, _mm_setzero_si128())) ==
         0xFFFF;
}

AVX2 static inline __m256i load32(const uint8_t *p) {
  return _mm256_loadu_si256((const __m256i *)p);
}

AVX2 static inline __m256i load_table(const uint8_t table[16]) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
}

/* check16 on 32 bytes. */
AVX2 static inline __m256i check32(const uint8_t *p) {
  const __m256i nibble = _mm256_set1_epi8(0x0F);
  __m256i one = load32(p - 1);
  __m256i high = _mm256_and_si256(_mm256_srli_epi16(one, 4), nibble);
  __m256i next = _mm256_and_si256(_mm256_srli_epi16(load32(p), 4), nibble);
  __m256i faults = _mm256_and_si256(
    _mm256_and_si256(_mm256_shuffle_epi8(load_table(first_high), high),
                     _mm256_shuffle_epi8(load_table(first_low),
                                         _mm256_and_si256(one, nibble))),
    _mm256_shuffle_epi8(load_table(second_high), next));
  __m256i third =
    _mm256_subs_epu8(load32(p - 2), _mm256_set1_epi8(0xE0 - 0x80));
  __m256i fourth =
    _mm256_subs_epu8(load32(p - 3), _mm256_set1_epi8(0xF0 - 0x80));
  __m256i wanted = _mm256_and_si256(_mm256_or_si256(third, fourth),
                                    _mm256_set1_epi8((char)CONTS));
  return _mm256_xor_si256(faults, wanted);
}

AVX2 static inline bool is_ascii64(const uint8_t *p) {
  return _mm256_movemask_epi8(_mm256_or_si256(load32(p), load32(p + 32))) == 0;
}

AVX2 static bool blocks_avx2(const uint8_t *p, const uint8_t *end) {
  __m256i wrong = _mm256_setzero_si256();
  while (end - p >= 64) {
    if (is_ascii64(p)) {
      if (is_open(p)) return false;
      do p += 64;
      while (end - p >= 64 && is_ascii64(p));
      continue;
    }
    wrong = _mm256_or_si256(wrong, check32(p));
    wrong = _mm256_or_si256(wrong, check32(p + 32));
    p += 64;
  }
  if (end - p > 32) wrong = _mm256_or_si256(wrong, check32(p));
  wrong = _mm256_or_si256(wrong, check32(end - 32));
  return _mm256_testz_si256(wrong, wrong) != 0;
}

#elif defined(__aarch64__)

/* Not zero where a byte of p[0..16) is wrong after the three before it. */
static inline uint8x16_t check16(const uint8_t *p) {
  uint8x16_t one = vld1q_u8(p - 1);
  uint8x16_t faults = vandq_u8(
    vandq_u8(vqtbl1q_u8(vld1q_u8(first_high), vshrq_n_u8(one, 4)),
             vqtbl1q_u8(vld1q_u8(first_low), vandq_u8(one, vdupq_n_u8(0x0F)))),
    vqtbl1q_u8(vld1q_u8(second_high), vshrq_n_u8(vld1q_u8(p), 4)));
  /* Saturating: the top bit is left from E0, and from F0, upwards. */
  uint8x16_t third = vqsubq_u8(vld1q_u8(p - 2), vdupq_n_u8(0xE0 - 0x80));
  uint8x16_t fourth = vqsubq_u8(vld1q_u8(p - 3), vdupq_n_u8(0xF0 - 0x80));
  uint8x16_t wanted = vandq_u8(vorrq_u8(third, fourth), vdupq_n_u8(CONTS));
  return veorq_u8(faults, wanted);
}

static bool blocks_neon(const uint8_t *p, const uint8_t *end) {
  uint8x16_t wrong = vdupq_n_u8(0);
  while (end - p >= 32) {
    if (vmaxvq_u8(vorrq_u8(vld1q_u8(p), vld1q_u8(p + 16))) < 0x80) {
      if (is_open(p)) return false;
    } else {
      wrong = vorrq_u8(wrong, check16(p));
      wrong = vorrq_u8(wrong, check16(p + 16));
    }
    p += 32;
  }
  if (end - p > 16) wrong = vorrq_u8(wrong, check16(p));
  wrong = vorrq_u8(wrong, check16(end - 16));
  return vmaxvq_u8(wrong) == 0;
}

#endif

/* __builtin_cpu_supports reads what was noted when the module was loaded: a
 * load and a test, no state of ours. */
static bool feed_best(uint32_t *state, const uint8_t *p, size_t n) {
#if defined(__x86_64__)
  if (n >= 3 + 32 && __builtin_cpu_supports("avx2"))
    return feed_blocks(state, p, n, blocks_avx2);
  if (n >= 3 + 16 && __builtin_cpu_supports("ssse3"))
    return feed_blocks(state, p, n, blocks_ssse3);
#elif defined(__aarch64__)
  if (n >= 3 + 16) return feed_blocks(state, p, n, blocks_neon);
#endif
  return feed_scalar(state, p, n);
}

bool ws_utf8_feed(uint32_t *state, const void *bytes, size_t n) {
  if (*state == START && n <= ASCII_FIRST && is_ascii(bytes, n)) return true;
  return feed_best(state, bytes, n);
}

bool ws_utf8_is_valid(const void *bytes, size_t n) {
  uint32_t state = WS_UTF8_START;
  return ws_utf8_feed(&state, bytes, n) && state == START;
}
