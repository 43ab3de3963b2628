/* wheel.h: a hierarchical timing wheel for the deadlines of connections, and
 * a heap for timers that have to be exact.
 *
 * Time is counted in ticks of 10 ms in 32 bits, which wrap after 497 days and
 * are compared by difference. Setting and cancelling a deadline is O(1), and
 * a deadline is touched at most once per level until it is due. */
#ifndef EVWS_WHEEL_H
#define EVWS_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define WS_TICK 0.01 /* seconds */
#define WS_WHEEL_BITS 6
#define WS_WHEEL_SLOTS (1 << WS_WHEEL_BITS)
#define WS_WHEEL_LEVELS 5
#define WS_TICKS_MAX 0x3FFFFFFF /* 124 days: a later deadline comes early */

struct ws_deadline {
  struct ws_list link;
  uint32_t tick;
  uint32_t heard; /* its owner's: the tick of the peer's last byte */
};

struct ws_wheel {
  uint32_t tick; /* every earlier deadline has been handed out */
  uint64_t used[WS_WHEEL_LEVELS]; /* one bit for each slot in use */
  struct ws_list slots[WS_WHEEL_LEVELS][WS_WHEEL_SLOTS];
};

void ws_wheel_init(struct ws_wheel *w, uint32_t tick);

static inline void ws_deadline_init(struct ws_deadline *d) {
  ws_list_init(&d->link);
}

/* Sets (or moves) a deadline. One that is past is due at the next advance. */
void ws_wheel_set(struct ws_wheel *w, struct ws_deadline *d, uint32_t tick);
void ws_wheel_clear(struct ws_wheel *w, struct ws_deadline *d);

/* Moves on to `tick` and appends what has come due (d->tick <= tick) to
 * *due. */
void ws_wheel_advance(struct ws_wheel *w, uint32_t tick, struct ws_list *due);

/* Ticks from w->tick until something may be due, never too many; -1 when the
 * wheel is empty. */
int64_t ws_wheel_next(const struct ws_wheel *w);

struct ws_timer {
  double at;                     /* on the loop's clock */
  void (*fn)(struct ws_timer *); /* called once, in a turn, when due */
  uint32_t index;                /* in the heap, from 1; 0 when not set */
  bool is_quiet; /* it alone keeps no driver waiting; see ws_heap_quiet */
};

struct ws_heap {
  struct ws_timer **items;
  uint32_t n, cap;
  uint32_t n_quiet;
};

/* False when there is no memory; the timer is then as it was. */
bool ws_heap_set(struct ws_heap *h, struct ws_timer *t, double at);
void ws_heap_clear(struct ws_heap *h, struct ws_timer *t);

/* From now on it is quiet, or is not, whether it is set or not. */
void ws_heap_quiet(struct ws_heap *h, struct ws_timer *t, bool on);

/* The earliest timer, NULL when there is none. */
static inline struct ws_timer *ws_heap_first(const struct ws_heap *h) {
  return h->n ? h->items[0] : (struct ws_timer *)0;
}
void ws_heap_free(struct ws_heap *h);

#endif
