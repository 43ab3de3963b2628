/* check.h: what a server sends, byte by byte against what it has to send. */
#ifndef LOAD_CHECK_H
#define LOAD_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

/* One connection's place in the answers. */
struct check {
  unsigned which;              /* the answer that comes next, or is coming */
  size_t at;                   /* in the round, where bytes are just compared */
  struct check_frames *frames; /* where frames have to be read instead */
};

/* A ping, or how it came to an end. */
struct check_control {
  uint8_t opcode, len;
  uint8_t payload[125];
};

/* The first answer is that of message `which`. */
void check_start(struct check *c, const struct messages *m, unsigned which);
void check_free(struct check *c);

/* Returns how many answers are complete with these bytes. Whatever is not
 * what it should be fails. A control frame that has to be acted on stops it
 * before the bytes' end: *used tells where, control->opcode what. */
unsigned check_bytes(struct check *c, struct messages *m, const uint8_t *bytes,
                     size_t n, size_t *used, struct check_control *control);

#endif
