/* wheel.c: the timing wheel and the timer heap of a loop. */
#include "transport/wheel.h"

#include <assert.h>

#include "base/buf.h"

#define MASK (WS_WHEEL_SLOTS - 1)
#define ARITY 4 /* a flatter heap: fewer cache lines per sift */

void ws_wheel_init(struct ws_wheel *w, uint32_t tick) {
  w->tick = tick;
  for (int l = 0; l < WS_WHEEL_LEVELS; l++) {
    w->used[l] = 0;
    for (int s = 0; s < WS_WHEEL_SLOTS; s++) ws_list_init(&w->slots[l][s]);
  }
}

/* A deadline stands on the level whose slots are just fine enough to tell it
 * from now; the slot is the digit of its tick on that level. */
static void place(struct ws_wheel *w, struct ws_deadline *d) {
  uint32_t delta = d->tick - w->tick;
  int level = 0;
  while (level < WS_WHEEL_LEVELS - 1 && delta >> (WS_WHEEL_BITS * (level + 1)))
    level++;
  int slot = d->tick >> (WS_WHEEL_BITS * level) & MASK;
  ws_list_append(&w->slots[level][slot], &d->link);
  w->used[level] |= UINT64_C(1) << slot;
}

/* Takes a deadline out; the last of a slot takes the slot's bit with it. */
static void take_out(struct ws_wheel *w, struct ws_deadline *d) {
  struct ws_list *head = d->link.next;
  bool is_last = ws_list_is_linked(&d->link) && head == d->link.prev;
  ws_list_remove(&d->link);
  if (!is_last) return;
  uintptr_t at = (uintptr_t)head - (uintptr_t)&w->slots[0][0];
  if (at >= sizeof w->slots) return; /* it was due already */
  at /= sizeof *head;
  w->used[at >> WS_WHEEL_BITS] &= ~(UINT64_C(1) << (at & MASK));
}

void ws_wheel_set(struct ws_wheel *w, struct ws_deadline *d, uint32_t tick) {
  int32_t delta = (int32_t)(tick - w->tick);
  if (delta < 1)
    tick = w->tick + 1;
  else if (delta > WS_TICKS_MAX)
    tick = w->tick + WS_TICKS_MAX;
  take_out(w, d);
  d->tick = tick;
  place(w, d);
}

void ws_wheel_clear(struct ws_wheel *w, struct ws_deadline *d) {
  take_out(w, d);
}

/* Hands the slot's deadlines down: to *due, or to a finer level. */
static void empty_slot(struct ws_wheel *w, int level, int slot,
                       struct ws_list *due) {
  struct ws_list all, *e;
  ws_list_init(&all);
  ws_list_splice(&all, &w->slots[level][slot]);
  w->used[level] &= ~(UINT64_C(1) << slot);
  while ((e = ws_list_shift(&all))) {
    struct ws_deadline *d = WS_LIST_ENTRY(e, struct ws_deadline, link);
    if ((int32_t)(d->tick - w->tick) <= 0)
      ws_list_append(due, e);
    else
      place(w, d);
  }
}

/* Steps from now to the next slot in use of a level, 1 to 64; 0 for none. */
static int steps_to_next(const struct ws_wheel *w, int level) {
  uint64_t bits = w->used[level];
  int here = w->tick >> (WS_WHEEL_BITS * level) & MASK;
  if (!bits) return 0;
  int turn = (here + 1) & MASK;
  uint64_t ahead = turn ? bits >> turn | bits << (WS_WHEEL_SLOTS - turn) : bits;
  return __builtin_ctzll(ahead) + 1;
}

int64_t ws_wheel_next(const struct ws_wheel *w) {
  int64_t best = -1;
  for (int l = 0; l < WS_WHEEL_LEVELS; l++) {
    int steps = steps_to_next(w, l);
    if (!steps) continue;
    int shift = WS_WHEEL_BITS * l;
    uint64_t start = ((uint64_t)(w->tick >> shift) + (uint64_t)steps) << shift;
    int64_t ticks = (int64_t)(start - w->tick);
    if (best < 0 || ticks < best) best = ticks;
  }
  return best;
}

void ws_wheel_advance(struct ws_wheel *w, uint32_t tick, struct ws_list *due) {
  while ((int32_t)(tick - w->tick) > 0) {
    int64_t next = ws_wheel_next(w);
    uint32_t left = tick - w->tick;
    if (next < 0 || next > (int64_t)left) {
      w->tick = tick;
      return;
    }
    w->tick += (uint32_t)next;
    for (int l = WS_WHEEL_LEVELS - 1; l >= 0; l--) {
      int shift = WS_WHEEL_BITS * l;
      if (w->tick & ((UINT32_C(1) << shift) - 1)) continue;
      int slot = w->tick >> shift & MASK;
      if (w->used[l] >> slot & 1) empty_slot(w, l, slot, due);
    }
  }
}

static void put(struct ws_heap *h, uint32_t i, struct ws_timer *t) {
  h->items[i] = t;
  t->index = i + 1;
}

static uint32_t sift_up(struct ws_heap *h, uint32_t i, struct ws_timer *t) {
  while (i) {
    uint32_t up = (i - 1) / ARITY;
    if (h->items[up]->at <= t->at) break;
    put(h, i, h->items[up]);
    i = up;
  }
  put(h, i, t);
  return i;
}

static void sift_down(struct ws_heap *h, uint32_t i, struct ws_timer *t) {
  for (;;) {
    uint32_t first = i * ARITY + 1, best = first;
    if (first >= h->n) break;
    for (uint32_t k = first + 1; k < first + ARITY && k < h->n; k++)
      if (h->items[k]->at < h->items[best]->at) best = k;
    if (t->at <= h->items[best]->at) break;
    put(h, i, h->items[best]);
    i = best;
  }
  put(h, i, t);
}

static bool grow(struct ws_heap *h) {
  uint32_t cap = h->cap ? h->cap * 2 : 16;
  void *items = ws_mem_resize(h->items, cap * sizeof *h->items);
  if (!items) return false;
  h->items = items;
  h->cap = cap;
  return true;
}

bool ws_heap_set(struct ws_heap *h, struct ws_timer *t, double at) {
  if (t->index) {
    uint32_t i = t->index - 1;
    t->at = at;
    if (sift_up(h, i, t) == i) sift_down(h, i, t);
    return true;
  }
  if (h->n == h->cap && !grow(h)) return false;
  t->at = at;
  h->n++;
  h->n_quiet += t->is_quiet;
  sift_up(h, h->n - 1, t);
  return true;
}

void ws_heap_clear(struct ws_heap *h, struct ws_timer *t) {
  if (!t->index) return;
  uint32_t i = t->index - 1;
  struct ws_timer *last = h->items[--h->n];
  t->index = 0;
  h->n_quiet -= t->is_quiet;
  if (last == t) return;
  if (sift_up(h, i, last) == i) sift_down(h, i, last);
}

void ws_heap_quiet(struct ws_heap *h, struct ws_timer *t, bool on) {
  if (t->index) h->n_quiet = h->n_quiet + on - t->is_quiet;
  t->is_quiet = on;
}

void ws_heap_free(struct ws_heap *h) {
  assert(h->n == 0);
  ws_mem_free(h->items);
  *h = (struct ws_heap){0};
}
