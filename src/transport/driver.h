/* driver.h: libev as the driver of a loop and as the kernel provider's
 * readiness; ev.c is the one file that knows libev. */
#ifndef EVWS_DRIVER_H
#define EVWS_DRIVER_H

#include <stdbool.h>

#include "transport/loop.h"

/* Who drives a loop, as far as a script that waits has to know: libev below,
 * or a simulation (sim.h). */
struct ws_driver {
  /* One round: waits for something to happen, at most `timeout` seconds (as
   * long as it takes when negative), and runs the turn. False, without a
   * timeout, when nothing is watched any more that could make something
   * happen. userdata: libev's, meanwhile. */
  bool (*step)(struct ws_driver *d, double timeout, void *userdata);

  /* Catches SIGINT, and SIGTERM if asked for, until released; what is ignored
   * stays ignored, a SIGTERM handler of the program stays in force. fn runs in
   * a step, outside of the turn. Calls may be nested; the last release puts
   * the old dispositions back and returns true; a signal that has come by then
   * has been told. */
  void (*catch_signals)(struct ws_driver *d, bool with_term,
                        void (*fn)(void *, int));
  bool (*release_signals)(struct ws_driver *d);
};

struct ws_ev;

/* A provider with a libev loop below it: the default one, which others may
 * drive too, or one of its own. `turn` runs a turn of the engine; it is
 * called with arg whenever libev has looked at the descriptors. NULL when
 * libev has no loop to give. */
struct ws_ev *ws_ev_new(bool is_default, void (*turn)(void *), void *arg);
void ws_ev_free(struct ws_ev *e);

struct ws_io *ws_ev_io(struct ws_ev *e);

/* The loop whose ready list is filled. */
void ws_ev_attach(struct ws_ev *e, struct ws_loop *loop);

struct ws_driver *ws_ev_driver(struct ws_ev *e);

/* A descriptor that is readable when a step is due, for a loop that is not
 * libev's; it stays the driver's. A negated errno, -ENOTSUP where there is no
 * such thing. What others have registered with libev counts as far as it is
 * descriptors; timers of theirs are seen at steps only. */
int ws_ev_fd(struct ws_ev *e);

/* Seconds until a step is due at the latest, 0 for at once; negative: it
 * depends on descriptors alone. */
double ws_ev_timeout(struct ws_ev *e);

#endif
