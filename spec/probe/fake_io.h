/* fake_io.h: a provider of the seam (src/transport/io.h) that a spec holds in
 * its hands: the clock stands still until it is set, nothing is ready until
 * it is said to be, and a descriptor takes as many bytes as it is told to.
 *
 * Its memory is its own, so that faults in the engine's allocator do not
 * reach it. */
#ifndef EVWS_FAKE_IO_H
#define EVWS_FAKE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/io.h"

#define FAKE_FDS 8

struct fake_fd {
  bool is_closed;
  uint8_t want;     /* as last told by the engine */
  size_t room;      /* bytes that are taken; then `error` */
  size_t most;      /* bytes that are taken in one call */
  int error;        /* an errno */
  unsigned breaks;  /* so many calls fail with EINTR first */
  unsigned calls;   /* of send and writev, those that failed too */
  unsigned watches; /* calls of watch */
  char *sent;       /* what was taken */
  size_t n, cap;
};

struct fake_io {
  struct ws_io io; /* first */
  struct ws_io_ops ops;
  double now;
  double wake; /* as last told */
  unsigned wakes;
  struct fake_fd fds[FAKE_FDS];
};

/* Every descriptor takes everything. */
void fake_io_init(struct fake_io *f);
void fake_io_free(struct fake_io *f);

#endif
