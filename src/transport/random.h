/* random.h: bytes that nobody can guess. They come from the seam in blocks,
 * so that the mask of a client's frame (RFC 6455 10.3) costs no system call. */
#ifndef EVWS_RANDOM_H
#define EVWS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_RANDOM_BLOCK 1024 /* bytes */

struct ws_loop;

/* The rest of a block. What was given out is wiped. */
struct ws_random {
  size_t left;
  uint8_t block[WS_RANDOM_BLOCK];
};

/* Writes n bytes (at most 64), none of which was given out before, in this
 * process or in one it was forked from. False when the system has none. */
bool ws_random_take(struct ws_loop *loop, void *to, size_t n);

#endif
