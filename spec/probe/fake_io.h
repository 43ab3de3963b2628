/* fake_io.h: a provider of the seam (src/transport/io.h) that a spec holds in
 * its hands: the clock stands still until it is set, nothing is ready until
 * it is said to be, and a descriptor takes as many bytes as it is told to.
 * Names stand for the addresses that the spec has set, each of which hangs
 * until the spec lets it answer, or refuses at once.
 *
 * Its memory is its own, so that faults in the engine's allocator do not
 * reach it (but for the addresses that it hands over). */
#ifndef EVWS_FAKE_IO_H
#define EVWS_FAKE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/io.h"

#define FAKE_FDS 72

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
  bool is_socket; /* from fake_socket, and not closed */
  int address;    /* it connects to this one, from 1 */
  int so_error;   /* an errno */
  struct ws_watch *watch;
};

/* What a look-up finds. */
struct fake_address {
  int family;
  int refuses; /* an errno: at once; 0: it hangs */
};

struct fake_io {
  struct ws_io io; /* first */
  struct ws_io_ops ops;
  double now;
  double wake; /* as last told */
  unsigned wakes;
  struct fake_fd fds[FAKE_FDS];
  struct fake_address addresses[WS_ADDRESS_MAX];
  int n_addresses;
  unsigned randoms; /* calls of random; the bytes count up from 1 */
  bool has_no_random;
  uint32_t random;          /* the last one given */
  bool answers_later;       /* fake_io_found ends the look-up */
  struct ws_lookup *lookup; /* that is under way */
};

/* Every descriptor takes everything. */
void fake_io_init(struct fake_io *f);
void fake_io_free(struct fake_io *f);

/* The look-up that is under way comes to its end. */
void fake_io_found(struct fake_io *f);

/* The address (from 1) answers: connected, or an errno. False when nobody is
 * connecting to it. */
bool fake_io_answer(struct fake_io *f, int address, int error,
                    struct ws_list *ready);

#endif
