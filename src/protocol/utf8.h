/* utf8.h: incremental UTF-8 validation (RFC 3629, as RFC 6455 8.1 asks).
 *
 * The state is carried from one piece to the next, so a message may arrive in
 * pieces of any size. Overlong forms, surrogates and values above U+10FFFF
 * are errors, found at the first byte that cannot continue a valid sequence,
 * even in the middle of a piece that ends before the sequence does. */
#ifndef EVWS_UTF8_H
#define EVWS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_UTF8_START 0 /* between two characters: a message may end here */

/* Takes n more bytes. False as soon as they cannot be UTF-8; *state is then
 * meaningless. */
bool ws_utf8_feed(uint32_t *state, const void *bytes, size_t n);

/* Is this whole string UTF-8? */
bool ws_utf8_is_valid(const void *bytes, size_t n);

#endif
