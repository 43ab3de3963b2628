/* inflate.c: decompressors, RFC 7692 7.2.2. What is said in deflate.h holds;
 * what a sender may do besides: blocks with BFINAL set, anywhere (7.2.3.4),
 * stored blocks, empty ones, no byte at all. */
#include "protocol/inflate.h"

#include <assert.h>

#include <zlib.h>

#include "base/err.h"
#include "protocol/zmem.h"

#define STEP (1u << 30)  /* zlib counts in unsigned int */
#define STATE_BYTES 8192 /* of zlib's state beside its window */

/* Of z_stream.data_type: inflate stopped between two blocks, or behind one
 * with BFINAL; the bits that it holds of the byte read last. */
#define AT_BLOCK 128
#define AT_FINAL 64
#define HELD_BITS 63
#define HEADER_BITS 3 /* of a block: what it can begin with */

struct ws_inflater {
  z_stream z;
  struct ws_zmem memory;
  const uint8_t *next; /* what zlib has not been given of the piece */
  size_t left;
  uint64_t put, made; /* bytes of this message, in and out */
  uint64_t max_message, max_ratio;
  uint64_t work, most; /* done for this message, and allowed */
  bool is_last;        /* the piece ends the message */
  bool has_tail;       /* and zlib was given 00 00 FF FF */
  bool is_final;       /* the last thing was the end of a block with BFINAL */
  bool is_full;        /* the output was full: there may be more */
  bool is_between;     /* it stopped between two blocks */
};

struct ws_inflater *ws_inflater_new(uint8_t bits, bool stays) {
  struct ws_inflater *f = ws_mem_zero(sizeof *f);
  if (!f) return NULL;
  ws_zmem_open(&f->memory, stays ? STATE_BYTES + ((size_t)1 << bits) : 0);
  f->z.zalloc = ws_zmem_alloc;
  f->z.zfree = ws_zmem_free;
  f->z.opaque = &f->memory;
  /* who agrees on 8 may use 9: zlib did so in silence for years */
  if (inflateInit2(&f->z, bits < 9 ? -9 : -bits) != Z_OK) {
    ws_zmem_close(&f->memory);
    ws_mem_free(f);
    return NULL;
  }
  return f;
}

void ws_inflater_free(struct ws_inflater *f) {
  if (!f) return;
  inflateEnd(&f->z);
  ws_zmem_close(&f->memory);
  ws_mem_free(f);
}

void ws_inflater_begin(struct ws_inflater *f, bool is_fresh,
                       uint64_t max_message, uint64_t max_ratio) {
  if (is_fresh) inflateReset(&f->z);
  f->z.avail_in = 0;
  f->put = f->made = f->work = 0;
  f->most = UINT64_MAX;
  f->max_message = max_message;
  f->max_ratio = max_ratio;
  f->left = 0;
  f->is_last = f->has_tail = f->is_final = f->is_full = f->is_between = false;
}

void ws_inflater_put(struct ws_inflater *f, const uint8_t *bytes, size_t n,
                     bool is_last) {
  f->next = bytes;
  f->left = n;
  f->put += n;
  f->is_last = is_last;
}

void ws_inflater_allow(struct ws_inflater *f, uint64_t work) {
  f->most = work < UINT64_MAX - f->work ? f->work + work : UINT64_MAX;
}

uint64_t ws_inflater_work(const struct ws_inflater *f) {
  return f->work;
}

bool ws_inflater_is_spent(const struct ws_inflater *f) {
  return f->work >= f->most;
}

const uint8_t *ws_inflater_unread(const struct ws_inflater *f, size_t *n) {
  *n = f->has_tail ? 0 : f->z.avail_in + f->left;
  return f->has_tail ? NULL : f->next - f->z.avail_in;
}

void ws_inflater_moved(struct ws_inflater *f, const uint8_t *to) {
  assert(!f->has_tail); /* of which nothing is unread */
  f->z.next_in = (Bytef *)to;
  f->next = to + f->z.avail_in;
}

/* Without the tail? A sender that has left nothing, or nothing behind a final
 * block, is a little off, but clear. */
static bool is_complete(const struct ws_inflater *f) {
  return f->is_final || f->put == 0;
}

/* Gives zlib its next input. False when there is none. */
static bool refill(struct ws_inflater *f) {
  static const uint8_t tail[] = {0x00, 0x00, 0xFF, 0xFF};
  if (f->left) {
    size_t n = f->left < STEP ? f->left : STEP;
    f->z.next_in = (Bytef *)f->next;
    f->z.avail_in = (uInt)n;
    f->next += n;
    f->left -= n;
    return true;
  }
  if (!f->is_last || f->has_tail || is_complete(f)) return false;
  f->has_tail = true;
  f->z.next_in = (Bytef *)tail;
  f->z.avail_in = sizeof tail;
  return true;
}

static int64_t fail(enum ws_err err, const char *text, const char **why) {
  *why = text;
  return err;
}

static int64_t check_limits(const struct ws_inflater *f, const char **why) {
  if (f->made > f->max_message)
    return fail(WS_ERR_TOO_BIG, "the message is too big", why);
  if (f->made > WS_RATIO_FROM && (f->made - 1) / f->max_ratio >= f->put)
    return fail(WS_ERR_TOO_BIG, "the message inflates too much", why);
  return 0;
}

/* Behind a final block, which is yet to be told. */
static bool is_final_due(const struct ws_inflater *f) {
  return f->is_between && f->z.data_type & AT_FINAL;
}

/* Between two blocks, the second of which begins in the bits that zlib holds,
 * perhaps wrongly. */
static bool has_header(const struct ws_inflater *f) {
  return f->is_between && (f->z.data_type & HELD_BITS) >= HEADER_BITS;
}

/* One call of zlib, to the end of a block at most, for to begin one takes it
 * as long as many bytes do. Z_OK: go on. */
static int step(struct ws_inflater *f) {
  uint64_t left = (uint64_t)f->z.avail_in + f->z.avail_out;
  bool had_header = has_header(f);
  int r = inflate(&f->z, Z_BLOCK);
  f->work += left - f->z.avail_in - f->z.avail_out;
  /* a call that does nothing forgets where the one before it stopped */
  if (r != Z_BUF_ERROR)
    f->is_between = f->z.data_type & AT_BLOCK;
  else if (had_header)
    f->is_between = false;
  if (r == Z_OK && f->is_between) f->work += WS_BLOCK_WORK;
  f->is_full = r == Z_OK && f->z.avail_out == 0;
  f->is_final = r == Z_STREAM_END;
  /* a final block ends nothing; the window stays for what follows */
  if (f->is_final) return inflateResetKeep(&f->z);
  return r == Z_BUF_ERROR ? Z_OK : r;
}

int64_t ws_inflater_get(struct ws_inflater *f, uint8_t *out, size_t cap,
                        const char **why) {
  z_stream *z = &f->z;
  assert(f->work < f->most); /* who has spent it all asks for more first */
  uint64_t left = f->most - f->work;
  uInt room = cap < STEP ? (uInt)cap : STEP;
  if (left < room) room = (uInt)left;
  z->next_out = out;
  z->avail_out = room;
  while (z->avail_out && f->work < f->most &&
         (z->avail_in || f->is_full || is_final_due(f) || refill(f) ||
          has_header(f))) {
    int r = step(f);
    if (r == Z_MEM_ERROR) return fail(WS_ERR_MEMORY, "out of memory", why);
    if (r != Z_OK) return fail(WS_ERR_UTF8, "malformed compressed data", why);
  }
  size_t n = room - z->avail_out;
  f->made += n;
  int64_t err = check_limits(f, why);
  if (err) return err;
  if (n == 0 && f->is_last && !is_complete(f) && !f->is_between &&
      f->work < f->most)
    return fail(WS_ERR_UTF8, "compressed data cut short", why);
  return (int64_t)n;
}
