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

#define WS_BITS_MAX 15
#define WS_RATIO_FROM (64 * 1024) /* smaller messages may expand as they like */

/* All compressors that connections keep between messages, in one pool. */
#define WS_DEFLATE_KEPT (64 * 1024 * 1024)
#define WS_DEFLATE_RESTING 6 /* compressors of the pool itself, at most */

struct ws_inflater;
struct ws_deflater;

struct ws_deflate_pool {
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

/* ---- inflating ---- */

/* bits: of the window, 8 to 15. NULL without memory. */
struct ws_inflater *ws_inflater_new(uint8_t bits);
void ws_inflater_free(struct ws_inflater *f);

/* The same, with the largest window, borrowed and given back. */
struct ws_inflater *ws_inflater_take(struct ws_deflate_pool *pool);
void ws_inflater_give(struct ws_deflate_pool *pool, struct ws_inflater *f);

/* Starts a message. is_fresh: without what the messages before it have left.
 * It may inflate to max_message bytes, and past WS_RATIO_FROM to max_ratio
 * times what was put in; WS_NO_LIMIT for none. */
void ws_inflater_begin(struct ws_inflater *f, bool is_fresh,
                       uint64_t max_message, uint64_t max_ratio);

/* Hands in a piece, after everything before it was got out. The bytes stay
 * where they are until then. */
void ws_inflater_put(struct ws_inflater *f, const uint8_t *bytes, size_t n,
                     bool is_last);

/* Inflates into out[0, cap), cap > 0. Returns the bytes written, 0 when the
 * piece is used up (after the last: the message is complete), or an error,
 * with *why: WS_ERR_TOO_BIG over a limit (out may hold up to cap bytes more
 * than that), WS_ERR_UTF8 for what is not valid, WS_ERR_MEMORY. */
int64_t ws_inflater_get(struct ws_inflater *f, uint8_t *out, size_t cap,
                        const char **why);

/* ---- deflating ---- */

struct ws_deflate_level {
  uint8_t level;  /* 1, fast, to 9, small */
  uint8_t memory; /* 1 to 9: 1 KiB doubled so many times, beside the window */
};

/* What a compressor is to do with bytes handed in. */
enum ws_flush {
  WS_FLUSH_NONE, /* some of them may stay in it */
  WS_FLUSH_ALL,  /* the peer can inflate them all */
  WS_FLUSH_LAST  /* and the message ends */
};

/* A compressor of the pool for one message of len bytes, len SIZE_MAX when it
 * is not known yet. bits: 9 to 15. NULL without memory. */
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

/* Deflates a piece of a message, to the end of *out. WS_OK or
 * WS_ERR_MEMORY. */
enum ws_err ws_deflater_piece(struct ws_deflater *d, const void *bytes,
                              size_t n, enum ws_flush flush,
                              struct ws_buf *out);

#endif
