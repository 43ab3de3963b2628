/* inflate.h: decompressing permessage-deflate's data, RFC 7692 7.2.2. */
#ifndef EVWS_INFLATE_H
#define EVWS_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_BITS_MAX 15
#define WS_RATIO_FROM (64 * 1024) /* smaller messages may expand as they like */

struct ws_inflater;

/* bits: of the window, 8 to 15; stays: a connection keeps it. NULL without
 * memory. */
struct ws_inflater *ws_inflater_new(uint8_t bits, bool stays);
void ws_inflater_free(struct ws_inflater *f);

/* Starts a message. is_fresh: without what the messages before it have left.
 * It may inflate to max_message bytes, and past WS_RATIO_FROM to max_ratio
 * times what was put in; WS_NO_LIMIT for none. */
void ws_inflater_begin(struct ws_inflater *f, bool is_fresh,
                       uint64_t max_message, uint64_t max_ratio);

/* Hands in a piece, after everything before it was got out. The bytes stay
 * where they are until then. */
void ws_inflater_put(struct ws_inflater *f, const uint8_t *bytes, size_t n,
                     bool is_last);

/* How much may be done before the next call of this, in bytes of work: those
 * that come out, those that go in, and WS_BLOCK_WORK for each block, which may
 * hold none of either. Without it, and from ws_inflater_begin: all. */
#define WS_BLOCK_WORK 1024
void ws_inflater_allow(struct ws_inflater *f, uint64_t work);

/* The work that was done on this message so far. */
uint64_t ws_inflater_work(const struct ws_inflater *f);

/* Was all that was allowed done? */
bool ws_inflater_is_spent(const struct ws_inflater *f);

/* Inflates into out[0, cap), cap > 0. Returns the bytes written, 0 when the
 * piece is used up (after the last: the message is complete) or
 * ws_inflater_is_spent, or an error, with *why: WS_ERR_TOO_BIG over a limit
 * (out may hold up to cap bytes more than that), WS_ERR_UTF8 for what is not
 * valid, WS_ERR_MEMORY. */
int64_t ws_inflater_get(struct ws_inflater *f, uint8_t *out, size_t cap,
                        const char **why);

/* Those of the bytes handed in that were not read yet, and their number; they
 * stand at `to` from now on. */
const uint8_t *ws_inflater_unread(const struct ws_inflater *f, size_t *n);
void ws_inflater_moved(struct ws_inflater *f, const uint8_t *to);

#endif
