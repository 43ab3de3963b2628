/* bus_pending.h: commands that wait for Redis, in their order, each with the
 * time when it was given. */
#ifndef EVWS_BUS_PENDING_H
#define EVWS_BUS_PENDING_H

#include "base/buf.h"
#include "base/slice.h"

/* A zeroed struct has nothing. */
struct ws_bus_pending {
  struct ws_buf bytes;
  size_t n;
  uint64_t shifted; /* those that were there before */
};

/* A place for a command of n bytes at most, to be committed with its true
 * length; NULL without memory. */
char *ws_bus_pending_reserve(struct ws_bus_pending *p, size_t n);
void ws_bus_pending_commit(struct ws_bus_pending *p, size_t n, double now);

/* The first one; p NULL: there is none. */
struct ws_slice ws_bus_pending_first(const struct ws_bus_pending *p,
                                     double *given);
void ws_bus_pending_shift(struct ws_bus_pending *p);

void ws_bus_pending_free(struct ws_bus_pending *p);

#endif
