/* dial.h: from a name to a connected descriptor: the look-up, then Happy
 * Eyeballs (RFC 8305) over what it has found. */
#ifndef EVWS_DIAL_H
#define EVWS_DIAL_H

#include <stdbool.h>

#include "transport/net.h"
#include "transport/loop.h"

/* RFC 8305 5: the Connection Attempt Delay. */
#define WS_DIAL_DELAY 0.25 /* seconds */

struct ws_dial;

/* One address that is being tried. */
struct ws_dial_attempt {
  struct ws_watch watch;
  struct ws_dial *dial;
};

struct ws_dial {
  struct ws_loop *loop;
  void (*done)(struct ws_dial *, int fd);
  const char *why;         /* it failed */
  struct ws_address *peer; /* &winner */
  struct ws_address winner;
  struct ws_lookup lookup;
  struct ws_job start; /* what needs no look-up goes on in the next turn */
  struct ws_timer next;
  struct ws_dial_attempt *attempts; /* one for each address */
  int tried;
  int open;  /* attempts that have not failed */
  int error; /* errno of the attempt that tells most */
};

/* Starts to connect to a host and port, or to the Unix socket `path` where
 * that is not NULL. d is zeroed memory that stays until done or ws_dial_stop.
 *
 * done is called once, in a turn and never before this has returned: with a
 * connected descriptor, which is the callee's, and its address in d->peer; or
 * with -1, and d->why. It may free d. */
void ws_dial_start(struct ws_dial *d, struct ws_loop *loop, const char *host,
                   int port, const char *path);

/* Gives up: done will not be called. Harmless when repeated, or after done. */
void ws_dial_stop(struct ws_dial *d);

#endif
