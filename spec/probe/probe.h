/* probe.h: what the parts of evws_probe share.
 *
 * Each part defines void probe_open_<name>(lua_State *L), which pushes one
 * table, and stands in the list of probe.c. */
#ifndef EVWS_PROBE_H
#define EVWS_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

/* A copy of some bytes beside a page that must not be touched: they end where
 * it starts, or, at the front, start where it ends. One byte read or written
 * too far kills the process; the pages' other bytes are checked at the end. */
struct probe_fence {
  uint8_t *bytes;
  size_t n;
  uint8_t *map;
  size_t map_len;
};

enum probe_side { PROBE_BACK, PROBE_FRONT };

/* Raises a Lua error when there is no memory. n may be 0. */
void probe_fence_open(lua_State *L, struct probe_fence *f, const void *bytes,
                      size_t n, enum probe_side side);

/* False when a byte beside those of the copy was written. */
bool probe_fence_close(struct probe_fence *f);

/* Adds what tells about our own process to the table on top of the stack. */
void probe_add_process(lua_State *L);

#endif
