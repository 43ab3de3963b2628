/* reserve.c: a block of memory for bad times. It is exchanged rather than
 * locked, for libev may ask in a forked child, on whatever thread. */
#include "base/reserve.h"

#include <stdatomic.h>

#include "base/buf.h"

struct block {
  size_t size;
};

static _Atomic(struct block *) held;
static atomic_size_t wanted;

static void give(struct block *b) {
  if (b) ws_mem_lend(b, 0, false);
}

/* Where somebody was faster there is one. */
static void put(struct block *b) {
  struct block *nothing = NULL;
  if (!atomic_compare_exchange_strong(&held, &nothing, b)) give(b);
}

static bool set_aside(size_t size) {
  struct block *b = ws_mem_lend(NULL, size, false);
  if (!b) return false;
  b->size = size;
  put(b);
  return true;
}

void *ws_reserve_alloc(void *p, long size) {
  size_t n = size > 0 ? (size_t)size : 0;
  void *moved = ws_mem_lend(p, n, false);
  if (moved || n == 0) return moved;
  struct block *b = atomic_exchange(&held, NULL);
  size_t had = b ? b->size : 0;
  give(b);
  moved = ws_mem_lend(p, n, true);
  /* for those that are there the rest is enough: n was part of their need */
  if (had && !set_aside(had) && had > n + sizeof *b) set_aside(had - n);
  return moved;
}

bool ws_reserve_grow(size_t more) {
  size_t want = atomic_fetch_add(&wanted, more) + more;
  struct block *b = atomic_exchange(&held, NULL);
  size_t had = b ? b->size : 0;
  if (had >= want) {
    put(b);
    return true;
  }
  bool is_there = set_aside(want);
  give(b);
  if (is_there || set_aside(want)) return true;
  atomic_fetch_sub(&wanted, more);
  if (had) set_aside(had);
  return false;
}

void ws_reserve_shrink(size_t less) {
  size_t want = atomic_fetch_sub(&wanted, less) - less;
  give(atomic_exchange(&held, NULL));
  if (want) set_aside(want);
}
