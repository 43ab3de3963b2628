/* probe.c: evws_probe, the module through which specs reach the C functions
 * that have no place in Lua. For specs only, it is never installed.
 *
 * It is a table of tables, one for each part that was linked in. */
#define _GNU_SOURCE
#include "probe.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <lauxlib.h>

#define CANARY 0xA5

/* Weak, so that a part may be left out of the link. One a line: two people
 * who add one do not meet. */
/* clang-format off */
#define PARTS(_) \
  _(buf) \
  _(hash) \
  _(escape) \
  _(utf8) \
  _(frame) \
  _(origin) \
  _(proxy) \
  _(http) \
  _(body) \
  _(handshake) \
  _(router) \
  _(deflate) \
  _(extension) \
  _(protocol) \
  _(tunnel) \
  _(url) \
  _(wheel) \
  _(loop) \
  _(queue) \
  _(stream) \
  _(tls) \
  _(net) \
  _(transport) \
  _(foreign) \
  _(memory) \
  _(dial) \
  _(names) \
  _(faults) \
  _(reserve) \
  _(state) \
  _(seam) \
  _(control) \
  _(redis)
/* clang-format on */
#define DECLARE(name) \
  __attribute__((weak)) void probe_open_##name(lua_State *L);
#define ENTRY(name) {#name, probe_open_##name},

PARTS(DECLARE)

static const struct {
  const char *name;
  void (*open)(lua_State *L);
} parts[] = {PARTS(ENTRY)};

void probe_fence_open(lua_State *L, struct probe_fence *f, const void *bytes,
                      size_t n, enum probe_side side) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t middle = (n / page + 1) * page;
  f->n = n;
  f->map_len = middle + 2 * page;
  f->map =
    mmap(NULL, f->map_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (f->map == MAP_FAILED ||
      mprotect(f->map + page, middle, PROT_READ | PROT_WRITE) != 0)
    luaL_error(L, "no memory for a fence");
  memset(f->map + page, CANARY, middle);
  f->bytes = f->map + page + (side == PROBE_FRONT ? 0 : middle - n);
  memcpy(f->bytes, bytes, n);
}

bool probe_fence_close(struct probe_fence *f) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  bool is_intact = true;
  for (uint8_t *p = f->map + page; p < f->map + f->map_len - page; p++)
    if ((p < f->bytes || p >= f->bytes + f->n) && *p != CANARY)
      is_intact = false;
  munmap(f->map, f->map_len);
  return is_intact;
}

__attribute__((visibility("default"))) int luaopen_evws_probe(lua_State *L);

int luaopen_evws_probe(lua_State *L) {
  lua_newtable(L);
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    if (parts[i].open == NULL) continue;
    parts[i].open(L);
    lua_setfield(L, -2, parts[i].name);
  }
  return 1;
}
