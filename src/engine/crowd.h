/* crowd.h: how many connections come from one address, IPv6 by its first 64
 * bits, for that much is one customer's. */
#ifndef EVWS_CROWD_H
#define EVWS_CROWD_H

#include <stdbool.h>

#include "base/hash.h"
#include "protocol/ip.h"

/* Those of one address. */
struct ws_neighbours {
  struct ws_neighbours *next; /* of its bucket */
  uint64_t n;
  uint8_t bytes[16];
};

/* A zeroed one is empty, but for its key. */
struct ws_crowd {
  struct ws_neighbours **buckets;
  size_t n_buckets, n; /* addresses */
  struct ws_hash_key key;
};

/* Connections that are there from this address. */
uint64_t ws_crowd_count(const struct ws_crowd *, const struct ws_ip *);

/* One more. NULL without memory. */
struct ws_neighbours *ws_crowd_enter(struct ws_crowd *, const struct ws_ip *);

/* One less; its neighbours may be given back. */
void ws_crowd_leave(struct ws_crowd *, struct ws_neighbours *);

void ws_crowd_free(struct ws_crowd *);

#endif
