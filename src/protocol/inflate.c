/* inflate.c: decompressors, RFC 7692 7.2.2. What is said in deflate.h holds;
 * what a sender may do besides: blocks with BFINAL set, anywhere (7.2.3.4),
 * stored blocks, empty ones, no byte at all. */
#include "protocol/inflate.h"

#include <zlib.h>

#include "base/err.h"
#include "protocol/zmem.h"

#define STEP (1u << 30)  /* zlib counts in unsigned int */
#define STATE_BYTES 8192 /* of zlib's state beside its window */

/* Bit of z_stream.data_type: inflate stopped between two blocks. */
#define AT_BLOCK 128

struct ws_inflater {
  z_stream z;
  struct ws_zmem memory;
  const uint8_t *next; /* what zlib has not been given of the piece */
  size_t left;
  uint64_t put, made; /* bytes of this message, in and out */
  uint64_t max_message, max_ratio;
  bool is_last;    /* the piece ends the message */
  bool has_tail;   /* and zlib was given 00 00 FF FF */
  bool is_final;   /* the last thing was the end of a block with BFINAL */
  bool is_full;    /* the output was full: there may be more */
  bool is_between; /* it stopped between two blocks */
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
  f->put = f->made = 0;
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

/* One call of zlib. Z_OK: go on. */
static int step(struct ws_inflater *f) {
  int r = inflate(&f->z, Z_SYNC_FLUSH);
  /* a call that does nothing forgets where the one before it stopped */
  if (r != Z_BUF_ERROR) f->is_between = f->z.data_type & AT_BLOCK;
  f->is_full = r == Z_OK && f->z.avail_out == 0;
  f->is_final = r == Z_STREAM_END;
  /* a final block ends nothing; the window stays for what follows */
  if (f->is_final) return inflateResetKeep(&f->z);
  return r == Z_BUF_ERROR ? Z_OK : r;
}

int64_t ws_inflater_get(struct ws_inflater *f, uint8_t *out, size_t cap,
                        const char **why) {
  z_stream *z = &f->z;
  uInt room = cap < STEP ? (uInt)cap : STEP;
  z->next_out = out;
  z->avail_out = room;
  while (z->avail_out && (z->avail_in || f->is_full || refill(f))) {
    int r = step(f);
    if (r == Z_MEM_ERROR) return fail(WS_ERR_MEMORY, "out of memory", why);
    if (r != Z_OK) return fail(WS_ERR_UTF8, "malformed compressed data", why);
  }
  size_t n = room - z->avail_out;
  f->made += n;
  int64_t err = check_limits(f, why);
  if (err) return err;
  if (n == 0 && f->is_last && !is_complete(f) && !f->is_between)
    return fail(WS_ERR_UTF8, "compressed data cut short", why);
  return (int64_t)n;
}
