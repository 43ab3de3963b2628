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

/* As of each of them: bus_link.h. */
void ws_bus_fence(struct ws_link *links, size_t n_links);
bool ws_bus_is_behind(struct ws_link *links, size_t n_links);

/* Where no turn follows: what was published leaves; may_wait: and arrives, if
 * Redis takes it within its timeout. Nothing is taken any more. */
void ws_bus_part(struct ws_link *links, size_t n_links, bool may_wait);

#endif
