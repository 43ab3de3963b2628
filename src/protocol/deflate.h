/* deflate.h: the compressed data of permessage-deflate, RFC 7692 7.2: raw
 * DEFLATE without the four bytes 00 00 FF FF at a message's end.
 *
 * A compressor or a decompressor is used for one message at a time, whole or
 * in pieces. Where contexts are not kept between messages they are borrowed
 * from a pool, which the connections of a loop share. */
#ifndef EVWS_DEFLATE_H
#define EVWS_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "protocol/inflate.h"

/* All compressors that connections keep between messages, in one pool. */
#define WS_DEFLATE_KEPT (64 * 1024 * 1024)
#define WS_DEFLATE_RESTING 6 /* compressors of the pool itself, at most */

/* What may be inflated in a part of a turn, of all messages together, in work
 * as of inflate.h. A message that takes long leaves half of it to others. */
#define WS_INFLATE_WORK (1024 * 1024)
#define WS_INFLATE_SHORT (64 * 1024)

struct ws_deflater;

struct ws_deflate_pool {
  size_t *spent; /* work of this part of the turn; NULL: nobody counts */
  struct ws_inflater *inflater; /* at rest; NULL when there is none */
  struct ws_deflater *resting[WS_DEFLATE_RESTING];
  struct ws_list kept; /* compressors of connections, the last used last */
  size_t kept_bytes;
  struct ws_buf inflated; /* room for a message, lent to one at a time */
  struct ws_buf deflated;
  bool is_lent;
};

void ws_deflate_pool_init(struct ws_deflate_pool *pool);
void ws_deflate_pool_free(struct ws_deflate_pool *pool);

/* Gives back whatever is at rest: between messages it does no harm. */
void ws_deflate_pool_rest(struct ws_deflate_pool *pool);

/* A decompressor with the largest window, borrowed and given back. NULL
 * without memory. */
struct ws_inflater *ws_inflater_take(struct ws_deflate_pool *pool);
void ws_inflater_give(struct ws_deflate_pool *pool, struct ws_inflater *f);

struct ws_deflate_level {
  uint8_t level;  /* 1, fast, to 9, small */
  uint8_t memory; /* 1 to 9: 1 KiB doubled so many times, beside the window */
};

/* A compressor of the pool for one message of len bytes. bits: 9 to 15. NULL
 * without memory. */
struct ws_deflater *ws_deflater_take(struct ws_deflate_pool *pool,
                                     const struct ws_deflate_level *level,
                                     uint8_t bits, size_t len);
void ws_deflater_give(struct ws_deflate_pool *pool, struct ws_deflater *d);

/* The compressor that a connection keeps in *own, made if need be, perhaps
 * out of the one that was not used for longest: all of them together stay
 * below WS_DEFLATE_KEPT, and *own becomes NULL for whoever loses his. That does
 * no harm between messages. NULL without memory. */
struct ws_deflater *ws_deflater_keep(struct ws_deflate_pool *pool,
                                     struct ws_deflater **own,
                                     const struct ws_deflate_level *level,
                                     uint8_t bits);

/* Gives up the compressor in *own, if there is one. */
void ws_deflater_drop(struct ws_deflate_pool *pool, struct ws_deflater **own);

/* Deflates a whole message into out[0, cap). Returns its length, or 0 when it
 * does not fit; the compressor has then forgotten what was before. */
size_t ws_deflater_whole(struct ws_deflater *d, const void *bytes, size_t n,
                         uint8_t *out, size_t cap);

#endif
