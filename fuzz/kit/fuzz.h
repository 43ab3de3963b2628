/* fuzz.h: what the fuzz targets share. A target is one file: it takes its
 * parameters from the first bytes of the input, does the same thing in several
 * ways with the rest, and checks that nothing differs. */
#ifndef EVWS_FUZZ_H
#define EVWS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* A finding: says where, and ends the process so that the input is kept. */
_Noreturn void fuzz_fail(const char *file, int line, const char *what);

#define FUZZ_CHECK(truth) \
  ((truth) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #truth))

/* The input, eaten from the front; zeros behind its end. */
struct fuzz_input {
  const uint8_t *p;
  size_t n;
};

uint8_t fuzz_byte(struct fuzz_input *in);
uint16_t fuzz_u16(struct fuzz_input *in);
struct ws_slice fuzz_take(struct fuzz_input *in, size_t n); /* n at most */

/* Sizes of pieces, from a seed: 0 cuts nothing, 1 cuts everywhere. */
struct fuzz_cuts {
  uint32_t seed;
};

size_t fuzz_piece(struct fuzz_cuts *cuts, size_t left);

/* The n bytes again, in a place of their own: what stands around it is out of
 * bounds (in front to within 8 bytes). At most FUZZ_MAX; there until the next
 * call with the same fence, which is to be static. */
#define FUZZ_MAX (64 * 1024)

struct fuzz_fence {
  uint8_t *block;
  size_t used;
};

uint8_t *fuzz_fenced(struct fuzz_fence *fence, const void *bytes, size_t n);

uint64_t fuzz_hash(const void *bytes, size_t n);

/* A UTF-8 decoder made for reading: table 3-7 of the Unicode standard, byte
 * by byte. False for the first byte that is in no well-formed sequence. */
struct fuzz_utf8 {
  uint8_t missing;   /* continuation bytes */
  uint8_t low, high; /* of the next one */
};

bool fuzz_utf8_byte(struct fuzz_utf8 *u, uint8_t byte);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#endif
