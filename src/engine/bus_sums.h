/* bus_sums.h: the Redises of a bus as one. */
#ifndef EVWS_BUS_SUMS_H
#define EVWS_BUS_SUMS_H

#include "engine/bus_link.h"

enum ws_bus_state { WS_BUS_CONNECTING, WS_BUS_UP, WS_BUS_AWAY, WS_BUS_CLOSED };

enum ws_bus_state ws_bus_state_of(const struct ws_link *links, size_t n_links);

/* Bytes that wait for Redis; channels that are wanted, and those of them that
 * it refuses; seconds that a ping took, the longest of the links, 0: none has
 * come back. */
size_t ws_bus_pending(const struct ws_link *links, size_t n_links);
size_t ws_bus_subscriptions(const struct ws_link *links, size_t n_links);
size_t ws_bus_subscriptions_refused(const struct ws_link *links,
                                    size_t n_links);
double ws_bus_rtt(const struct ws_link *links, size_t n_links);

/* Does anything wait for one of them, or for its answer? */
bool ws_bus_is_busy(const struct ws_link *links, size_t n_links);

#endif
