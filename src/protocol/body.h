/* body.h: the body of an HTTP/1.1 message (RFC 9112 6 and 7): its length told
 * by Content-Length or by the chunked coding. A decoder for whoever feeds it
 * bytes; it keeps nothing but its own small state. */
#ifndef EVWS_BODY_H
#define EVWS_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct ws_body {
  uint64_t left;     /* of the body, or of the chunk being read */
  uint64_t total;    /* data bytes so far */
  uint64_t max;      /* more data: WS_ERR_BODY_TOO_BIG */
  uint64_t overhead; /* bytes of chunk heads, or of trailers, so far */
  uint8_t step;
  uint8_t digits;
  bool is_chunked;
};

/* A body of `length` bytes, or a chunked one. WS_ERR_BODY_TOO_BIG when the
 * length is above max. */
int ws_body_init_length(struct ws_body *b, uint64_t length, uint64_t max);
void ws_body_init_chunked(struct ws_body *b, uint64_t max);

/* Has the last byte been taken? */
bool ws_body_is_done(const struct ws_body *b);

/* Takes bytes[0, n) up to the end of the next piece of data: *data is set to
 * it, empty when there is none in what was taken. Returns the bytes taken
 * (may be fewer than n: call again), 0 only when n is 0 or the body is done,
 * or an error: BAD_REQUEST for a malformed chunk (sizes are hexadecimal
 * digits only, 16 at most; lines end in CR LF; an extension holds no control
 * byte), when chunk heads outweigh the data (more than 4 KiB and 8 times the
 * data), or for more than 16 KiB of trailers; BODY_TOO_BIG over max.
 * Trailers are checked like fields and dropped. */
int64_t ws_body_feed(struct ws_body *b, const char *bytes, size_t n,
                     struct ws_slice *data);

/* Digits only, no sign, no overflow (RFC 9110 8.6). False otherwise. */
bool ws_body_parse_length(struct ws_slice value, uint64_t *length);

#endif
