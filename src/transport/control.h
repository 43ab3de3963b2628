/* control.h: records, and descriptors that go with them, over a pair of Unix
 * stream sockets: how a supervisor and its workers talk. A record is any bytes;
 * it arrives whole or not at all, in order, with its descriptors.
 *
 * Nothing here waits but ws_control_wait. Errors are negative errno values;
 * -EPIPE is the end. */
#ifndef EVWS_CONTROL_H
#define EVWS_CONTROL_H

#include "base/buf.h"
#include "base/slice.h"
#include "transport/io.h"

#define WS_CONTROL_FDS WS_IO_FDS
#define WS_CONTROL_RECORD (2 * 1024 * 1024) /* bytes of one */
#define WS_CONTROL_QUEUED (8 * 1024 * 1024) /* that wait for the other side */

struct ws_control {
  struct ws_io *io;
  int fd; /* -1: closed */
  struct ws_buf in;
  size_t taken;          /* bytes of the record that was given out */
  struct ws_list groups; /* descriptors of one record each, in order */
  struct ws_list out;    /* what the kernel has not taken */
  size_t queued;         /* bytes there */
};

/* The descriptor is its own from now on. */
void ws_control_init(struct ws_control *c, struct ws_io *io, int fd);
void ws_control_close(struct ws_control *c);

/* Both ends of a new one. */
int ws_control_pair(struct ws_io *io, int fds[2]);

/* Is it a socket whose other end is our parent's? A parent that has died since
 * is no parent any more, but its end is closed then. */
bool ws_control_is_parents(int fd);

/* Sends a record, or keeps it for ws_control_flush. The descriptors stay the
 * caller's. -ENOBUFS: too much waits already. */
int ws_control_send(struct ws_control *c, struct ws_slice head,
                    struct ws_slice body, const int *fds, int n_fds);

/* 0: all has left; -EAGAIN: not yet. */
int ws_control_flush(struct ws_control *c);

/* Reads what there is, once; -EAGAIN: nothing. */
int ws_control_read(struct ws_control *c);

/* The next record that is there whole, good until the next call, and its
 * descriptors, which are the caller's. *n_fds is -1 where some of them did not
 * fit into this process. */
bool ws_control_next(struct ws_control *c, struct ws_slice *record,
                     int fds[WS_CONTROL_FDS], int *n_fds);

/* Waits until there is something to read, or until seconds have passed
 * (-EAGAIN); what is queued leaves meanwhile. */
int ws_control_wait(struct ws_control *c, double seconds);

#endif
