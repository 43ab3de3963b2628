/* sim.h: a network inside of the process, with a clock of its own: a provider
 * of the seam (io.h) and the driver of a loop. Time passes when nothing is
 * left to be done at the moment; then it is the time of what comes next. What
 * happens by chance is told by a seed, so that the same program sees the same
 * again.
 *
 * Whoever is bound to a port is found by it, whatever name was looked up. */
#ifndef EVWS_SIM_H
#define EVWS_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "transport/driver.h"
#include "transport/sim_options.h"

struct ws_sim;

/* `turn` runs a turn of the loop that is attached. NULL without memory. */
struct ws_sim *ws_sim_new(const struct ws_sim_options *o, void (*turn)(void *),
                          void *arg);
void ws_sim_free(struct ws_sim *s);

struct ws_driver *ws_sim_driver(struct ws_sim *s);
struct ws_io *ws_sim_io(struct ws_sim *s);
void ws_sim_attach(struct ws_sim *s, struct ws_loop *loop);

/* Of these, false tells that the descriptor is of no connection here. A
 * negative one means all there are, and those to come. */

/* How the link is, in both directions, from now on. */
bool ws_sim_set_link(struct ws_sim *s, int fd, const struct ws_sim_link *link);

/* How it is now. */
const struct ws_sim_link *ws_sim_link(struct ws_sim *s, int fd);

/* Nothing gets through any more, and nobody is told; or again: what was sent
 * meanwhile arrives. */
bool ws_sim_hold(struct ws_sim *s, int fd, bool on);

/* The connection is reset, at both ends: at once, or when this end has sent
 * so many bytes more (SIZE_MAX: not at all). */
bool ws_sim_reset(struct ws_sim *s, int fd, size_t after);

/* Time goes on beyond the limit. */
void ws_sim_no_limit(struct ws_sim *s);

/* The trace so far; it is the network's. */
struct ws_slice ws_sim_trace(struct ws_sim *s);

#endif
