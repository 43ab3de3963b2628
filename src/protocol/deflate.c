/* deflate.c: compressors, RFC 7692 7.2.1, and the pool. inflate.c has the
 * other direction. */
#include "protocol/deflate.h"

#include <assert.h>
#include <string.h>

#include <zlib.h>

#include "protocol/zmem.h"

#define TAIL 4           /* bytes: 00 00 FF FF */
#define LOOKAHEAD 262    /* zlib matches this much less far than its window */
#define STEP (1u << 30)  /* zlib counts in unsigned int */
#define STATE_BYTES 6144 /* of zlib's state beside window and tables */

struct ws_deflater {
  z_stream z;
  struct ws_zmem memory;
  struct ws_list link;        /* of the pool's kept ones */
  struct ws_deflater **owner; /* who keeps it; NULL: the pool */
  uint8_t bits;
  struct ws_deflate_level level;
  bool is_used; /* since it was reset */
};

static size_t size_of(const struct ws_deflater *d) {
  return ((size_t)1 << (d->bits + 2)) + ((size_t)1 << (d->level.memory + 9)) +
         STATE_BYTES;
}

static void free_deflater(struct ws_deflater *d) {
  if (!d) return;
  deflateEnd(&d->z);
  ws_zmem_close(&d->memory);
  ws_mem_free(d);
}

static struct ws_deflater *new_deflater(uint8_t bits,
                                        struct ws_deflate_level level) {
  struct ws_deflater *d = ws_mem_zero(sizeof *d);
  if (!d) return NULL;
  assert(bits >= 9 && bits <= WS_BITS_MAX);
  d->bits = bits;
  d->level = level;
  ws_list_init(&d->link);
  ws_zmem_open(&d->memory, size_of(d));
  d->z.zalloc = ws_zmem_alloc;
  d->z.zfree = ws_zmem_free;
  d->z.opaque = &d->memory;
  if (deflateInit2(&d->z, level.level, Z_DEFLATED, -bits, level.memory,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    ws_zmem_close(&d->memory);
    ws_mem_free(d);
    return NULL;
  }
  return d;
}

static void reset(struct ws_deflater *d) {
  if (d->is_used) deflateReset(&d->z);
  d->is_used = false;
}

static bool is_like(const struct ws_deflater *d, uint8_t bits,
                    struct ws_deflate_level level) {
  return d->bits == bits && d->level.level == level.level &&
         d->level.memory == level.memory;
}

/* ---- borrowed for a message ---- */

/* To reset a compressor is to clear its hash table, which takes longer than
 * all else for a small message; so small ones get small tables. A smaller
 * window than agreed on is always right (7.1.2). */
static void fit(size_t len, uint8_t *bits, struct ws_deflate_level *level) {
  static const struct {
    size_t most;
    uint8_t bits, memory;
  } sizes[] = {{(1 << 11) - LOOKAHEAD, 11, 4}, {(1 << 13) - LOOKAHEAD, 13, 6}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    if (len > sizes[i].most) continue;
    if (*bits > sizes[i].bits) *bits = sizes[i].bits;
    if (level->memory > sizes[i].memory) level->memory = sizes[i].memory;
    return;
  }
}

struct ws_deflater *ws_deflater_take(struct ws_deflate_pool *pool,
                                     const struct ws_deflate_level *level,
                                     uint8_t bits, size_t len) {
  struct ws_deflate_level l = *level;
  fit(len, &bits, &l);
  for (size_t i = 0; i < WS_DEFLATE_RESTING; i++) {
    struct ws_deflater *d = pool->resting[i];
    if (!d || !is_like(d, bits, l)) continue;
    pool->resting[i] = NULL;
    reset(d);
    return d;
  }
  return new_deflater(bits, l);
}

void ws_deflater_give(struct ws_deflate_pool *pool, struct ws_deflater *d) {
  size_t last = WS_DEFLATE_RESTING - 1;
  for (size_t i = 0; i < WS_DEFLATE_RESTING; i++) {
    if (pool->resting[i]) continue;
    pool->resting[i] = d;
    return;
  }
  free_deflater(pool->resting[last]);
  pool->resting[last] = d;
}

/* ---- kept by connections ---- */

static struct ws_deflater *unkeep(struct ws_deflate_pool *pool,
                                  struct ws_deflater **own) {
  struct ws_deflater *d = *own;
  *own = NULL;
  d->owner = NULL;
  ws_list_remove(&d->link);
  pool->kept_bytes -= size_of(d);
  return d;
}

void ws_deflater_drop(struct ws_deflate_pool *pool, struct ws_deflater **own) {
  if (*own) free_deflater(unkeep(pool, own));
}

/* Room for one more of this size: the ones that were not used for longest go,
 * and if one of them will do it is returned. */
static struct ws_deflater *evict(struct ws_deflate_pool *pool, size_t size,
                                 uint8_t bits, struct ws_deflate_level level) {
  while (pool->kept_bytes > WS_DEFLATE_KEPT - size) {
    struct ws_deflater *d =
      WS_LIST_ENTRY(pool->kept.next, struct ws_deflater, link);
    unkeep(pool, d->owner);
    if (is_like(d, bits, level)) return d;
    free_deflater(d);
  }
  return NULL;
}

struct ws_deflater *ws_deflater_keep(struct ws_deflate_pool *pool,
                                     struct ws_deflater **own,
                                     const struct ws_deflate_level *level,
                                     uint8_t bits) {
  struct ws_deflater *d = *own;
  if (d) {
    ws_list_remove(&d->link);
  } else {
    struct ws_deflater like = {.bits = bits, .level = *level};
    d = evict(pool, size_of(&like), bits, *level);
    if (d)
      reset(d);
    else if (!(d = new_deflater(bits, *level)))
      return NULL;
    d->owner = own;
    *own = d;
    pool->kept_bytes += size_of(d);
  }
  ws_list_append(&pool->kept, &d->link);
  return d;
}

/* ---- at work ---- */

size_t ws_deflater_whole(struct ws_deflater *d, const void *bytes, size_t n,
                         uint8_t *out, size_t cap) {
  z_stream *z = &d->z;
  const uint8_t *in = bytes;
  uint8_t *to = out;
  d->is_used = true;
  do {
    size_t take = n < STEP ? n : STEP, room = cap < STEP ? cap : STEP;
    z->next_in = (Bytef *)in;
    z->avail_in = (uInt)take;
    z->next_out = to;
    z->avail_out = (uInt)room;
    int r = deflate(z, take == n ? Z_SYNC_FLUSH : Z_NO_FLUSH);
    if (r != Z_OK && r != Z_BUF_ERROR) { /* else it would be asked for ever */
      reset(d);
      return 0;
    }
    in += take - z->avail_in;
    n -= take - z->avail_in;
    to += room - z->avail_out;
    cap -= room - z->avail_out;
  } while (cap && (n || !z->avail_out));
  /* a flush is complete only where it has left room (zlib.h) */
  if (n == 0 && cap && to - out > TAIL) return (size_t)(to - out) - TAIL;
  reset(d);
  return 0;
}

void ws_deflate_pool_init(struct ws_deflate_pool *pool) {
  memset(pool, 0, sizeof *pool);
  ws_list_init(&pool->kept);
}

void ws_deflate_pool_rest(struct ws_deflate_pool *pool) {
  while (!ws_list_is_empty(&pool->kept))
    ws_deflater_drop(
      pool, WS_LIST_ENTRY(pool->kept.next, struct ws_deflater, link)->owner);
  for (size_t i = 0; i < WS_DEFLATE_RESTING; i++) {
    free_deflater(pool->resting[i]);
    pool->resting[i] = NULL;
  }
  ws_inflater_free(pool->inflater);
  pool->inflater = NULL;
}

void ws_deflate_pool_free(struct ws_deflate_pool *pool) {
  assert(ws_list_is_empty(&pool->kept) && !pool->is_lent);
  ws_inflater_free(pool->inflater);
  for (size_t i = 0; i < WS_DEFLATE_RESTING; i++)
    free_deflater(pool->resting[i]);
  ws_buf_free(&pool->inflated);
  ws_buf_free(&pool->deflated);
  ws_deflate_pool_init(pool);
}

/* ---- decompressors, lent ---- */

struct ws_inflater *ws_inflater_take(struct ws_deflate_pool *pool) {
  struct ws_inflater *f = pool->inflater;
  pool->inflater = NULL;
  return f ? f : ws_inflater_new(WS_BITS_MAX, false);
}

void ws_inflater_give(struct ws_deflate_pool *pool, struct ws_inflater *f) {
  if (!pool->inflater)
    pool->inflater = f;
  else
    ws_inflater_free(f);
}
