/* random.h: bytes that nobody can guess. They come from the seam in blocks,
 * so that the mask of a client's frame (RFC 6455 10.3) costs no system call. */
#ifndef EVWS_RANDOM_H
#define EVWS_RANDOM_H

#include "transport/loop.h"

/* Writes n bytes (at most 64), none of which was given out before, in this
 * process or in one it was forked from. False when the system has none. */
bool ws_random_take(struct ws_loop *loop, void *to, size_t n);

/* The same as n small letters and digits, none of which looks like another. */
bool ws_random_letters(struct ws_loop *loop, char *to, size_t n);

#endif
