/* friend.h: a healthy client on the simulated network: it opens a WebSocket,
 * sends messages now and then, answers pings, and expects each message back,
 * in order and nothing else. */
#ifndef EVWS_FUZZ_FRIEND_H
#define EVWS_FUZZ_FRIEND_H

#include "kit/sim.h"

struct friend {
  struct sim *sim;
  int fd;       /* the server's */
  size_t heard; /* bytes of what it was sent that were looked at */
  unsigned said, echoed;
  bool is_silent;            /* it says no more */
  bool is_lost, may_be_lost; /* by the server */
};

extern const char friend_upgrade[]; /* its request */

void friend_init(struct friend *f, struct sim *sim);
void friend_say(struct friend *f);
void friend_hear(struct friend *f);

#endif
