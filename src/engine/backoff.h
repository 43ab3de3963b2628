/* backoff.h: how long to wait before one tries again. */
#ifndef EVWS_BACKOFF_H
#define EVWS_BACKOFF_H

#include "transport/loop.h"

struct ws_reconnect {
  double initial, maximum; /* seconds; initial 0: it does not reconnect */
  double jitter;           /* 0 to 1 */
};

/* The next wait: *delay is the last one (0: there was none) and doubles from
 * `initial` to `maximum`. Returns what chance takes off it, up to its part
 * `jitter`, so that those who were cut off together do not come back so. */
double ws_backoff_next(struct ws_loop *loop, const struct ws_reconnect *how,
                       double *delay);

#endif
