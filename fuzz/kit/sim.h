/* sim.h: a provider of the seam (src/transport/io.h) whose other side is the
 * fuzz target: clients that are bytes, a kernel in a mood, a clock that moves
 * when it is told to. It ends the process for what no caller may do: using or
 * closing a descriptor that is not open, closing one that is watched. */
#ifndef EVWS_FUZZ_SIM_H
#define EVWS_FUZZ_SIM_H

#include "transport/loop.h"

#define SIM_FDS 16
#define SIM_IN (8 * 1024)    /* bytes on their way to the server */
#define SIM_OUT (512 * 1024) /* of what it has sent, as much is kept */

struct sim_fd {
  bool is_open, is_listener, is_socket; /* a socket has a client behind it */
  bool is_waiting;                      /* to be accepted */
  bool is_calm;  /* the kernel is: no errors, though cuts */
  bool is_ended; /* the client has sent its last byte */
  bool is_reset; /* and is gone */
  bool is_deaf;  /* it does not read */
  bool has_server_ended;
  struct ws_watch *watch;
  uint8_t want;
  uint8_t in[SIM_IN], *out;
  size_t in_n, in_at, out_n;
};

struct sim {
  struct ws_io io; /* first */
  struct ws_io_ops ops;
  double now, wake;
  uint32_t mood; /* 0: the kernel takes and gives everything at once */
  uint32_t calls;
  struct sim_fd fds[SIM_FDS];
};

void sim_init(struct sim *s);
/* Ends the process when a descriptor was left open. */
void sim_end(struct sim *s);

/* A client that will be accepted: the server's descriptor; -1 for too many. */
int sim_connect(struct sim *s);

/* As many of the bytes as there is room for. */
size_t sim_push(struct sim *s, int fd, const void *bytes, size_t n);

/* One turn if there is reason for one; else, if `may_wait`, the clock goes on
 * to the next deadline. False when nothing will ever happen. */
bool sim_turn(struct sim *s, struct ws_loop *loop, bool may_wait);

#endif
