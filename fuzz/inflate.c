/* inflate: a compressed message inflates to the same bytes in pieces of any
 * size, into room of any size, and to what zlib makes of it in one call; no
 * more than max_message and one room's worth is ever made. And whatever is
 * deflated, with any window and level, whole or in pieces, inflates again. */
#include "kit/fuzz.h"

#include <stdlib.h>
#include <zlib.h>

#include "protocol/deflate.h"

#define MADE_MAX (256 * 1024) /* what zlib is asked for, at most */
#define AT_BLOCK 128          /* z_stream.data_type: between two blocks */

struct result {
  int64_t err;
  size_t n;
  uint8_t data[2 * MADE_MAX];
};

struct want {
  bool is_fine;  /* all of it was taken, and it ended between two blocks */
  bool is_final; /* a block with BFINAL came first: more may follow it */
  bool is_large; /* more than MADE_MAX */
  size_t n;
  uint8_t data[MADE_MAX];
};

static void ask_zlib(struct want *w, struct ws_slice in, int bits) {
  static uint8_t bytes[FUZZ_MAX + 4];
  static z_stream z;
  static bool is_made;
  if (!is_made && inflateInit2(&z, -WS_BITS_MAX) != Z_OK) abort();
  is_made = true;
  inflateReset2(&z, bits < 9 ? -9 : -bits);
  if (in.n > 0) memcpy(bytes, in.p, in.n);
  memcpy(bytes + in.n, "\0\0\xff\xff", 4);
  z.next_in = bytes;
  z.avail_in = (uInt)in.n + 4;
  z.next_out = w->data;
  z.avail_out = MADE_MAX;
  int r = inflate(&z, Z_SYNC_FLUSH);
  w->n = MADE_MAX - z.avail_out;
  w->is_large = z.avail_out == 0;
  w->is_final = r == Z_STREAM_END;
  w->is_fine = r == Z_OK && z.avail_in == 0 && z.data_type & AT_BLOCK;
}

/* Gets out all that a piece brings, into room of a size. */
static void get_all(struct result *r, struct ws_inflater *f, uint64_t max,
                    size_t room, uint64_t work) {
  const char *why = NULL;
  for (;;) {
    uint8_t out[4096];
    uint64_t done = ws_inflater_work(f);
    ws_inflater_allow(f, work);
    int64_t n = ws_inflater_get(f, out, room, &why);
    done = ws_inflater_work(f) - done;
    /* the last thing done is one more block's beginning at most, and the few
     * bytes of it */
    FUZZ_CHECK(n < 0 || (uint64_t)n <= work);
    FUZZ_CHECK(n < 0 || done <= work || done - work < FUZZ_MAX + WS_BLOCK_WORK);
    if (n == 0 && ws_inflater_is_spent(f)) {
      FUZZ_CHECK(done > 0);
      continue;
    }
    FUZZ_CHECK(n <= (int64_t)room);
    r->err = n < 0 ? n : 0;
    if (n < 0) FUZZ_CHECK(why != NULL);
    if (n <= 0) return;
    FUZZ_CHECK(r->n + (size_t)n <= max + room && (size_t)n <= room);
    if (r->n + (size_t)n > sizeof r->data) abort();
    memcpy(r->data + r->n, out, (size_t)n);
    r->n += (size_t)n;
  }
}

static void run(struct result *r, struct ws_inflater *f, struct ws_slice in,
                uint64_t max, uint64_t ratio, struct fuzz_cuts cuts,
                size_t room, uint64_t work) {
  static struct fuzz_fence fence;
  size_t at = 0;
  r->n = 0;
  r->err = 0;
  ws_inflater_begin(f, true, max, ratio);
  do {
    size_t n = fuzz_piece(&cuts, in.n - at);
    bool is_last = at + n == in.n;
    ws_inflater_put(f, fuzz_fenced(&fence, in.p + at, n), n, is_last);
    get_all(r, f, max, room, work);
    at += n;
  } while (at < in.n && r->err == 0);
}

static bool is_over(const struct want *w, size_t put, uint64_t max,
                    uint64_t ratio) {
  return w->is_large || w->n > max ||
         (w->n > WS_RATIO_FROM && (w->n - 1) / ratio >= put);
}

/* A distance beyond a small window is an error that zlib overlooks while those
 * bytes still stand in the room it was given: there a cut may tell. */
static bool is_far(const struct result *r, uint8_t bits) {
  return bits < WS_BITS_MAX && r->err == WS_ERR_UTF8;
}

static void check(const struct result *r, const struct want *w, size_t put,
                  uint64_t max, uint64_t ratio, uint8_t bits) {
  if (put == 0) { /* an empty message that lacks even its one byte */
    FUZZ_CHECK(r->err == 0 && r->n == 0);
    return;
  }
  size_t both = r->n < w->n ? r->n : w->n;
  FUZZ_CHECK(memcmp(r->data, w->data, both) == 0);
  if (w->is_final) return;
  if (r->err == 0) {
    FUZZ_CHECK(w->is_fine && r->n == w->n && r->n <= max);
  } else if (r->err == WS_ERR_TOO_BIG) {
    /* in pieces the ratio is judged by what has come */
    FUZZ_CHECK(is_over(w, put, max, ratio) ||
               (ratio != UINT64_MAX && w->n > WS_RATIO_FROM));
  } else {
    FUZZ_CHECK(r->err == WS_ERR_UTF8 && (!w->is_fine || is_far(r, bits)));
  }
}

static void inflate_it(struct ws_slice in, uint8_t params, uint8_t room,
                       struct fuzz_cuts cuts) {
  static const uint64_t limits[] = {MADE_MAX, 0, 1, 100, 4096, 70000, MADE_MAX};
  static struct result whole, pieces;
  static struct want want;
  static struct ws_inflater *inflaters[16];
  uint8_t bits = (uint8_t)(8 + params % 8);
  uint64_t max = limits[(params >> 3) % 7];
  uint64_t ratio = params & 128 ? 50 : UINT64_MAX;
  struct ws_inflater **f = &inflaters[bits];
  if (!*f && !(*f = ws_inflater_new(bits, true))) abort();
  ask_zlib(&want, in, bits);
  run(&whole, *f, in, max, ratio, (struct fuzz_cuts){0}, 4096, UINT64_MAX);
  check(&whole, &want, in.n, max, ratio, bits);
  run(&pieces, *f, in, max, ratio, cuts, room + 1U,
      cuts.seed % 2 ? 1U + cuts.seed % 100 : UINT64_MAX);
  check(&pieces, &want, in.n, max, ratio, bits);
  if (ratio != UINT64_MAX) return; /* judged by what has come */
  if (is_far(&whole, bits) || is_far(&pieces, bits)) return;
  FUZZ_CHECK((whole.err == 0) == (pieces.err == 0));
  if (whole.err) return;
  FUZZ_CHECK(whole.n == pieces.n &&
             memcmp(whole.data, pieces.data, whole.n) == 0);
}

/* What comes out of a compressor goes into a decompressor. */
static void check_back(struct ws_slice in, uint8_t bits, const uint8_t *bytes,
                       size_t n) {
  static struct result r;
  struct ws_inflater *f = ws_inflater_new(bits, true);
  if (!f) abort();
  struct ws_slice compressed = {(const char *)bytes, n};
  run(&r, f, compressed, MADE_MAX, UINT64_MAX, (struct fuzz_cuts){0}, 4096,
      UINT64_MAX);
  FUZZ_CHECK(r.err == 0 && r.n == in.n && memcmp(r.data, in.p, in.n) == 0);
  ws_inflater_free(f);
}

static void deflate_it(struct ws_slice in, uint8_t params, uint8_t level) {
  static struct ws_deflate_pool pool;
  static uint8_t out[FUZZ_MAX];
  struct ws_deflate_level l = {1, 1};
  uint8_t bits = (uint8_t)(9 + params % 7);
  l.level = (uint8_t)(1 + level % 9);
  l.memory = (uint8_t)(1 + (level >> 4) % 9);
  if (!pool.kept.next) ws_deflate_pool_init(&pool);
  struct ws_deflater *d = ws_deflater_take(&pool, &l, bits, in.n);
  if (!d) abort();
  size_t n = ws_deflater_whole(d, in.p, in.n, out, sizeof out);
  FUZZ_CHECK(n > 0 && n < sizeof out);
  check_back(in, bits, out, n);
  ws_deflater_give(&pool, d);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  struct fuzz_input in = {bytes, n};
  uint8_t flags = fuzz_byte(&in), params = fuzz_byte(&in);
  uint8_t room = fuzz_byte(&in);
  struct fuzz_cuts cuts = {fuzz_u16(&in)};
  if (in.n > 8192) return 0;
  struct ws_slice data = fuzz_take(&in, in.n);
  inflate_it(data, params, room, cuts);
  if (flags % 8 == 1) deflate_it(data, params, room);
  return 0;
}
