/* wakefd.h: one descriptor that is readable when another one is or when a
 * time has come, for a foreign loop to watch. Linux only. */
#ifndef EVWS_WAKEFD_H
#define EVWS_WAKEFD_H

#include <stdbool.h>

struct ws_wakefd {
  int fd;    /* to be watched for reading; -1: not open */
  int timer; /* behind it */
};

/* `behind` stays the caller's. 0 or a negated errno; -ENOTSUP where the
 * system has no such thing. */
int ws_wakefd_open(struct ws_wakefd *w, int behind);
void ws_wakefd_close(struct ws_wakefd *w);

/* When it becomes readable by itself, in seconds of the monotonic clock: at
 * once for 0, never for a negative time. What was set before is forgotten. */
void ws_wakefd_set(struct ws_wakefd *w, double when);

/* Why the system has refused to watch the descriptor, which it does not tell
 * through libev: an errno, found out by asking for the same once more; 0 when
 * it does not refuse it now. */
int ws_wakefd_why(int fd);

#endif
