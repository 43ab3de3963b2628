/* totals.h: all that a server has counted, as one value that can be added up
 * over processes. */
#ifndef EVWS_TOTALS_H
#define EVWS_TOTALS_H

#include "engine/server_base.h"

struct ws_totals {
  struct ws_stats stats;
  struct ws_traffic traffic;
  uint64_t turns[WS_PACE_BOUNDS + 1];
  double busy; /* seconds */
  /* of this moment: no counters */
  uint64_t open, pending, queued, memory, present;
  double lag; /* seconds; the sum is the worst */
};

/* queued: ws_server_queued, or what it was when somebody looked. */
struct ws_totals ws_totals_of(const struct ws_server *s, uint64_t queued);

void ws_totals_add(struct ws_totals *sum, const struct ws_totals *t);

/* As words, for memory that others read. */
#define WS_TOTALS_WORDS \
  (5 + WS_REFUSALS + WS_CODES + 2 * WS_OWN_CODES + 1 + 5 + \
   (WS_PACE_BOUNDS + 1) + 1 + 6)

void ws_totals_pack(const struct ws_totals *t, uint64_t w[WS_TOTALS_WORDS]);
void ws_totals_unpack(struct ws_totals *t, const uint64_t w[WS_TOTALS_WORDS]);

#endif
